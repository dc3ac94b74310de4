"""Alignment of a source's clips: a stage of its own on the CPU, before any encoder, so that no GPU waits for it."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sadgr.align import Aligner, Alignment, Utterance, WordTime, doubts, evenly_spaced
from sadgr.cache import ClipRecord, FeatureWriter, RefusedValueError
from sadgr.cache.runlog import State
from sadgr.extract.background import Background
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoders, Pending
from sadgr.extract.errors import AbsentError
from sadgr.extract.media.audio import SAMPLE_RATE_HZ
from sadgr.extract.media.errors import MediaError
from sadgr.extract.outcome import Report
from sadgr.extract.sound import begin_sound, sound_of

STAGE = "words"
ALIGNMENTS_WAITING = 16
PATIENCE_SECONDS = 5.0
"""What a signal leaves to an aligner for the clip that it is at, or for ending the program that it runs. An hour of sound
takes minutes, a decoder that hangs two: those are left to themselves, and done by the next run."""


def align_clips(
    clips: Sequence[Clip],
    sources: Mapping[str, str],
    aligner: Aligner,
    writer: FeatureWriter,
    report: Report,
    decoders: Decoders,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Align clips and write their word times.

    A clip that cannot be aligned gets evenly spaced, flagged times and is reported: an evaluation over the published
    split must not lose a clip to the aligner.

    Args:
        clips: what is to be aligned.
        sources: clip id -> digest of what its words come from.
        aligner: finds the times.
        writer: takes them.
        report: is told of every clip.
        decoders: decode its sound.
        stop: asked before every clip; what is done by then is published.
        progress: told how many clips are through.
    """
    known = {clip.clip_id: clip for clip in clips}
    heard: dict[str, tuple[float, str]] = {}
    asides: deque[_Aside] = deque()
    begun = 0.0

    def utterances() -> Iterator[Utterance]:
        for clip, pending in decoders.ahead(clips, lambda clip: begin_sound(clip, decoders)):
            if stop():
                return
            found = _hear(clip, pending)
            if isinstance(found, _Aside):
                asides.append(found)
                continue
            utterance, trouble = found
            heard[clip.clip_id] = (utterance.duration_seconds, trouble)
            yield utterance

    def take(clip_id: str, state: State, reason: str, times: Sequence[WordTime] | None) -> None:
        nonlocal begun
        try:
            if state != "failed":
                arrays = None if times is None else word_arrays(times)
                writer.add(ClipRecord(clip_id, sources[clip_id], arrays))
        except RefusedValueError as error:
            state, reason = "failed", str(error)
        report.tell(clip_id, STAGE, state, reason, elapsed() - begun)
        begun = elapsed()
        progress(1)

    def take_asides() -> None:
        while asides:
            aside = asides.popleft()
            if not (aside.state == "failed" and stop()):  # the signal may have ended the decoder, too
                take(*aside)

    patient = _Patience(stop)
    with (
        report.timed(STAGE) as elapsed,
        Background(aligner.align_all(utterances()), ALIGNMENTS_WAITING, patient) as alignments,
    ):
        for alignment in alignments:
            clip_id = alignment.clip_id
            seconds, trouble = heard.pop(clip_id)
            times, remark = usable_times(known[clip_id], alignment, seconds)
            remark = "; ".join(filter(None, (trouble, remark)))
            take(clip_id, "flagged" if remark else "done", remark, times)
            take_asides()
        take_asides()
        for clip_id in () if stop() else list(heard):
            take(clip_id, "failed", f"the aligner {aligner.name} gave no answer for it", None)
    report.finished = report.finished and not stop()


class _Patience:
    """Asks for a stop once it was asked for `PATIENCE_SECONDS` ago: an aligner that ends by itself loses nothing.

    Args:
        stop: asked for.
    """

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self._since: float | None = None

    def __call__(self) -> bool:
        if self._since is None and self._stop():
            self._since = time.monotonic()
        return self._since is not None and time.monotonic() - self._since > PATIENCE_SECONDS


class _Aside(NamedTuple):
    """What became of a clip that no aligner is asked about; `times` is None where it has no record of any."""

    clip_id: str
    state: State
    reason: str
    times: tuple[WordTime, ...] | None = None


def _hear(clip: Clip, pending: Pending | None) -> tuple[Utterance, str] | _Aside:
    try:
        utterance, trouble = utterance_of(clip, pending)
    except AbsentError as error:
        return _Aside(clip.clip_id, "absent", str(error))
    except MediaError as error:
        return _Aside(clip.clip_id, "failed", str(error))
    if not clip.words:
        return _Aside(clip.clip_id, "flagged", "the transcript is empty, so there are no words", ())
    return utterance, trouble


def utterance_of(clip: Clip, pending: Pending | None) -> tuple[Utterance, str]:
    """Put a clip's sound beside its words; gives what its decoder went through, too.

    Raises:
        AbsentError, MediaError: as `sound_of` does.
    """
    if clip.fault:
        raise MediaError(clip.fault)
    sound = sound_of(clip, pending)
    return Utterance(clip.clip_id, clip.words, sound.content.samples, SAMPLE_RATE_HZ, clip.speaker), sound.trouble


def usable_times(clip: Clip, alignment: Alignment, duration_seconds: float) -> tuple[tuple[WordTime, ...], str]:
    """Return a clip's word times, evenly spaced ones where alignment failed, and what to flag about them.

    Args:
        clip: the clip.
        alignment: what its aligner gave.
        duration_seconds: length of its sound.
    """
    reason = alignment.failure
    if not reason and tuple(word.text for word in alignment.words) != clip.words:
        reason = "the aligner's words are not the transcript's"
    if not reason:
        return alignment.words, doubts(alignment.words)
    remark = f"could not be aligned: {reason}; evenly spaced times were stored and flagged"
    return evenly_spaced(clip.words, duration_seconds), remark


def word_arrays(times: Sequence[WordTime]) -> dict[str, npt.NDArray[Any]]:
    """Return word times as the cache stores them, N entries each."""
    return {
        "text": np.array([word.text for word in times], dtype=str),
        "start": np.array([word.start_seconds for word in times], dtype=np.float64),
        "end": np.array([word.end_seconds for word in times], dtype=np.float64),
        "score": np.array([word.score for word in times], dtype=np.float32),
        "flag": np.array([word.flag for word in times], dtype=np.uint8),
    }
