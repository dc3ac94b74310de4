"""CMU-MOSEI's raw files, read: labels in three forms, splits in two."""

import os

import h5py
import numpy as np
import pytest

from sadgr.extract.errors import SourceError
from sadgr.extract.sources import open_source, read_clips
from sadgr.extract.sources.folds import read_std_folds
from sadgr.extract.sources.mosei_transcripts import utterances

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
VALUES = ("label", *EMOTIONS)


@pytest.fixture
def tree(tmp_path):
    said = tmp_path / "Raw/Transcript/Segmented/Combined"
    said.mkdir(parents=True)
    (said / "v.txt").write_text("v___0___0.0___1.5___one\nv___1___1.5___3.0___two\n")
    return tmp_path


def clips(path):
    return {clip.clip_id.removeprefix("v$_$"): clip for clip in read_clips(open_source(path))}


def values(path) -> dict:
    return {name: tuple(clip.columns[one] for one in VALUES) for name, clip in clips(path).items()}


def csd(path, rows, width=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        group = file.create_group("All Labels/data/v")
        group["features"] = np.array([range(n, n + width) for n in range(len(rows))], np.float32)
        group["intervals"] = np.array(rows)


def table(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


NONE = ("",) * 7
HEADER = "file,start,end,sentiment,happy,sad,anger,surprise,disgust,fear"
ANSWERS = "HITId,Input.VIDEO_ID,Input.CLIP,Answer.sentiment,Answer.happiness,Answer.sadness,Answer.anger,Answer.surprise,Answer.disgust,Answer.fear"


@pytest.mark.parametrize("folder", ["", "Raw", "Labels", "Raw/Labels"])
def test_the_sdks_labels_join_by_time(tree, folder):
    csd(tree / folder / "CMU_MOSEI_Labels.csd", [(1.52, 3.02), (0.0, 1.5)])
    assert values(tree) == {"1": (0, 1, 2, 3, 4, 5, 6), "0": (1, 2, 3, 4, 5, 6, 7)}


def test_a_label_further_off_belongs_to_no_clip_and_says_so(tree):
    csd(tree / "CMU_MOSEI_Labels.csd", [(0.0, 1.5), (1.53, 3.0)])
    found = clips(tree)
    assert found["1"].columns["label"] == "" and not found["1"].fault
    assert "label for v, 1.530 to 3.000 s, and no clip lies there" in found["label 2"].fault
    assert found["label 2"].columns["label"] == 1.0


def test_the_nearest_of_two_labels_is_taken(tree):
    csd(tree / "CMU_MOSEI_Labels.csd", [(0.015, 1.5), (0.005, 1.5), (1.5, 3.0)])
    assert values(tree)["0"][0] == 1.0


def test_a_table_joins_by_time_or_else_by_clip(tree):
    table(tree / "Labels/a.csv", HEADER, "v,0.01,1.49,-1,0,0,0.5,0,0,0", "elsewhere,0,1,3,0,0,0,0,0,0")
    table(tree / "Labels/b.csv", "Video_ID,Clip_ID,Label,Happiness", "v,1,2.5,1")
    found = values(tree)
    assert found == {"0": (-1, 0, 0, 0.5, 0, 0, 0), "1": (2.5, 1, "", "", "", "", "")}


def test_annotators_answers_are_averaged_over_all_batches(tree):
    table(tree / "Raw/Labels/one.csv", ANSWERS, "x,v,0,1,3,0,0,0,0,0", "y,v,0,2,1,,0,0,0,0", "z,w,0,3,3,3,3,3,3,3")
    table(tree / "Raw/Labels/two.csv", ANSWERS, "x,folder/v,0,0,2,{},0,0,0,3", "x,v,5,1,1,1,1,1,1,1")
    found = clips(tree)
    assert tuple(found["0"].columns[one] for one in VALUES) == (1, 2, 0, 0, 0, 0, 1)
    assert tuple(found["1"].columns[one] for one in VALUES) == NONE
    assert set(found) == {"0", "1", "label 2"} and "clip 5, and no clip lies there" in found["label 2"].fault


def test_the_sdk_is_preferred_to_tables_and_tables_to_answers(tree):
    table(tree / "Labels/answers.csv", ANSWERS, "x,v,0,1,1,1,1,1,1,1")
    assert values(tree)["0"][0] == 1
    table(tree / "Labels/table.csv", HEADER, "v,0,1.5,2,2,2,2,2,2,2")
    assert values(tree)["0"][0] == 2
    csd(tree / "CMU_MOSEI_Labels.csd", [(0.0, 1.5)])
    assert values(tree)["0"][0] == 0


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,b", "1,2"], ["Labels/x.csv: a, b", "sentiment", "Rename the columns"]),
        ([HEADER, "v,0,1.5,good,0,0,0,0,0,0"], ["x.csv, row 1", "label 'good'"]),
        ([HEADER, *["v,0,1.5,1,0,0,0,0,0,0"] * 2], ["x.csv, row 2", "has a label already"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tree, lines, words):
    table(tree / "Labels/x.csv", *lines)
    with pytest.raises(SourceError) as error:
        clips(tree)
    assert all(one in str(error.value) for one in words)


def test_a_csd_that_is_none_or_leads_outside_is_refused(tree):
    path = tree / "CMU_MOSEI_Labels.csd"
    path.write_bytes(b"no HDF5")
    with pytest.raises(SourceError, match="fetch it again"):
        clips(tree)
    csd(path, [(0.0, 1.5)], width=3)
    with pytest.raises(SourceError, match=r"features \(1, 3\).*expected \(T, 7\)"):
        clips(tree)
    csd(tree / "other.h5", [(0.0, 1.5)])
    with h5py.File(path, "w") as file:
        file.create_group("All Labels/data")["v"] = h5py.ExternalLink("other.h5", "/All Labels/data/v")
    with pytest.raises(SourceError, match="links are refused"):
        clips(tree)


def test_splits_come_from_the_sdks_folds_and_nothing_of_them_is_run(tree, tmp_path):
    path = tree / "cmu_mosei_std_folds.py"
    path.write_text(
        "import os\nos.remove(__file__)\nstandard_train_fold=['w']\nstandard_valid_fold=[\n'v',]\nother=f()\n"
    )
    assert {clip.columns["mode"] for clip in clips(tree / "Raw").values()} == {"valid"}
    assert path.exists()


def test_splits_come_from_a_table(tree):
    table(tree / "Labels/splits.csv", "mode,video_id", "dev,v", "train,w")
    assert {clip.columns["mode"] for clip in clips(tree).values()} == {"valid"}
    assert set(values(tree).values()) == {NONE}  # nobody takes it for a table of labels


def test_without_splits_there_are_none(tree):
    assert {clip.columns["mode"] for clip in clips(tree).values()} == {""}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("standard_train_fold = open('x').read()", "is no plain list of video ids"),
        ("standard_train_fold = ['a']; standard_test_fold = ['a']", "has video 'a' in train and in test"),
        ("folds = ['a']", "has no list such as"),
        ("def", "cannot be read as Python"),
        ("x = \0", "cannot be read as Python"),
    ],
)
def test_folds_that_cannot_be_used_are_refused(tmp_path, code, words):
    (tmp_path / "my_std_folds.py").write_text(code)
    with pytest.raises(SourceError, match=words):
        read_std_folds(tmp_path / "my_std_folds.py")


@pytest.mark.parametrize(
    ("line", "words"), [("video,split\nv,test", "no column 'video_id'"), ("video_id,mode\nv,x", "split 'x'")]
)
def test_a_table_of_splits_that_cannot_be_used_is_refused(tree, line, words):
    table(tree / "splits.csv", line)
    with pytest.raises(SourceError, match=words):
        clips(tree)


def test_ids_that_run_into_the_delimiter_and_texts_that_hold_it(tmp_path):
    path = tmp_path / "a___b_.txt"
    path.write_text(
        "a___b____0___0.5___1___hm___ yes____\na___b____1___1___2___\nx___2___1___2___y\n", encoding="utf-8"
    )
    one, two, three = utterances("a___b_", path)
    assert (one.clip, one.start_seconds, one.end_seconds, one.text) == ("0", 0.5, 1.0, "hm___ yes____")
    assert (two.clip, two.text, two.fault) == ("1", "", "")
    assert three.clip == "line 3" and "x___2___1___2___y" in three.fault


@pytest.mark.parametrize("times", ["2___1", "1___1", "-1___1", "nan___1", "0___inf", "___1"])
def test_times_that_are_no_span_cost_their_clip_only(tree, times):
    with (tree / "Raw/Transcript/Segmented/Combined/v.txt").open("a") as file:
        file.write(f"v___2___{times}___three\nv___3___3___4___four\n")
    found = clips(tree)
    assert "v.txt, line 3" in found["2"].fault and "correct its times" in found["2"].fault
    assert [name for name, clip in found.items() if not clip.fault] == ["0", "1", "3"]


def test_more_clips_ask_the_file_system_nothing_more(tree, monkeypatch):
    """Each folder is listed once: twenty thousand questions to a network file system take minutes."""
    asked = []
    for name in ("stat", "scandir", "open"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *place, _real=real, **more: asked.append(place) or _real(*place, **more))

    def questions() -> int:
        asked.clear()
        assert all(clip.audio and clip.video for clip in clips(tree).values())
        return len(asked)

    segments = tree / "Raw/Videos/Segmented/Combined"
    segments.mkdir(parents=True)
    few = questions()
    with (tree / "Raw/Transcript/Segmented/Combined/v.txt").open("a") as file:
        file.writelines(f"v___{n}___{n}___{n + 1}___x\n" for n in range(3, 200))
    for number in range(100):
        (segments / f"v_{number}.mp4").touch()
    assert len(clips(tree)) == 200 and few == questions() > 0
