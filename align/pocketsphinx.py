"""The embedded aligner: PocketSphinx with the American English model that its package carries."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sadgr.align.errors import AlignmentFailed, UnpronounceableWord
from sadgr.align.pauses import Found, trim_pauses
from sadgr.align.pcm import pcm16
from sadgr.align.phonemes import EspeakPronouncer
from sadgr.align.spoken import spoken_forms
from sadgr.align.transcript import Span, fill_gaps
from sadgr.align.words import Alignment, Utterance, WordTime, one_by_one

SAMPLE_RATE_HZ = 16000
FRAMES_PER_SECOND = 100
SHORTEST_SECONDS = 0.1
SILENT_BELOW = 1e-4
"""Peak amplitude below which there is nothing to align (three steps of 16-bit sound)."""

# With the default second pass over the word lattice, or with narrower beams, last words get lost without a word.
_SEARCH = {"bestpath": False, "beam": 1e-120, "wbeam": 1e-100, "pbeam": 1e-120, "cmn": "batch", "silprob": 0.005}
_PAUSING = {**_SEARCH, "silprob": 0.5}
_WIDER = {**_SEARCH, "beam": 1e-250, "wbeam": 1e-250, "pbeam": 1e-250}
_SCORE_NATS = 5.0
_ACOUSTIC_SHIFT = 1024  # PocketSphinx keeps acoustic scores shifted right by 10 bits
_VARIANT = re.compile(r"\(\d+\)$")
_FILLER = re.compile(r"<.*>|\[.*\]|\(NULL\)|\+\+.*\+\+")


class PocketSphinxAligner:
    """Forced alignment of English, offline, some thirty times faster than real time.

    A word's score is exp(-d / 5), where d is how much likelier, in nats a frame, the best sound of the model was than
    the sounds of this word: about 0.8 for clear speech, 0.2 for words that are not what is heard.
    """

    name = "pocketsphinx"

    def __init__(self) -> None:
        self._pronouncer = EspeakPronouncer()

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Versions, search settings, and a hash of acoustic model and dictionary."""
        from pocketsphinx import get_model_path

        return {
            "version": version("pocketsphinx"),
            "model": _hash_folder(Path(get_model_path()) / "en-us"),
            "search": _SEARCH,
            "pausing": _PAUSING,
            "retry": _WIDER,
            "pronunciation": dict(self._pronouncer.settings),
            "numbers": version("num2words"),
            "rules": 2,
        }

    def align_all(self, utterances: Iterable[Utterance]) -> Iterator[Alignment]:
        """Aligns one after the other."""
        return one_by_one(self.align, utterances)

    def align(self, utterance: Utterance) -> tuple[WordTime, ...]:
        """Returns one `WordTime` per word; a word that nobody could pronounce is interpolated and flagged.

        Raises:
            AlignmentFailed: The sound is silent, too short or at another rate, or the words do not fit it.
            AlignerUnavailable: A word needs espeak-ng, which is not installed.
        """
        fail = _checked(utterance)
        owners, spoken = self._speakable(utterance.words)
        if not spoken:
            raise AlignmentFailed(
                fail,
                "no word of the transcript can be spoken in English, the one language that the embedded aligner knows; "
                "for another, choose --language and --aligner mfa, or bring word times with --aligner textgrid",
            )
        pcm = pcm16(utterance.waveform)
        found = self._search(self._decoder, pcm, spoken) or self._search(self._wide_decoder, pcm, spoken)
        pausing = found and self._search(self._pausing_decoder, pcm, spoken)
        if not found:
            raise AlignmentFailed(
                fail, f"its {len(spoken)} spoken words do not fit its {utterance.duration_seconds:.2f} s"
            )
        if pausing:
            found = trim_pauses(found, pausing, utterance.waveform, utterance.sample_rate_hz)
        spans: list[Span | None] = [None] * len(utterance.words)
        for place in sorted(set(owners)):
            parts = [one for one, owner in zip(found, owners, strict=True) if owner == place]
            end = min(parts[-1].end, utterance.duration_seconds)
            spans[place] = (min(parts[0].start, end), end, min(part.score for part in parts))
        return fill_gaps(utterance.words, spans, utterance.duration_seconds)

    def _speakable(self, words: Sequence[str]) -> tuple[list[int], list[str]]:
        """Returns what is to be found in the sound, and the transcript word that each spoken word belongs to."""
        owners: list[int] = []
        spoken: list[str] = []
        for place, word in enumerate(words):
            try:
                forms = [self._known(form) for form in spoken_forms(word)]
            except UnpronounceableWord:
                continue  # gets an interpolated, flagged time
            spoken += forms
            owners += [place] * len(forms)
        return owners, spoken

    def _known(self, word: str) -> str:
        """Makes sure that the dictionary has a word; a possessive or clitic it lacks is looked up as a whole."""
        if self._decoder.lookup_word(word) is None:
            phones = " ".join(self._pronouncer.pronounce(word))
            for decoder in (self._decoder, self._pausing_decoder, self._wide_decoder):
                decoder.add_word(word, phones, True)
        return word

    def _search(self, decoder: Any, pcm: bytes, spoken: Sequence[str]) -> list[Found] | None:
        """Returns every spoken word once and in order, or None."""
        try:
            decoder.reinit_feat()  # else the noise estimate of the last utterance colours this one
            decoder.set_align_text(" ".join(spoken))
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        except RuntimeError:
            with suppress(RuntimeError):
                decoder.end_utt()  # else the next utterance would begin in the middle of this one
            return None  # the search died; the caller tries wider beams, then says so
        found = [_found(one) for one in decoder.seg() or () if not _FILLER.fullmatch(one.word)]
        return found if [one.word for one in found] == list(spoken) else None

    @cached_property
    def _decoder(self) -> Any:
        return _decoder(_SEARCH)

    @cached_property
    def _pausing_decoder(self) -> Any:
        return _decoder(_PAUSING)

    @cached_property
    def _wide_decoder(self) -> Any:
        return _decoder(_WIDER)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the decoders behind: they belong to their process."""
        return {"_pronouncer": self._pronouncer}


def _decoder(search: Mapping[str, Any]) -> Any:
    from pocketsphinx import Decoder

    return Decoder(lm=None, samprate=SAMPLE_RATE_HZ, loglevel="FATAL", **search)


def _found(segment: Any) -> Found:
    frames = segment.end_frame - segment.start_frame + 1
    shortfall_nats = -_ACOUSTIC_SHIFT * math.log(max(segment.ascore, 1e-300)) / frames
    score = min(math.exp(-shortfall_nats / _SCORE_NATS), 1.0)
    start, end = segment.start_frame / FRAMES_PER_SECOND, (segment.end_frame + 1) / FRAMES_PER_SECOND
    return Found(_VARIANT.sub("", segment.word), start, end, score)


def _checked(utterance: Utterance) -> str:
    """Refuses what no aligner could use; returns the clip's id."""
    clip_id = utterance.clip_id
    if utterance.sample_rate_hz != SAMPLE_RATE_HZ:
        raise AlignmentFailed(clip_id, f"its sound has {utterance.sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ}")
    if utterance.duration_seconds < SHORTEST_SECONDS:
        raise AlignmentFailed(
            clip_id, f"its sound lasts {1000 * utterance.duration_seconds:.0f} ms, too short for a word"
        )
    if float(np.abs(utterance.waveform).max()) < SILENT_BELOW:
        raise AlignmentFailed(clip_id, "its sound is silent")
    if not utterance.words:
        raise AlignmentFailed(clip_id, "its transcript is empty")
    return clip_id


def _hash_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
