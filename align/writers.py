"""Word times as files that people and other tools read."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from praatio import textgrid

from sadgr.align.words import Flag, WordTime

CSV_COLUMNS = ("clip", "word", "start", "end", "score", "flag")


def as_json(times: Sequence[WordTime]) -> dict[str, Any]:
    """Gives `{"words": [{"word", "start", "end", "score"}]}`, in seconds; an interpolated word says so in `flag`."""
    words = []
    for word in times:
        about = {"word": word.text, "start": round(word.start_seconds, 4), "end": round(word.end_seconds, 4)}
        flag = {} if word.flag is Flag.ALIGNED else {"flag": word.flag.name.lower()}
        words.append({**about, "score": round(word.score, 4), **flag})
    return {"words": words}


def as_csv(clips: Mapping[str, Sequence[WordTime]]) -> str:
    """Gives a line a word of all clips, with the columns `CSV_COLUMNS`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for clip_id, times in clips.items():
        for word in times:
            span = (f"{word.start_seconds:.4f}", f"{word.end_seconds:.4f}")
            writer.writerow([clip_id, word.text, *span, f"{word.score:.4f}", word.flag.name.lower()])
    return buffer.getvalue()


def as_textgrid(times: Sequence[WordTime], duration_seconds: float) -> str:
    """Gives a long TextGrid with the tiers `words` and `score`, which Praat opens.

    A tier cannot hold an interval without length, so a word without time of its own stands in its neighbour's label.
    """
    duration_seconds = max([duration_seconds, *(word.end_seconds for word in times)])
    intervals = _intervals(times, duration_seconds)
    grid = textgrid.Textgrid(0.0, duration_seconds)
    for name, column in (("words", 2), ("score", 3)):
        entries = [(one[0], one[1], one[column]) for one in intervals]
        grid.addTier(textgrid.IntervalTier(name, entries, 0.0, duration_seconds))
    with tempfile.TemporaryDirectory() as folder:  # praatio writes to files only
        path = Path(folder) / "words.TextGrid"
        grid.save(str(path), format="long_textgrid", includeBlankSpaces=True, reportingMode="silence")
        return path.read_text(encoding="utf-8")


def _intervals(times: Sequence[WordTime], duration_seconds: float) -> list[tuple[float, float, str, str]]:
    """Gives start, end, label and score of each interval with length."""
    intervals: list[tuple[float, float, str, str]] = []
    before: list[str] = []
    free_from = 0.0
    for word in times:
        start = max(round(word.start_seconds, 4), free_from)
        end = min(round(word.end_seconds, 4), duration_seconds)
        if end > start:
            free_from = end
            intervals.append((start, end, " ".join([*before, word.text]), f"{word.score:.2f}"))
            before = []
        elif intervals:
            *span, label, score = intervals[-1]
            intervals[-1] = (span[0], span[1], f"{label} {word.text}", score)
        else:
            before.append(word.text)
    return intervals
