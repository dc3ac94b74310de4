"""Word times that a lab already has, in a folder: MFA's output, LibriSpeech's published ones, or Whisper's JSON."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sadgr.align.errors import AlignerUnavailable, AlignmentFailed
from sadgr.align.readers import ANALYSIS_FILE, CHAPTER_ENDING, ENDINGS, UNKNOWN, UNREADABLE, read_chapter, read_words
from sadgr.align.transcript import Timed, fill_gaps, match_words
from sadgr.align.words import Alignment, Utterance, WordTime, one_by_one

_OVERLAP_SECONDS = 1e-3
_BEYOND_SECONDS = 0.1


class TextGridAligner:
    """Reads word times of each clip from a folder, wherever below it the clip's file lies.

    A file belongs to a clip when its name without ending is the clip's id, or the id with `$_$` and `/` as `_`, which
    corpora for MFA often have, or when its path below the folder is the id with `$_$` as `/`; LibriSpeech's `.alignment.txt` names its utterances itself. Where a file holds no
    confidence, a word found has score 1.

    Args:
        folder: What `mfa align` or another tool wrote.

    Raises:
        AlignerUnavailable: There is no such folder, or no alignment in it.
    """

    name = "textgrid"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[Path]] = {}
        self._chapters: dict[str, tuple[Path, list[Timed] | str]] = {}
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.name.endswith(CHAPTER_ENDING) and path.is_file():
                self._add_chapter(path)
            elif path.suffix in ENDINGS and path.name != ANALYSIS_FILE and path.is_file():
                below = path.relative_to(folder).with_suffix("").as_posix()
                for name in {path.stem, below, unquote(path.stem)}:  # sadgr-align -o writes odd ids percent-encoded
                    self._files.setdefault(unicodedata.normalize("NFC", name), []).append(path)
        if not self._files and not self._chapters:
            raise AlignerUnavailable(
                f"{folder} holds no alignment ({', '.join(ENDINGS)} or *{CHAPTER_ENDING}); name the folder that MFA wrote"
            )

    def _add_chapter(self, path: Path) -> None:
        try:
            chapter = read_chapter(path)
        except UNREADABLE as error:
            raise AlignerUnavailable(f"{path} cannot be read as LibriSpeech's alignments: {error}") from error
        if twice := self._chapters.keys() & chapter.keys():
            raise AlignerUnavailable(
                f"{path} has utterance {min(twice)}, as {self._chapters[min(twice)][0]} has; remove one"
            )
        self._chapters |= {utterance: (path, timed) for utterance, timed in chapter.items()}

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """A hash over all alignment files, names and bytes: other alignments are another feature set."""
        digest = hashlib.sha256()
        files = {file for files in self._files.values() for file in files} | {
            path for path, _ in self._chapters.values()
        }
        for path in sorted(files):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self._folder)}\0{len(content)}\0".encode() + content)
        return {"alignments": digest.hexdigest(), "rules": 2}

    def align_all(self, utterances: Iterable[Utterance]) -> Iterator[Alignment]:
        """Reads one after the other."""
        return one_by_one(self.align, utterances)

    def align(self, utterance: Utterance) -> tuple[WordTime, ...]:
        """Returns one `WordTime` per word; a word that the file has no time for is interpolated and flagged.

        Raises:
            AlignmentFailed: No file, an empty tier, broken times, or not one word that fits the transcript.
        """
        if utterance.clip_id in self._chapters:
            path, timed = self._chapters[utterance.clip_id]
            if isinstance(timed, str):
                raise AlignmentFailed(utterance.clip_id, f"{path}: {timed}")
            return fit_words(utterance.clip_id, utterance.words, utterance.duration_seconds, path, timed)
        path = self._file(utterance.clip_id)
        return words_of_file(utterance.clip_id, utterance.words, utterance.duration_seconds, path)

    def _file(self, clip_id: str) -> Path:
        names = (clip_id, clip_id.replace("$_$", "_").replace("/", "_"), clip_id.replace("$_$", "/"))
        found = list(dict.fromkeys(path for name in names for path in self._files.get(name, ())))
        if not found:
            raise AlignmentFailed(
                clip_id, f"{self._folder} has no alignment for it; MFA leaves out what it cannot align"
            )
        if len(found) > 1:
            raise AlignmentFailed(clip_id, f"two files could be its alignment: {found[0]} and {found[1]}; remove one")
        return found[0]


def words_of_file(clip_id: str, words: Sequence[str], duration_seconds: float, path: Path) -> tuple[WordTime, ...]:
    """Reads an utterance's file and maps its labels to the transcript's words.

    Raises:
        AlignmentFailed: The file cannot be read, or its times or words are not this clip's.
    """
    try:
        timed = read_words(path)
    except UNREADABLE as error:
        raise AlignmentFailed(
            clip_id, f"{path} cannot be read as word times ({type(error).__name__}: {error})"
        ) from error
    return fit_words(clip_id, words, duration_seconds, path, timed)


def fit_words(
    clip_id: str, words: Sequence[str], duration_seconds: float, path: Path, timed: Sequence[Timed]
) -> tuple[WordTime, ...]:
    """Holds timed labels against the clip's length and transcript, and gives every word of it a time.

    Args:
        clip_id: For messages.
        words: N words of the transcript.
        duration_seconds: The sound's length.
        path: Where the labels come from, for messages.
        timed: Labels in order, silences left out.

    Raises:
        AlignmentFailed: The times are broken or past the sound's end, or no label fits the transcript.
    """
    if fault := _fault(timed, duration_seconds):
        raise AlignmentFailed(clip_id, f"{path}: {fault}")
    inside = []
    free_from = 0.0
    for one in timed:  # what is allowed of overlap, and of time beyond the sound, is rounding
        start = min(max(one.start, free_from), duration_seconds)
        free_from = min(max(one.end, start), duration_seconds)
        inside.append(Timed(one.label, start, free_from, one.score))
    spans = match_words(words, inside, UNKNOWN)
    if not any(spans):
        raise AlignmentFailed(clip_id, f"{path} has no word of the transcript; is it another clip's?")
    return fill_gaps(words, spans, duration_seconds)


def _fault(timed: Sequence[Timed], duration_seconds: float) -> str:
    """Says what is wrong with a tier's times, or nothing."""
    if not timed:
        return "its words tier is empty; MFA could not align this clip"
    last = 0.0
    for label, start, end, _ in timed:
        if not (math.isfinite(start) and math.isfinite(end)):
            return f"{label!r} at {start}-{end} s has no time"
        if end < start or start < last - _OVERLAP_SECONDS:
            return f"{label!r} at {start:.3f}-{end:.3f} s overlaps what stands before it, or ends before it starts"
        last = end
    if last > duration_seconds + _BEYOND_SECONDS:
        return f"its last word ends at {last:.3f} s, the sound at {duration_seconds:.3f} s; is it another clip's?"
    return ""
