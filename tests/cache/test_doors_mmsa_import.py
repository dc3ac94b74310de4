import pickle

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import CacheError, write_labels
from sadgr.cache.doors import export_dataset, import_file


def foreign(**changes) -> dict:
    """Two clips as MMSA's own unaligned files have them: rows past the lengths are not zero."""
    split = {
        "raw_text": np.array(["A B", "C"], dtype=object),
        "id": ["v$_$1", "v$_$x$_$2"],
        "text": np.ones((2, 5, 3), np.float32),
        "text_bert": np.stack([[[101, 5, 102, 0, 0], [1, 1, 1, 0, 0], [0] * 5], [[101, 102, 0, 0, 0], [1, 1, 0, 0, 0], [0] * 5]]),
        "audio": np.full((2, 7, 2), 9.0),
        "vision": np.full((2, 6, 4), 8.0),
        "audio_lengths": [3, 7],
        "vision_lengths": np.array([6, 1]),
        "annotations": ["Negative", "Positive"],
        "classification_labels": np.array([0.0, 2.0]),
        "regression_labels": np.array([-1.0, 2.5]),
    }  # fmt: skip
    return {"train": {key: value for key, value in (split | changes).items() if value is not None}}


def dumped(path, content, protocol: int = 4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_lengths_are_authoritative(cache, tmp_path, protocol) -> None:
    import_file(cache, "mosi", dumped(tmp_path / "u.pkl", foreign(), protocol), "mmsa")
    sets = {one.modality: one for one in cache["mosi"].feature_sets()}
    assert [len(sets["audio"].read(i)["frames"]) for i in ("v$_$1", "v$_$x$_$2")] == [3, 7]
    assert [len(sets["video"].read(i)["frames"]) for i in ("v$_$1", "v$_$x$_$2")] == [6, 1]
    assert sets["text"].read("v$_$1")["input_ids"].tolist() == [101, 5, 102]
    row = cache["mosi"].labels().loc["v$_$x$_$2"]
    assert (row["video_id"], row["clip_id"], row["label"], row["text"]) == ("v$_$x", "2", 2.5, "C")


def test_aligned_padding_is_what_the_attention_mask_leaves_out(cache, tmp_path) -> None:
    five = {"audio": np.full((2, 5, 2), 9.0), "vision": np.full((2, 5, 4), 8.0)}
    content = foreign(audio_lengths=None, vision_lengths=None, **five)
    import_file(cache, "mosi", dumped(tmp_path / "a.pkl", content), "mmsa")
    for modality in ("text", "audio", "video"):
        assert len(cache["mosi"].feature_set(modality).read("v$_$1")["words"]) == 3


def test_without_mask_the_zeros_at_the_end_are_padding(cache, tmp_path) -> None:
    text = np.zeros((2, 5, 3))
    text[:, :2] = 1
    audio = np.zeros((2, 5, 2))
    audio[0, 3] = 1  # a fourth row in audio: text's zeros there are no padding
    content = foreign(
        text=text, audio=audio, vision=np.zeros((2, 5, 4)), text_bert=None, audio_lengths=None, vision_lengths=None
    )
    import_file(cache, "mosi", dumped(tmp_path / "a.pkl", content), "mmsa")
    sets = {one.modality: one for one in cache["mosi"].feature_sets()}
    assert [len(sets["text"].read(i)["words"]) for i in ("v$_$1", "v$_$x$_$2")] == [4, 2]
    assert sets["audio"].read("v$_$x$_$2") is None and sets["video"].read("v$_$1") is None


def test_values_that_are_not_finite_are_refused_by_name_and_the_rest_comes_in(cache, tmp_path) -> None:
    audio = np.full((2, 7, 2), 9.0)
    audio[0, 1] = -np.inf
    report = import_file(cache, "mosi", dumped(tmp_path / "u.pkl", foreign(audio=audio)), "mmsa")
    assert list(report.refused) == ["v$_$1 (audio)"] and "not finite" in report.refused["v$_$1 (audio)"]
    assert report.clips == 5


def test_labels_that_stand_there_are_left_alone(cache, tmp_path) -> None:
    made = cache.create_dataset("mosi")
    write_labels(made.path, pd.DataFrame({"text": ["corrected"], "mode": "test"}, index=pd.Index(["v$_$1"], name="id")))
    report = import_file(cache, "mosi", dumped(tmp_path / "u.pkl", foreign()), "mmsa", modality="audio")
    assert (report.labels_added, report.labels_kept, len(report.feature_sets)) == (1, 1, 1)
    assert made.labels().loc["v$_$1", "text"] == "corrected" and made.labels().loc["v$_$x$_$2", "label"] == 2.5


@pytest.mark.parametrize("changes, said", [
    ({"audio": np.ones((3, 7, 2))}, "train/audio"),
    ({"raw_text": ["one"]}, "1 values"),
    ({"id": None}, "id"),
    ({"audio": np.array([["a"]])}, "train/audio"),
    ({"id": ["v$_$1", "v$_$1"]}, "twice"),
])  # fmt: skip
def test_broken_files_are_told_apart(cache, tmp_path, changes, said) -> None:
    with pytest.raises(CacheError, match=said):
        import_file(cache, "mosi", dumped(tmp_path / "u.pkl", foreign(**changes)), "mmsa")


def test_a_length_beyond_the_rows_refuses_the_clip(cache, tmp_path) -> None:
    report = import_file(cache, "mosi", dumped(tmp_path / "u.pkl", foreign(audio_lengths=[8, 1])), "mmsa")
    assert "length 8" in report.refused["v$_$1 (audio)"]


def test_a_second_file_is_a_second_feature_set(cache, tmp_path) -> None:
    for name, value in (("a.pkl", 1.0), ("b.pkl", 2.0)):
        content = foreign(audio=np.full((2, 7, 2), value))
        import_file(cache, "mosi", dumped(tmp_path / name, content), "mmsa", modality="audio", model="COVAREP")
    assert len(cache["mosi"].feature_sets("audio")) == 2


def test_an_aligned_file_with_text_bert_goes_in_and_out_unchanged(cache, tmp_path) -> None:
    five = {"audio": np.full((2, 5, 2), 9.0), "vision": np.full((2, 5, 4), 8.0)}
    content = foreign(audio_lengths=None, vision_lengths=None, **five)
    import_file(cache, "mosi", dumped(tmp_path / "a.pkl", content), "mmsa")
    made = cache["mosi"]
    export_dataset(made, made.select(), tmp_path / "b.pkl", "mmsa-aligned", length=5)
    with (tmp_path / "b.pkl").open("rb") as file:
        train = pickle.load(file)["train"]  # noqa: S301 - written by the line above
    assert train["id"] == content["train"]["id"]
    np.testing.assert_array_equal(train["text_bert"], content["train"]["text_bert"])
    kept = content["train"]["text_bert"][:, 1, :, None]
    for key in ("text", "audio", "vision"):
        np.testing.assert_array_equal(train[key], content["train"][key] * kept)
