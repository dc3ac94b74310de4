"""CMU-MOSI's raw files, read."""

from collections import Counter

import pytest

from sadgr.extract.errors import SourceError
from sadgr.extract.sources import open_source, read_clips
from sadgr.extract.sources.mosi_folds import FOLDS

VIDEO = "03bSnISJMiM"


@pytest.fixture
def tree(tmp_path):
    said = tmp_path / "Raw/Transcript/Segmented"
    said.mkdir(parents=True)
    (said / f"{VIDEO}.annotprocessed").write_text("1_DELIM_ONE\n2_DELIM_TWO\n")
    (tmp_path / "Raw/Video/Segmented").mkdir(parents=True)
    return tmp_path


def label(folder, *rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "OpinionLevelSentiment.csv").write_text("".join(f"{row}\n" for row in rows))


def clips(path):
    return {clip.clip_id: clip for clip in read_clips(open_source(path))}


def test_the_standard_folds_are_the_published_ones():
    assert Counter(FOLDS.values()) == {"train": 52, "valid": 10, "test": 31}
    assert FOLDS["2iD-tVS8NPw"] == "train" and FOLDS["_dI--eQ6qVU"] == "valid" and FOLDS["f_pcplsH_V0"] == "test"


@pytest.mark.parametrize("folder", ["Labels", "Raw/Labels"])
@pytest.mark.parametrize("below", ["", "Raw"])
def test_labels_lie_in_either_folder(tree, folder, below):
    label(tree / folder, f"0.5,2.5,{VIDEO},1,-1.8")
    found = clips(tree / below)
    columns = {"video_id": VIDEO, "clip_id": "1", "mode": "train", "label": -1.8, "start": 0.5, "end": 2.5}
    assert found[f"{VIDEO}$_$1"].columns == columns
    assert found[f"{VIDEO}$_$2"].columns["label"] == ""


def test_without_a_table_every_clip_is_there_without_a_label(tree):
    assert [clip.columns["label"] for clip in clips(tree).values()] == ["", ""]


def test_segments_come_in_the_order_of_their_numbers(tree):
    label(tree / "Labels", *(f"0,1,{VIDEO},{n},1" for n in (10, 9, 1)))
    assert [clip.columns["clip_id"] for clip in clips(tree).values()] == ["1", "2", "9", "10"]


def test_a_segment_that_stands_twice_costs_the_second_line_only(tree):
    path = tree / f"Raw/Transcript/Segmented/{VIDEO}.annotprocessed"
    path.write_bytes(b"\xef\xbb\xbf1_DELIM_ONE\r\n1_DELIM_AGAIN\r\n2_DELIM_caf\xe9\r\n")
    found = clips(tree)
    assert found[f"{VIDEO}$_$1"].transcript == "ONE"
    assert "line 2: segment 1 stands there twice" in found[f"{VIDEO}$_$line 2"].fault
    assert "line 3, is no UTF-8 text" in found[f"{VIDEO}$_$2"].fault


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([f"0,1,{VIDEO},1,good"], "row 1: label 'good' is no finite number"),
        ([f"0,1,{VIDEO},1,1", f"0,1,{VIDEO},1,2"], f"row 2: segment 1 of {VIDEO} has a label already"),
        (["0,1,../../etc/passwd,1,1"], "name no file"),
        ([f"0,1,{VIDEO},one,1"], "name no file"),
        ([f"0,1,{VIDEO},1,1,7"], "cannot be read as CSV"),
    ],
)
def test_a_table_of_labels_that_contradicts_itself_is_refused(tree, rows, words):
    label(tree / "Labels", *rows)
    with pytest.raises(SourceError) as error:
        clips(tree)
    assert words in str(error.value) and "OpinionLevelSentiment.csv" in str(error.value)
