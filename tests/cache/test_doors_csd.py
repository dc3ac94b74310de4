import json

import h5py
import numpy as np
import pandas as pd
import pytest

from sadgr.cache import CacheError, create_feature_set, write_labels
from sadgr.cache.doors import export_dataset, import_file
from sadgr.cache.doors.csd_export import csd_key, frame_intervals

IDS = ["vid$_$1", "vid[0]", "a/b%2F", "..", "-é"]
SDK_KEYS = [
    "root name", "computational sequence description", "dimension namescomputational sequence version",
    "alignment compatible", "dataset name", "dataset version", "creator", "contact", "featureset bib citation",
    "dataset bib citation",
]  # fmt: skip
"""As metadataconfigs.py of CMU-MultimodalSDK 3e27d37 has them, the two joined by mistake included."""


@pytest.fixture
def data(cache, planted):
    made = cache.create_dataset("demo")
    write_labels(made.path, pd.DataFrame({"mode": "train"}, index=pd.Index(IDS, name="id")))
    for modality, spec in planted.specs.items():
        held = IDS[:-1] if modality == "video" else IDS
        planted.write(create_feature_set(made.path, spec), *(planted.record(clip, modality, seed=3) for clip in held))
    return made


def sequence(path, clips: dict, root: str = "COVAREP", **options):
    with h5py.File(path, "w") as file:
        for key, (features, intervals) in clips.items():
            group = file.create_group(f"{root}/data/{key}")
            group.create_dataset("features", data=features, **options)
            group.create_dataset("intervals", data=intervals)
        group = file.require_group(f"{root}/metadata")
        group.create_dataset("root name", data=[json.dumps(root)], dtype=h5py.string_dtype())
    return path


def test_round_trip(cache, data, tmp_path, planted) -> None:
    report = export_dataset(data, data.select(), tmp_path / "out", "csd")
    assert report.clips == len(IDS) and not report.left_out
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "audio.csd",
        "labels.csv",
        "text.csd",
        "video.csd",
    ]
    for modality, axis in (("text", "words"), ("audio", "words"), ("video", "frames")):
        import_file(cache, "back", tmp_path / "out" / f"{modality}.csd", "csd", modality=modality, axis=axis)
        one = cache["back"].feature_set(modality)
        assert set(one.entries()) == set(IDS[:-1] if modality == "video" else IDS)
        for clip in one.entries():
            expected = planted.arrays(modality, seed=3)
            found = one.read(clip)
            np.testing.assert_array_equal(found[axis], expected[axis])
            if modality == "video":
                np.testing.assert_array_equal(found["seconds"], expected["seconds"])
    assert one.spec.settings["provenance"] == "imported" and one.spec.about["file"] == "video.csd"


def test_what_the_sdk_asks_for_is_there(data, tmp_path) -> None:
    """The checks of the SDK's integrity_check.py, word for word in what they ask."""
    export_dataset(data, data.select(), tmp_path / "out", "csd")
    with h5py.File(tmp_path / "out" / "text.csd", "r") as file:
        (root,) = file.keys()
        metadata = {key: json.loads(value[0]) for key, value in file[root]["metadata"].items()}
        assert all(key in metadata for key in SDK_KEYS) and metadata["root name"] == root
        assert {"dimension names", "computational sequence version", "uuid", "md5"} <= metadata.keys()
        assert all(value.shape == (1,) for value in file[root]["metadata"].values())
        for clip in file[root]["data"].values():
            assert len(clip["intervals"].shape) == 2 and len(clip["features"].shape) >= 2
            assert clip["features"].shape[0] == clip["intervals"].shape[0]
        assert file[root]["data"][IDS[0]]["intervals"][()].tolist() == [[0, 0.5], [0.5, 1], [1, 1.5]]
        assert len(metadata["dimension names"]) == 5


def test_clips_that_are_not_finite_are_refused_and_the_others_come_in(cache, tmp_path) -> None:
    good, times = np.ones((3, 2)), np.array([[0, 1], [1, 2], [2, 4]])
    clips = {f"v{n}[{n}]": (good, times) for n in range(3)}
    clips["nan"] = (np.array([[1, np.nan]] * 3), times)
    clips["inf"] = (np.array([[1, -np.inf]] * 3), times)
    clips["short"] = (good, times[:2])
    clips["backwards"] = (good, times[:, ::-1])
    clips["wide"] = (np.ones((3, 5)), times)
    report = import_file(
        cache, "mosi", sequence(tmp_path / "c.csd", clips, compression="gzip"), "csd", modality="audio"
    )
    assert report.clips == 3
    assert {key.split()[0] for key in report.refused} == {"nan", "inf", "short", "backwards", "wide"}
    assert all(key.split()[0] in reason for key, reason in report.refused.items())
    assert cache["mosi"].labels().loc["v2[2]", "video_id"] == "v2"


def test_features_of_more_dimensions_are_flattened_and_times_are_middles(cache, tmp_path) -> None:
    clips = {"v": (np.arange(12.0).reshape(2, 2, 3), [[0, 1], [1, 4]])}
    import_file(cache, "mosi", sequence(tmp_path / "f.csd", clips), "csd", modality="video", model="FACET")
    found = cache["mosi"].feature_set("video")
    assert found.name.startswith("video-FACET-")
    assert found.read("v")["frames"].tolist() == [list(range(6)), list(range(6, 12))]
    assert found.read("v")["seconds"].tolist() == [0.5, 2.5]


def test_text_is_always_words(cache, tmp_path) -> None:
    path = sequence(tmp_path / "g.csd", {"v": (np.ones((2, 3)), [[0, 1], [1, 2]])})
    import_file(cache, "mosi", path, "csd", modality="text", model="GloVe")
    assert list(cache["mosi"].feature_set("text").read("v")) == ["words"]


def linked(path, tmp_path, kind: str) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones((2, 2))
    with h5py.File(path, "a") as file:
        group = file["COVAREP/data/v"]
        del group["features"]
        if kind == "external link":
            group["features"] = h5py.ExternalLink(str(secret), "x")
        elif kind == "soft link":
            group["features"] = h5py.SoftLink("/COVAREP/data/v/intervals")
        elif kind == "external storage":
            (tmp_path / "raw").write_bytes(bytes(32))
            group.create_dataset("features", (2, 2), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((2, 2), "f8")
            layout[:] = h5py.VirtualSource(str(secret), "x", (2, 2))
            group.create_virtual_dataset("features", layout)
        else:
            group.create_dataset("features", data=np.ones((2, 2)), compression="lzf")


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual", "foreign filter"])
def test_what_points_outside_is_refused(cache, tmp_path, kind) -> None:
    path = sequence(tmp_path / "x.csd", {"v": (np.ones((2, 2)), [[0, 1], [1, 2]])})
    linked(path, tmp_path, kind)
    report = import_file(cache, "mosi", path, "csd", modality="audio")
    assert report.clips == 0 and "refused" in report.refused["v (audio)"]


@pytest.mark.parametrize("form", ["text", "two roots", "no data", "linked root"])
def test_what_is_no_sequence_is_refused(cache, tmp_path, form) -> None:
    path = tmp_path / "x.csd"
    if form == "text":
        path.write_text("no HDF5")
    else:
        with h5py.File(path, "w") as file:
            if form == "linked root":
                file["a"] = h5py.ExternalLink("/etc/passwd", "x")
            else:
                file.create_group("a/metadata")
            if form == "two roots":
                file.create_group("b")
    with pytest.raises(CacheError, match=r"x\.csd"):
        import_file(cache, "mosi", path, "csd", modality="audio")


def test_the_modality_must_be_named(cache, tmp_path) -> None:
    with pytest.raises(CacheError, match="name text, audio or video"):
        import_file(cache, "mosi", sequence(tmp_path / "x.csd", {"v": (np.ones((1, 1)), [[0, 1]])}), "csd")


def test_audio_frames_have_no_times_to_write(cache, data, planted, tmp_path) -> None:
    made = cache.create_dataset("frames")
    path = sequence(tmp_path / "x.csd", {"v": (np.ones((2, 2)), [[0, 1], [1, 2]])})
    import_file(cache, "frames", path, "csd", modality="audio")
    with pytest.raises(CacheError, match="no words"):
        export_dataset(made, made.select(), tmp_path / "out", "csd")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".tmp-*"))


def test_intervals_by_hand() -> None:
    assert frame_intervals(np.array([0.5, 1.5, 2.5])).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert frame_intervals(np.array([2.0])).tolist() == [[0, 4]]
    assert frame_intervals(np.array([1.0, 2.0, 6.0])).tolist() == [[0.5, 1.5], [1.5, 2.5], [5.5, 6.5]]


def test_keys_by_hand() -> None:
    assert [csd_key(one) for one in ("a$_$1", "v[3]", "a/b", "50%", "..", "a.b")] == [
        "a$_$1", "v[3]", "a%2Fb", "50%25", "%2E%2E", "a.b",
    ]  # fmt: skip
