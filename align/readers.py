"""Readers of word times that other tools wrote, each to the same list of timed labels."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from praatio import textgrid

from sadgr.align.transcript import Timed

SILENCE = frozenset({"", "sp", "sil", "<eps>", "<sil>"})
UNKNOWN = frozenset({"<unk>", "spn"})
"""Labels by which MFA and its predecessors mark silence, and words that their dictionary lacks."""

ENDINGS = (".TextGrid", ".textgrid", ".json", ".csv")
ANALYSIS_FILE = "alignment_analysis.csv"
"""MFA's own judgement of a whole run; it lies beside the alignments and is none."""

CHAPTER_ENDING = ".alignment.txt"
"""LibriSpeech's published alignments: a file a chapter."""

UNREADABLE = (
    OSError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    csv.Error,
    textgrid.utils.errors.PraatioException,
)
"""All that bytes which are no alignment make the parsers raise."""

_WORDS_TIER = "words"
_CUT_OFF_SECONDS = 0.1


def read_words(path: Path) -> list[Timed]:
    """Reads the words of one utterance's file, silences left out.

    Long and short TextGrids, MFA's JSON and CSV, and JSON as Whisper's tools write it: `words`, or `segments` that hold
    `words`, each with `word` (or `text`), `start`, `end` and perhaps `score`, `probability` or `confidence`.

    Args:
        path: A file with one of `ENDINGS`.

    Returns:
        Labels with start and end in seconds; score 1 where the file holds none.

    Raises:
        One of `UNREADABLE`: the file is something else, or cut off.
    """
    read = {".json": _read_json, ".csv": _read_csv}.get(path.suffix, _read_textgrid)
    return [one for one in read(path) if one.label.strip().lower() not in SILENCE]


def read_chapter(path: Path) -> dict[str, list[Timed] | str]:
    """Reads LibriSpeech's `<speaker>-<chapter>.alignment.txt`: lines `id "w1,w2,..." "end1,end2,..."`.

    Returns:
        Utterance id -> its words, or what is wrong with its line; an empty word is silence and left out.
    """
    found: dict[str, list[Timed] | str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        utterance, _, rest = line.strip().partition(" ")
        labels, ends = (part.strip('"').split(",") for part in rest.split(" ", 1)) if " " in rest else ([], [])
        try:
            times = [0.0, *map(float, ends)]
        except ValueError:
            times = []
        if not labels or len(labels) + 1 != len(times):
            found[utterance] = f'line {number} is not `id "words" "ends"` with as many words as ends'
            continue
        timed = map(Timed, labels, times[:-1], times[1:])
        found[utterance] = [one for one in timed if one.label.strip().lower() not in SILENCE]
    return found


def _read_textgrid(path: Path) -> Iterator[Timed]:
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence")
    tier = grid.getTier(_words_tier(grid.tierNames))
    entries = tier.entries
    if entries and entries[-1].end < tier.maxTimestamp - _CUT_OFF_SECONDS:  # a tier has no gaps: silence is an interval
        raise ValueError(f"its words stop at {entries[-1].end} of {tier.maxTimestamp} s: the file is cut off")
    return (Timed(entry.label, entry.start, entry.end) for entry in entries)


def _read_json(path: Path) -> list[Timed]:
    content = json.loads(path.read_bytes())
    if "tiers" in content:  # praatio's JSON, which MFA writes
        entries = content["tiers"][_words_tier(content["tiers"])]["entries"]
        return [Timed(label, float(start), float(end)) for start, end, label in entries]
    words = content["words"] if "words" in content else [w for one in content["segments"] for w in one["words"]]
    # WhisperX leaves times out where it found none, as for numbers, and sadgr-align marks times that it interpolated:
    # such words get theirs from their neighbours again.
    timed = [word for word in words if word.get("start") is not None and word.get("end") is not None]
    return [_whisper_word(word) for word in timed if word.get("flag") != "interpolated"]


def _whisper_word(word: Mapping[str, Any]) -> Timed:
    scores = [word[name] for name in ("score", "probability", "confidence") if word.get(name) is not None]
    score = min(max(float(scores[0]), 0.0), 1.0) if scores else 1.0
    if not math.isfinite(score):
        raise ValueError(f"the score of {word!r} is no number")
    return Timed(str(word["word"] if "word" in word else word["text"]), float(word["start"]), float(word["end"]), score)


def _read_csv(path: Path) -> list[Timed]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    words = [row for row in rows if row["Type"] == _WORDS_TIER]
    return [Timed(row["Label"], float(row["Begin"]), float(row["End"])) for row in words]


def _words_tier(names: Collection[str]) -> str:
    """Finds the one words tier; MFA puts the speaker's name before it where it knows speakers."""
    found = [name for name in names if name == _WORDS_TIER or name.endswith(f" - {_WORDS_TIER}")]
    if len(found) != 1:
        raise ValueError(f"expected one tier called {_WORDS_TIER!r}, it has {', '.join(names) or 'none'}")
    return found[0]
