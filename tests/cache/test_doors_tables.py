"""The two doors that carry everything: NumPy's .npz and a folder of Hugging Face's `datasets`."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from sadgr.cache import CacheError, ClipRecord, create_feature_set, write_labels
from sadgr.cache.cli import main
from sadgr.cache.doors import export_dataset, import_file
from sadgr.cache.ids import escape

IDS = ["vid$_$1", "-rf /x", "..", "é%\u200f", "only_words"]


@pytest.fixture
def data(cache, planted):
    """Five clips; the third lacks audio, the last was never extracted but for words."""
    made = cache.create_dataset("demo")
    columns = {
        "text": ["a", "", 'quo"te, comma', "ü", "x"],
        "mode": ["train", "valid", "test", "", "train"],
        "label": [1.5, -1, np.nan, 0, 2],
        "label_T": [1, 2, 3, 4, 5],
        "speaker": ["s", "007", "", "t", "u"],
        "my note": ["x", "y", "z", "", "w"],
    }
    write_labels(made.path, pd.DataFrame(columns, index=pd.Index(IDS, name="id")))
    for modality, spec in planted.specs.items():
        held = IDS if modality == "words" else IDS[:-1]
        records = [planted.record(clip, modality, words=n + 1, seed=n) for n, clip in enumerate(held)]
        if modality == "audio":
            records[2] = ClipRecord(IDS[2], records[2].source, None)
        planted.write(create_feature_set(made.path, spec), *records)
    return made


@pytest.mark.parametrize("form", ["npz", "hf"])
def test_round_trip(cache, data, tmp_path, form) -> None:
    path = tmp_path / f"x.{form}"
    assert export_dataset(data, data.select(), path, form).clips == len(IDS)
    report = import_file(cache, "back", path, form)
    assert not report.refused and report.labels_added == len(IDS)
    back = cache["back"]
    pd.testing.assert_frame_equal(back.labels().loc[IDS], data.labels(), check_like=True, check_dtype=False)
    for modality in ("words", "text", "audio", "video"):
        before, after = data.feature_set(modality), back.feature_set(modality)
        for clip in before.entries():
            expected, found = before.read(clip), after.read(clip)
            assert (expected is None) == (found is None)
            for name in expected or {}:
                np.testing.assert_array_equal(found[name], expected[name])
                assert found[name].dtype.kind == expected[name].dtype.kind
        assert after.spec.settings["provenance"] == "imported"
        assert after.spec.about["made_with"]["fingerprint"] == before.fingerprint
    assert back.feature_set("audio").read(IDS[2]) is None


def test_datasets_reads_our_folder(data, tmp_path, planted) -> None:
    from datasets import load_from_disk

    export_dataset(data, data.select(), tmp_path / "hf", "hf")
    loaded = load_from_disk(str(tmp_path / "hf"))
    assert {split: len(table) for split, table in loaded.items()} == {"train": 2, "valid": 1, "test": 1, "unsplit": 1}
    row = loaded["valid"].with_format("numpy")[0]
    assert row["id"] == IDS[1] and row["label"] == -1 and row["speaker"] == "007"
    np.testing.assert_array_equal(row["text.words"], planted.arrays("text", 2, 1)["words"])
    assert row["text.words"].dtype == np.float32
    assert row["words.text"].tolist() == ["wört0", "wört1"]
    assert loaded["test"][0]["audio.words"] is None and loaded["test"][0]["label"] is None


def test_numpy_reads_our_file(data, tmp_path, planted) -> None:
    export_dataset(data, data.select(), tmp_path / "x.npz", "npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert file["ids"].tolist() == IDS
        np.testing.assert_array_equal(
            file[f"{escape(IDS[1])}/text/words"], planted.arrays("text", 2, 1)["words"].astype(np.float16)
        )
        assert file["absent/audio"].tolist() == [IDS[2]]
        assert f"{escape(IDS[2])}/audio/words" not in file


def test_the_same_content_gives_the_same_npz(data, tmp_path) -> None:
    for name in "ab":
        export_dataset(data, data.select(), tmp_path / f"{name}.npz", "npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_npz_from_elsewhere(cache, tmp_path) -> None:
    arrays = {"v_1": np.ones((3, 2)), "bad": np.ones(3), "nan": np.full((1, 2), np.nan), "wide": np.ones((1, 7))}
    np.savez(tmp_path / "covarep.npz", **arrays)
    with pytest.raises(CacheError, match="name text, audio or video"):
        import_file(cache, "mosi", tmp_path / "covarep.npz", "npz")
    report = import_file(cache, "mosi", tmp_path / "covarep.npz", "npz", modality="audio", axis="words")
    assert report.clips == 1 and {key.split()[0] for key in report.refused} == {"bad", "nan", "wide"}
    assert cache["mosi"].feature_set("audio").read("v_1")["words"].shape == (3, 2)


def test_npz_with_pickled_objects_is_refused(cache, tmp_path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(CacheError, match="plain arrays"):
        import_file(cache, "mosi", tmp_path / "x.npz", "npz", modality="audio")


def test_broken_files_are_named(cache, tmp_path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04broken")
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "folder").mkdir()
    for name, form in (("x.npz", "npz"), ("one.npy", "npz"), ("none.npz", "npz"), ("folder", "hf"), ("none", "hf")):
        with pytest.raises(CacheError, match=name):
            import_file(cache, "mosi", tmp_path / name, form, modality="audio")


def test_a_folder_of_other_columns_is_refused_with_its_columns(cache, tmp_path) -> None:
    from datasets import Dataset

    Dataset.from_dict({"id": ["a"], "feature": [[1.0]]}).save_to_disk(str(tmp_path / "other"))
    with pytest.raises(CacheError, match="id, feature"):
        import_file(cache, "mosi", tmp_path / "other", "hf")


def test_the_command_line(cache, data, tmp_path) -> None:
    run = CliRunner().invoke
    told = run(main, ["export", str(cache.path), str(tmp_path / "x.npz"), "--form", "npz"])
    assert told.exit_code == 0 and "5 clips" in told.output
    told = run(main, ["import", str(cache.path), str(tmp_path / "x.npz"), "--form", "npz", "--dataset", "back"])
    assert told.exit_code == 0 and "audio-x-" in told.output
    told = run(main, ["export", str(cache.path), str(tmp_path / "x.npz"), "--form", "npz", "--dataset", "demo"])
    assert told.exit_code == 2 and "exists" in told.output
    told = run(
        main, ["export", str(cache.path), str(tmp_path / "a.pkl"), "--form", "mmsa-aligned", "--dataset", "demo"]
    )
    assert told.exit_code == 3 and "left out" in told.output
    np.savez(tmp_path / "n.npz", bad=np.full((1, 2), np.nan))
    arguments = ["import", str(cache.path), str(tmp_path / "n.npz"), "--form", "npz", "--dataset", "n"]
    told = run(main, [*arguments, "--modality", "audio"])
    assert told.exit_code == 3 and "not finite" in told.output


def test_importing_the_package_waits_for_nothing_heavy() -> None:
    code = "import sys, sadgr.cache.doors.cli; print({'pandas', 'h5py', 'datasets', 'pyarrow', 'numpy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
