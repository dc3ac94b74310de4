"""Alignment of a source's clips: a stage of its own on the CPU, before any encoder, so that no GPU waits for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sadgr.align import Aligner, Alignment, Utterance, WordTime, doubts, evenly_spaced
from sadgr.cache import ClipRecord, FeatureWriter, RefusedValueError
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoders, Pending
from sadgr.extract.errors import AbsentError
from sadgr.extract.media.audio import SAMPLE_RATE_HZ
from sadgr.extract.media.errors import MediaError
from sadgr.extract.outcome import Report
from sadgr.extract.sound import begin_sound, sound_of

STAGE = "words"


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
    seconds: dict[str, float] = {}
    troubles: dict[str, str] = {}

    def through(clip_id: str, state: Any, reason: str = "") -> None:
        report.tell(clip_id, STAGE, state, reason, elapsed() - begun)
        progress(1)

    def utterances() -> Iterator[Utterance]:
        for clip, pending in decoders.ahead(clips, lambda clip: begin_sound(clip, decoders)):
            if stop():
                return
            try:
                utterance, trouble = utterance_of(clip, pending)
            except AbsentError as error:
                writer.add(ClipRecord(clip.clip_id, sources[clip.clip_id], None))
                through(clip.clip_id, "absent", str(error))
            except MediaError as error:
                if not stop():  # the signal may have ended the decoder, too
                    through(clip.clip_id, "failed", str(error))
            else:
                if clip.words:
                    seconds[clip.clip_id], troubles[clip.clip_id] = utterance.duration_seconds, trouble
                    yield utterance
                else:
                    writer.add(ClipRecord(clip.clip_id, sources[clip.clip_id], word_arrays(())))
                    through(clip.clip_id, "flagged", "the transcript is empty, so there are no words")

    with report.timed(STAGE) as elapsed:
        begun = elapsed()
        for alignment in aligner.align_all(utterances()):
            clip_id = alignment.clip_id
            times, remark = usable_times(known[clip_id], alignment, seconds.pop(clip_id))
            remark = "; ".join(filter(None, (troubles.pop(clip_id), remark)))
            try:
                writer.add(ClipRecord(clip_id, sources[clip_id], word_arrays(times)))
            except RefusedValueError as error:
                through(clip_id, "failed", str(error))
            else:
                through(clip_id, "flagged" if remark else "done", remark)
            begun = elapsed()
        for clip_id in () if stop() else list(seconds):
            through(clip_id, "failed", f"the aligner {aligner.name} gave no answer for it")
    report.finished = report.finished and not stop()


def utterance_of(clip: Clip, pending: Pending | None) -> tuple[Utterance, str]:
    """Put a clip's sound beside its words; gives what its decoder went through, too.

    The speaker is the source's, or else the video that the clip was cut from: one recording, mostly one voice.

    Raises:
        AbsentError, MediaError: as `sound_of` does.
    """
    if clip.fault:
        raise MediaError(clip.fault)
    speaker = str(clip.columns.get("speaker") or clip.columns.get("video_id") or "")
    sound = sound_of(clip, pending)
    return Utterance(clip.clip_id, clip.words, sound.content.samples, SAMPLE_RATE_HZ, speaker), sound.trouble


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
