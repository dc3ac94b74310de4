"""Manifests in CSV, JSON lines and Parquet."""

import builtins
import json
import sys

import pandas as pd
import pytest

from sadgr.extract.clips import Medium
from sadgr.extract.errors import SourceError
from sadgr.extract.sources import open_source, read_clips

ROWS = [
    {"id": "001", "video": "a/talk.mp4", "text": "NA", "start": 0.5, "end": 2, "label": 1.5, "split": "dev", "take": 7},
    {"id": "NA", "audio": "b.wav", "text": "so it goes", "label": -1, "split": "train", "speaker": "01"},
    {"id": "Zoë", "video": "c.mp4", "audio": "c.wav", "text": "", "split": "test", "end": 3.5},
    {"id": "-x y", "text": "only text"},
]


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        pd.DataFrame(rows).astype(object).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


def read(path):
    return read_clips(open_source(path))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_the_same_rows_are_the_same_clips_in_every_format(tmp_path, ending):
    first, second, third, fourth = read(write(tmp_path / f"mine{ending}", ROWS))
    assert [clip.clip_id for clip in (first, second, third, fourth)] == ["001", "NA", "Zoë", "-x y"]
    assert first.video == first.audio == Medium(tmp_path / "a/talk.mp4", 0.5, 2.0)
    assert (first.transcript, first.columns["label"], first.columns["mode"]) == ("NA", 1.5, "valid")
    assert float(first.columns["take"]) == 7
    assert second.audio == Medium(tmp_path / "b.wav") and second.video is None
    assert second.columns["speaker"] == "01" and second.columns["label"] == -1
    assert third.audio == Medium(tmp_path / "c.wav", None, 3.5) and third.video == Medium(tmp_path / "c.mp4", None, 3.5)
    assert third.columns["label"] == "" and third.transcript == ""
    assert fourth.audio is None and fourth.video is None and fourth.transcript == "only text"
    assert fourth.columns["mode"] == ""
    assert not any(clip.fault for clip in (first, second, third, fourth))


def test_transcript_and_mode_are_other_names(tmp_path):
    rows = [{"id": "a", "transcript": "so it goes", "mode": "validation"}]
    (clip,) = read(write(tmp_path / "m.csv", rows))
    assert clip.transcript == "so it goes" and clip.columns == {"mode": "valid"}


def test_paths_may_lead_anywhere_that_a_person_says(tmp_path):
    rows = [{"id": "a", "audio": "/data/a.wav"}, {"id": "b", "audio": "../b.wav"}]
    first, second = read(write(tmp_path / "m.csv", rows))
    assert str(first.audio.path) == "/data/a.wav" and second.audio.path == tmp_path / "../b.wav"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"start": 2, "end": 1}, "ends at 1 s, not after its beginning at 2 s"),
        ({"start": 1, "end": 1}, "not after its beginning"),
        ({"start": -1}, "begins before its recording"),
        ({"start": "soon"}, "start 'soon' is no finite number"),
        ({"end": "inf"}, "end 'inf' is no finite number"),
        ({"label": "good"}, "label 'good' is no finite number"),
        ({"label_T": "nan"}, "label_T 'nan' is no finite number"),
        ({"split": "held out"}, "split 'held out' is unknown; expected train, valid"),
        ({"audio": "", "text": " "}, "neither video nor audio nor text"),
        ({"audio": "a\0b"}, "is no path"),
    ],
)
def test_a_row_with_a_bad_value_costs_its_clip_only(tmp_path, more, words):
    good = {
        "id": "good",
        "audio": "a.wav",
        "text": "x",
        "start": "",
        "end": "",
        "label": "",
        "label_T": "",
        "split": "",
    }
    first, second = read(write(tmp_path / "m.jsonl", [good, {**good, "id": "bad", **more}]))
    assert not first.fault and first.audio == Medium(tmp_path / "a.wav")
    assert words in second.fault and f"{tmp_path / 'm.jsonl'}, row 2" in second.fault and "correct it" in second.fault
    assert second.columns["mode"] == ""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", "name,audio\na,b\n", ["no column 'id'", "found name, audio"]),
        ("label.csv", "video_id,clip_id,text\na,b,c\n", ["no column 'id'", "name the folder that holds label.csv"]),
        ("m.csv", "id,label\na,1\n", ["none of the columns video, audio, text", "found id, label"]),
        ("m.csv", "id,text,transcript\na,b,c\n", ["both 'transcript' and 'text'"]),
        ("m.csv", "id,text\na,b\n,c\n", ["row 2", "a clip id is empty"]),
        ("m.csv", "id,text\na,b\na,c\n", ["stands twice"]),
        ("m.csv", "id,text\na,b,c\n", ["cannot be read as CSV"]),
        ("m.csv", b"id,text\na,caf\xe9\n", ["cannot be read as CSV in UTF-8"]),
        ("m.csv", "", ["cannot be read as CSV"]),
        ("m.jsonl", '{"id": "a", "text": "b"}\n{"id": \n', ["line 2, is no JSON"]),
        ("m.jsonl", '["a"]\n', ["line 1: expected one object a line"]),
        ("m.jsonl", '{"id": "a", "text": "\\ud800"}\n', ["line 1, is no JSON", "surrogates"]),
        ("m.jsonl", b"\xff\n", ["cannot be read as UTF-8"]),
        ("m.jsonl", "", ["holds no row"]),
        ("m.csv", "id,text\n", ["holds no row"]),
        ("m.parquet", "no table", ["cannot be read as Parquet"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError) as error:
        read(tmp_path / name)
    assert all(one in str(error.value) for one in (str(tmp_path / name) if "twice" not in words[0] else "", *words))


def test_json_keeps_types_and_parquet_keeps_whole_numbers(tmp_path):
    rows = [{"id": 1, "text": "a", "takes": [1, 2], "good": True}, {"id": 2, "text": None, "audio": "b.wav"}]
    first, second = read(write(tmp_path / "m.jsonl", rows))
    assert (first.clip_id, second.clip_id) == ("1", "2")
    assert first.columns == {"takes": "[1, 2]", "good": 1} and second.columns == {"takes": "", "good": ""}
    table = pd.DataFrame({"id": [10, 11], "text": ["a", "b"], "take": pd.array([1, None], "Int64")}).set_index("id")
    table.to_parquet(tmp_path / "m.parquet")
    first, second = read(tmp_path / "m.parquet")
    assert first.clip_id == "10" and first.columns["take"] == 1 and second.columns["take"] == ""


def test_without_pyarrow_the_remedy_is_said(tmp_path, monkeypatch):
    path = write(tmp_path / "m.parquet", ROWS)
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [one for one in sys.modules if one.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SourceError, match=r'needs pyarrow; run pip install "sadgr\[parquet\]"'):
        read(path)
