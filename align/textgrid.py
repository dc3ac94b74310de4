"""Word times that another tool wrote: MFA's output folder of TextGrids or JSON files."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from praatio import textgrid

from sadgr.align.errors import AlignerUnavailable, AlignmentFailed
from sadgr.align.transcript import Timed, fill_gaps, match_words
from sadgr.align.words import Utterance, WordTime

SILENCE = frozenset({"", "sp", "sil", "<eps>", "<sil>"})
UNKNOWN = frozenset({"<unk>", "spn"})
_WORDS_TIER = "words"
_ENDINGS = (".TextGrid", ".textgrid", ".json")
_OVERLAP_SECONDS = 1e-3
_BEYOND_SECONDS = 0.1
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, textgrid.utils.errors.PraatioException)
"""All that bytes which are no alignment make the parsers raise."""


class TextGridAligner:
    """Reads word times of each clip from a folder, wherever below it the clip's file lies.

    A file belongs to a clip when its name without ending is the clip's id, or the id with `$_$` and `/` as `_`, which
    corpora for MFA often have. Such files hold no confidence, so a word found has score 1.

    Args:
        folder: what `mfa align` wrote.

    Raises:
        AlignerUnavailable: there is no such folder, or no alignment in it.
    """

    name = "textgrid"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix in _ENDINGS and path.is_file():
                self._files.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
        if not self._files:
            raise AlignerUnavailable(f"{folder} holds no .TextGrid or .json file; name the folder that MFA wrote")

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """A hash over all alignment files, names and bytes: other alignments are another feature set."""
        digest = hashlib.sha256()
        for path in sorted(file for files in self._files.values() for file in files):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self._folder)}\0{len(content)}\0".encode() + content)
        return {"alignments": digest.hexdigest(), "rules": 1}

    def align(self, utterance: Utterance) -> tuple[WordTime, ...]:
        """Returns one `WordTime` per word; a word that the file has no time for is interpolated and flagged.

        Raises:
            AlignmentFailed: No file, an empty tier, broken times, or not one word that fits the transcript.
        """
        path = self._file(utterance.clip_id)
        try:
            timed = [one for one in _read(path) if one[0].strip().lower() not in SILENCE]
        except _UNREADABLE as error:
            raise AlignmentFailed(
                utterance.clip_id, f"{path} cannot be read as word times ({type(error).__name__}: {error})"
            ) from error
        duration = utterance.duration_seconds
        if fault := _fault(timed, duration):
            raise AlignmentFailed(utterance.clip_id, f"{path}: {fault}")
        timed = [(label, min(max(start, 0.0), duration), min(end, duration)) for label, start, end in timed]
        spans = match_words(utterance.words, timed, UNKNOWN)
        if not any(spans):
            raise AlignmentFailed(utterance.clip_id, f"{path} has no word of the transcript; is it another clip's?")
        return fill_gaps(utterance.words, spans, [1.0] * len(spans), duration)

    def _file(self, clip_id: str) -> Path:
        stems = dict.fromkeys([clip_id, clip_id.replace("$_$", "_").replace("/", "_")])
        found = [path for stem in stems for path in self._files.get(stem, ())]
        if not found:
            raise AlignmentFailed(
                clip_id, f"{self._folder} has no alignment for it; MFA leaves out what it cannot align"
            )
        if len(found) > 1:
            raise AlignmentFailed(clip_id, f"two files could be its alignment: {found[0]} and {found[1]}; remove one")
        return found[0]


def _read(path: Path) -> list[Timed]:
    """Reads the words tier of a long or short TextGrid, or of MFA's JSON."""
    if path.suffix == ".json":
        tiers = json.loads(path.read_bytes())["tiers"]
        return [(label, float(start), float(end)) for start, end, label in tiers[_words_tier(tiers)]["entries"]]
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence")
    tier = grid.getTier(_words_tier(grid.tierNames))
    timed = [(entry.label, entry.start, entry.end) for entry in tier.entries]
    if (
        timed and timed[-1][2] < tier.maxTimestamp - _BEYOND_SECONDS
    ):  # Praat's tiers have no gaps: silence is an interval
        raise ValueError(f"its words stop at {timed[-1][2]} of {tier.maxTimestamp} s: the file is cut off")
    return timed


def _words_tier(names: Collection[str]) -> str:
    """Finds the one words tier; MFA puts the speaker's name before it where it knows speakers."""
    found = [name for name in names if name == _WORDS_TIER or name.endswith(f" - {_WORDS_TIER}")]
    if len(found) != 1:
        raise ValueError(f"expected one tier called {_WORDS_TIER!r}, it has {', '.join(names) or 'none'}")
    return found[0]


def _fault(timed: list[Timed], duration_seconds: float) -> str:
    """Says what is wrong with a tier's times, or nothing."""
    if not timed:
        return "its words tier is empty; MFA could not align this clip"
    last = 0.0
    for label, start, end in timed:
        if not (math.isfinite(start) and math.isfinite(end)):
            return f"{label!r} at {start}-{end} s has no time"
        if end <= start or start < last - _OVERLAP_SECONDS:
            return f"{label!r} at {start:.3f}-{end:.3f} s overlaps what stands before it, or ends before it starts"
        last = end
    if last > duration_seconds + _BEYOND_SECONDS:
        return f"its last word ends at {last:.3f} s, the sound at {duration_seconds:.3f} s; is it another clip's?"
    return ""
