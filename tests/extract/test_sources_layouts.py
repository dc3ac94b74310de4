"""Which layout a source has, and saying so oneself."""

import pytest

from sadgr.extract.console import LAYOUTS as NAMES
from sadgr.extract.errors import SourceError
from sadgr.extract.sources import LAYOUTS, open_source, read_clips


def lay(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("id,text\na,so it goes\n")
    return folder


TREES = {
    "mmsa": ["label.csv", "Raw/v/1.mp4"],
    "mosi": ["Raw/Transcript/Segmented/v.annotprocessed", "Raw/Video/Segmented/v_1.mp4"],
    "mosei": ["Raw/Transcript/Segmented/Combined/v.txt", "Raw/Videos/Full/Combined/v.mp4"],
    "librispeech": ["dev-clean/84/7/84-7.trans.txt"],
    "media": ["a/talk.mp4", "a/talk.srt"],
}


@pytest.mark.parametrize("name", TREES)
def test_each_layout_is_recognised_and_can_be_named(tmp_path, name):
    lay(tmp_path, *TREES[name])
    assert type(open_source(tmp_path)) is type(open_source(tmp_path, name)) is LAYOUTS[name]


@pytest.mark.parametrize("name", ["mosi", "mosei"])
@pytest.mark.parametrize("below", ["", "Raw"])
def test_the_source_is_raw_or_what_holds_it(tmp_path, name, below):
    lay(tmp_path, *TREES[name])
    source = open_source(tmp_path / below)
    assert (source.layout, source.dataset) == (name, name)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet", ".CSV"])
def test_a_table_is_a_manifest(tmp_path, ending):
    lay(tmp_path, f"mine{ending}")
    assert open_source(tmp_path / f"mine{ending}").layout == "manifest"


def test_the_command_line_knows_all_layouts():
    assert sorted(NAMES) == sorted(LAYOUTS)


def test_what_is_named_comes_before_what_is_recognised(tmp_path):
    lay(tmp_path, *TREES["mmsa"], *TREES["mosi"])
    assert open_source(tmp_path).layout == "mmsa"
    assert open_source(tmp_path, "mosi").layout == "mosi"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mosei", ["does not have the layout 'mosei'", "Raw/Transcript/Segmented/Combined", "can be read as mosi"]),
        ("manifest", ["does not have the layout 'manifest'", ".csv, .jsonl, .parquet"]),
        ("iemocap", ["layout 'iemocap' is unknown", "mmsa, mosi, mosei, librispeech, manifest, media"]),
    ],
)
def test_a_layout_that_does_not_lie_there_is_an_error(tmp_path, name, words):
    lay(tmp_path, *TREES["mosi"])
    with pytest.raises(SourceError) as error:
        open_source(tmp_path, name)
    assert all(one in str(error.value) for one in words)


def test_an_unknown_folder_is_told_all_layouts(tmp_path):
    with pytest.raises(SourceError) as error:
        open_source(lay(tmp_path, "notes.doc"))
    assert all(one.expected in str(error.value) for one in LAYOUTS.values())


def test_mmsas_labels_of_each_modality_come_through(tmp_path):
    table = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\nv,1,so,1.0,0.5,-0.5,,Positive,valid\n"
    (tmp_path / "label.csv").write_text(table)
    (clip,) = read_clips(open_source(tmp_path, "mmsa"))
    assert {name: clip.columns[name] for name in ("label", "label_T", "label_A", "annotation", "mode")} == {
        "label": 1.0,
        "label_T": 0.5,
        "label_A": -0.5,
        "annotation": "Positive",
        "mode": "valid",
    }
    assert clip.columns["label_V"] != clip.columns["label_V"]  # no number
