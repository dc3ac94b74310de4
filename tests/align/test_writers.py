"""Word times as files, read back by the package's own readers."""

import csv
import io

import pytest

from sadgr.align import Flag, WordTime
from sadgr.align.readers import read_words
from sadgr.align.writers import as_csv, as_json, as_textgrid

TIMES = [
    WordTime("Well,", 0.1, 0.5, 0.75, Flag.ALIGNED),
    WordTime('"I"', 0.5, 0.6, 0.5, Flag.ALIGNED),
    WordTime("--", 0.6, 0.6, 0.0, Flag.INTERPOLATED),
    WordTime("know", 0.8, 1.2, 1.0, Flag.ALIGNED),
]


def test_json_has_the_documented_keys_and_comes_back(tmp_path):
    import json

    content = as_json(TIMES)
    assert content["words"][0] == {"word": "Well,", "start": 0.1, "end": 0.5, "score": 0.75}
    assert content["words"][2]["flag"] == "interpolated"
    (tmp_path / "clip.json").write_text(json.dumps(content))
    read = read_words(tmp_path / "clip.json")
    assert [(one.label, one.start, one.end, one.score) for one in read] == [
        (word.text, word.start_seconds, word.end_seconds, word.score) for word in TIMES if word.flag is Flag.ALIGNED
    ]


def test_csv_has_a_line_a_word_of_all_clips():
    rows = list(csv.reader(io.StringIO(as_csv({"a,b": TIMES, "c": TIMES[:1]}))))
    assert rows[0] == ["clip", "word", "start", "end", "score", "flag"] and len(rows) == 6
    assert rows[2] == ["a,b", '"I"', "0.5000", "0.6000", "0.5000", "aligned"]


def test_praats_file_holds_every_word_and_its_score(tmp_path):
    from praatio import textgrid

    path = tmp_path / "clip.TextGrid"
    path.write_text(as_textgrid(TIMES, 2.0), encoding="utf-8")
    assert [(one.label, one.start, one.end) for one in read_words(path)] == [
        ("Well,", 0.1, 0.5), ('"I" --', 0.5, 0.6), ("know", 0.8, 1.2),
    ]  # fmt: skip
    grid = textgrid.openTextgrid(str(path), False)
    assert [entry.label for entry in grid.getTier("score").entries] == ["0.75", "0.50", "1.00"]
    assert grid.maxTimestamp == 2.0


def test_praats_file_takes_rounded_times_and_says_nothing(tmp_path, capsys):
    """Ends past the sound by rounding, and spans that overlap by less than a tenth of a millisecond."""
    times = [WordTime("a", 0.1, 1.00006, 1.0, Flag.ALIGNED), WordTime("b", 1.00001, 2.000049, 1.0, Flag.ALIGNED)]
    path = tmp_path / "clip.TextGrid"
    path.write_text(as_textgrid(times, 2.00004), encoding="utf-8")
    assert [one.label for one in read_words(path)] == ["a", "b"] and capsys.readouterr().out == ""


@pytest.mark.parametrize("times", [[], [WordTime("a", 0.0, 0.0, 0.0, Flag.INTERPOLATED)], TIMES[2:]])
def test_praats_file_is_written_whatever_the_words(tmp_path, times):
    path = tmp_path / "clip.TextGrid"
    path.write_text(as_textgrid(times, 2.0), encoding="utf-8")
    assert len(read_words(path)) == sum(word.end_seconds > word.start_seconds for word in times)
