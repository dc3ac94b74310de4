import pickle

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import CacheError, ClipRecord, create_feature_set, source_digest, write_labels
from sadgr.cache.doors import export_dataset, import_file
from sadgr.cache.doors.mmsa_rows import padded
from sadgr.cache.doors.word_axis import frames_on_words

IDS = ["vid_1$_$1", "-x.é $_$2", "a/b$_$$_$3", "no_text$_$4"]
SPLITS = ["train", "train", "valid", "test"]
LABELS = [-1.5, 0.0, 2.0, 3.0]


def labels(**more) -> pd.DataFrame:
    columns = {"text": ["un", "deux mots", "trois", ""], "label": LABELS, "mode": SPLITS, **more}
    return pd.DataFrame(columns, index=pd.Index(IDS, name="id"))


@pytest.fixture
def data(cache, planted):
    """Four clips of 1 to 4 words; the last lacks text."""
    made = cache.create_dataset("demo")
    write_labels(made.path, labels(label_T=[0.5, -0.5, 1, 0]))
    for modality, spec in planted.specs.items():
        records = [planted.record(clip, modality, words=n + 1, seed=n) for n, clip in enumerate(IDS)]
        if modality == "text":
            records[3] = ClipRecord(IDS[3], records[3].source, None)
        planted.write(create_feature_set(made.path, spec), *records)
    return made


def loaders(path, aligned: bool, use_bert: bool = False, name: str = "mosi") -> dict:
    """MMSA 2.2.1's own loader; a plain import, so that a machine without it fails here."""
    from easydict import EasyDict
    from MMSA.data_loader import MMDataLoader

    args = EasyDict(
        dataset_name=name, featurePath=str(path), custom_feature="", feature_T="", feature_A="", feature_V="",
        need_data_aligned=aligned, use_bert=use_bert, feature_dims=[0, 0, 0], batch_size=8, seq_lens=[0, 0, 0],
        train_mode="regression",
    )  # fmt: skip
    return MMDataLoader(args, num_workers=0)


def by_id(loader) -> dict:
    """id -> what MMSA gives a model for that clip."""
    found = {}
    for batch in loader:
        for place, clip in enumerate(batch["id"]):
            arrays = {key: batch[key][place].numpy() for key in ("text", "audio", "vision")}
            lengths = {key: int(batch[key][place]) for key in batch if key.endswith("_lengths")}
            one = {"raw_text": batch["raw_text"][place], "label": float(batch["labels"]["M"][place])}
            found[clip] = {**arrays, **lengths, **one}
    return found


def all_clips(path, aligned: bool) -> dict:
    return {clip: one for loader in loaders(path, aligned).values() for clip, one in by_id(loader).items()}


def test_mmsas_loader_reads_the_aligned_export(data, tmp_path, planted) -> None:
    report = export_dataset(data, data.select(), tmp_path / "a.pkl", "mmsa-aligned")
    assert (report.clips, report.left_out) == (4, {})
    found = all_clips(tmp_path / "a.pkl", aligned=True)
    assert set(found) == set(IDS)
    for n, clip in enumerate(IDS):
        one, words = found[clip], n + 1
        assert one["label"] == LABELS[n] and one["raw_text"] == labels()["text"].iloc[n]
        assert one["text"].shape == (50, 5) and one["audio"].shape == (50, 4) and one["vision"].shape == (50, 6)
        text = np.zeros((words, 5)) if n == 3 else planted.arrays("text", words, n)["words"]
        np.testing.assert_array_equal(one["text"][:words], text)
        np.testing.assert_array_equal(one["audio"][:words], planted.arrays("audio", words, n)["words"])
        assert one["vision"][:words].any() and not any(one[key][words:].any() for key in ("text", "audio", "vision"))
        # Words are half a second long, frames stand at 0.25 and 0.75: words 0 and 1 hold one each, later ones take the last.
        frames = planted.arrays("video", words, n)["frames"]
        np.testing.assert_array_equal(one["vision"][:words], frames[[0, 1, 1, 1][:words]])


def test_mmsas_loader_reads_the_unaligned_export(data, tmp_path, planted) -> None:
    export_dataset(data, data.select(), tmp_path / "u.pkl", "mmsa-unaligned")
    found = all_clips(tmp_path / "u.pkl", aligned=False)
    for n, clip in enumerate(IDS):
        one = found[clip]
        assert (one["audio_lengths"], one["vision_lengths"]) == (n + 1, 2)
        np.testing.assert_array_equal(one["vision"], planted.arrays("video", n + 1, n)["frames"])
        np.testing.assert_array_equal(one["audio"][: n + 1], planted.arrays("audio", n + 1, n)["words"])
        assert one["audio"].shape == (4, 4)


def test_audio_frames_and_wordpieces_go_out_where_they_are_stored(cache, planted, tmp_path) -> None:
    made = cache.create_dataset("demo")
    write_labels(made.path, labels())
    tokens = np.arange(12, dtype=np.float32).reshape(4, 3)
    extra = {
        "text": {"words": tokens[:1], "tokens": tokens, "input_ids": [101, 7, 8, 102]},
        "audio": {"words": np.ones((1, 2)), "frames": np.arange(20.0).reshape(10, 2)},
        "video": {"frames": np.ones((2, 6)), "seconds": [0.1, 0.2]},
    }
    for modality, arrays in extra.items():
        records = [ClipRecord(clip, source_digest(a=1), {k: np.array(v) for k, v in arrays.items()}) for clip in IDS]
        planted.write(create_feature_set(made.path, planted.specs[modality]), *records)
    path = tmp_path / "u.pkl"
    export_dataset(made, made.select(), path, "mmsa-unaligned", length=6)
    one = by_id(loaders(path, aligned=False, use_bert=True)["valid"])[IDS[2]]
    assert one["text"].tolist() == [[101, 7, 8, 102, 0, 0], [1, 1, 1, 1, 0, 0], [0] * 6]
    assert one["audio_lengths"] == 10 and one["audio"].shape == (10, 2)
    import_file(cache, "back", path, "mmsa")
    back = cache["back"].feature_set("text").read(IDS[0])
    np.testing.assert_array_equal(back["tokens"], tokens)
    assert back["input_ids"].tolist() == [101, 7, 8, 102]


def test_unimodal_labels_reach_mmsas_sims_loader(data, tmp_path) -> None:
    write_labels(data.path, labels(label_T=[0.5, -0.5, 1, 0], label_A=[1, 2, 3, 4], label_V=[0, 0, 0, -1]))
    export_dataset(data, data.select(), tmp_path / "s.pkl", "mmsa-aligned")
    (batch,) = loaders(tmp_path / "s.pkl", aligned=True, name="sims")["test"]
    assert {key: float(value[0]) for key, value in batch["labels"].items()} == {"M": 3, "T": 0, "A": 4, "V": -1}


def test_the_file_is_what_the_format_says(data, tmp_path) -> None:
    export_dataset(data, data.select(), tmp_path / "u.pkl", "mmsa-unaligned")
    with (tmp_path / "u.pkl").open("rb") as file:
        content = pickle.load(file)  # noqa: S301 - written by the line above
    train = content["train"]
    assert list(content) == ["train", "valid", "test"]
    assert train["annotations"] == ["Negative", "Neutral"] and train["classification_labels"].tolist() == [0, 1]
    assert train["regression_labels"].dtype == train["text"].dtype == np.float32
    assert train["regression_labels_T"].tolist() == [0.5, -0.5] and "regression_labels_A" not in train
    assert "text_bert" not in train
    assert content["test"]["audio_lengths"] == [4]


@pytest.mark.parametrize("form", ["mmsa-aligned", "mmsa-unaligned"])
def test_round_trip(cache, data, tmp_path, form) -> None:
    path = tmp_path / "x.pkl"
    export_dataset(data, data.select(), path, form)
    report = import_file(cache, "back", path, "mmsa", model="ours")
    assert not report.refused and report.labels_added == 4
    back, before = cache["back"], data.labels()
    after = back.labels().loc[before.index]
    for column in ("text", "label", "mode", "label_T"):
        assert after[column].tolist() == before[column].tolist()
    assert back.feature_set("text").read(IDS[3]) is None
    for clip in IDS:
        name = "words" if form == "mmsa-aligned" else "frames"
        np.testing.assert_array_equal(
            back.feature_set("audio").read(clip)[name], data.feature_set("audio").read(clip)["words"]
        )
    spec = back.feature_set("audio").spec
    assert spec.settings["provenance"] == "imported" and spec.settings["key"] == "audio"
    assert spec.about["file"] == "x.pkl" and len(spec.settings["file_sha256"]) == 64


@pytest.mark.parametrize("column", ["label", "mode"])
def test_a_missing_column_is_named(data, tmp_path, column) -> None:
    table = data.labels().drop(columns=column)
    (data.path / "labels.csv").write_text(table.to_csv(index_label="id"))
    with pytest.raises(CacheError, match=f"no column '{column}'"):
        export_dataset(data, data.select(), tmp_path / "a.pkl", "mmsa-aligned")
    assert not list(tmp_path.glob("*.pkl"))


def test_clips_without_split_or_label_are_left_out_by_name(data, tmp_path) -> None:
    table = data.labels()
    table.loc[IDS[0], "mode"], table.loc[IDS[1], "label"] = "", np.nan
    (data.path / "labels.csv").write_text(table.to_csv(index_label="id"))
    report = export_dataset(data, data.select(), tmp_path / "a.pkl", "mmsa-aligned")
    assert report.clips == 2 and list(report.left_out) == IDS[:2]
    assert "split" in report.left_out[IDS[0]] and "label" in report.left_out[IDS[1]]


def test_video_needs_word_times_only_on_the_word_axis(cache, planted, tmp_path) -> None:
    made = cache.create_dataset("demo")
    write_labels(made.path, labels())
    for modality in ("text", "audio", "video"):
        planted.write(
            create_feature_set(made.path, planted.specs[modality]), *(planted.record(i, modality) for i in IDS)
        )
    export_dataset(made, made.select(), tmp_path / "u.pkl", "mmsa-unaligned")
    with pytest.raises(CacheError, match="word times"):
        export_dataset(made, made.select(), tmp_path / "a.pkl", "mmsa-aligned")


def test_nothing_is_overwritten(data, tmp_path) -> None:
    (tmp_path / "a.pkl").write_text("mine")
    with pytest.raises(CacheError, match="exists"):
        export_dataset(data, data.select(), tmp_path / "a.pkl", "mmsa-aligned")
    assert (tmp_path / "a.pkl").read_text() == "mine" and not list(tmp_path.glob(".tmp-*"))


def test_long_clips_lose_their_end_and_it_is_said(data, tmp_path) -> None:
    report = export_dataset(data, data.select(), tmp_path / "a.pkl", "mmsa-aligned", length=2)
    assert any("longer than 2" in note for note in report.notes)
    assert all(one["text"].shape == (2, 5) for one in all_clips(tmp_path / "a.pkl", True).values())


def test_frames_on_words_by_hand() -> None:
    frames = np.array([[0.0], [2.0], [10.0]])
    seconds = np.array([0.0, 0.5, 1.0])
    start, end = np.array([0.0, 0.6, 0.7, 5.0]), np.array([1.0, 0.7, 0.8, 6.0])
    # Frames at 0 and 0.5 lie inside [0, 1); 0.65 is nearest to 0.5; 0.75 is as near to both: the earlier; then the last.
    assert frames_on_words(frames, seconds, start, end)[:, 0].tolist() == [1.0, 2.0, 2.0, 10.0]


def test_padding_by_hand() -> None:
    block, lengths = padded([np.ones((3, 1)), None, np.ones((1, 1))], 2, 1)
    assert block[:, :, 0].tolist() == [[1, 1], [0, 0], [1, 0]] and lengths.tolist() == [2, 0, 1]


def test_two_clips_of_one_name_are_refused(data, tmp_path, planted, cache) -> None:
    made = cache.create_dataset("twins")
    table = labels(video_id=["v"] * 4, clip_id=["1", "1", "2", "3"]).rename(index=dict(zip(IDS, "abcd", strict=True)))
    write_labels(made.path, table)
    for modality, spec in planted.specs.items():
        planted.write(create_feature_set(made.path, spec), *(planted.record(i, modality) for i in "abcd"))
    with pytest.raises(CacheError, match="two clips"):
        export_dataset(made, made.select(), tmp_path / "t.pkl", "mmsa-aligned")
