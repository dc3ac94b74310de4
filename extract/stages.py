"""The stages a clip goes through: text, words (alignment), audio, video.

Each prepares one clip at a time, where what is wrong with that clip comes to light, then computes several together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sadgr.align import Aligner, AlignmentFailed, Utterance, WordTime, evenly_spaced
from sadgr.align.pooling import frame_ranges, pool_inside, pool_words
from sadgr.cache import FeatureSet
from sadgr.extract.audio import AudioEncoder, AudioFeatures, AudioInput, Waveform
from sadgr.extract.clips import Clip
from sadgr.extract.errors import ClipError
from sadgr.extract.media.audio import read_audio
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.video import VideoFrames, read_frames
from sadgr.extract.presets import VIDEO_FRAMES
from sadgr.extract.text import TextEncoder, TextInput
from sadgr.extract.video import VideoEncoder

Arrays = Mapping[str, npt.NDArray[Any]]
Raw = TypeVar("Raw")
Engine = TypeVar("Engine")


class AbsentError(Exception):
    """The clip has no such modality; nothing is broken."""


@dataclass(frozen=True)
class Encoded:
    """What a stage gives for a clip.

    Attributes:
        arrays: what goes into the cache.
        remark: something that people should know, such as a decoder that was given up.
        flagged: whether a fallback stands in for the real thing.
    """

    arrays: Arrays
    remark: str = ""
    flagged: bool = False


class Stage(Protocol[Raw]):
    """One stage."""

    @property
    def name(self) -> str:
        """Modality of the feature set that it fills."""
        ...

    def prepare(self, clip: Clip) -> Raw:
        """Make one clip ready.

        Raises:
            AbsentError: the clip has no such modality.
            MediaError, ClipError, AlignError: this clip fails.
        """
        ...

    def encode(self, batch: Sequence[Raw]) -> list[Encoded]:
        """Compute several clips together."""
        ...


class Lazy(Generic[Engine]):
    """Builds an encoder when it is first needed, so that a run with nothing to do loads no weights."""

    def __init__(self, build: Callable[[], Engine]) -> None:
        self._build = build

    @cached_property
    def engine(self) -> Engine:
        """The encoder."""
        return self._build()


class Sound:
    """Decoded sound of the clips in hand, shared by alignment and audio encoder, and their word times.

    Args:
        words: where word times of clips are that were aligned by an earlier run; None where the source has no sound.
    """

    def __init__(self, words: FeatureSet | None) -> None:
        self._words = words
        self._waveforms: dict[str, Waveform | MediaError] = {}
        self._times: dict[str, Arrays] = {}

    def waveform(self, clip: Clip) -> Waveform:
        """Return a clip's sound, (n,) float32 at 16 kHz.

        Raises:
            AbsentError: it has none.
            MediaError: it cannot be read.
        """
        if clip.audio is None:
            raise AbsentError("the source names no audio for this clip")
        if clip.clip_id not in self._waveforms:
            try:
                self._waveforms[clip.clip_id] = read_audio(clip.audio, clip.start_seconds, clip.end_seconds)
            except MediaError as error:
                self._waveforms[clip.clip_id] = error
        found = self._waveforms[clip.clip_id]
        if isinstance(found, StreamAbsent):
            raise AbsentError(str(found))
        if isinstance(found, MediaError):
            raise found
        return found

    def keep_times(self, clip: Clip, times: Arrays) -> None:
        """Keep word times for the audio stage."""
        self._times[clip.clip_id] = times

    def times(self, clip: Clip) -> Arrays:
        """Return a clip's word times, of this run or an earlier one."""
        if clip.clip_id not in self._times and self._words is not None:
            self._times[clip.clip_id] = self._words.read(clip.clip_id) or {}
        if not self._times.get(clip.clip_id):
            raise ClipError("the clip's words have no times")
        return self._times[clip.clip_id]

    def forget(self) -> None:
        """Let go of what was decoded."""
        self._waveforms.clear()
        self._times.clear()


class TextStage:
    """Transcripts to word features."""

    name = "text"

    def __init__(self, encoder: Lazy[TextEncoder]) -> None:
        self._encoder = encoder

    def prepare(self, clip: Clip) -> TextInput:
        """Cut the transcript into wordpieces."""
        if not clip.words:
            raise AbsentError("the transcript is empty")
        return self._encoder.engine.prepare(clip.words)

    def encode(self, batch: Sequence[TextInput]) -> list[Encoded]:
        """Encode transcripts."""
        return [Encoded({"words": one.words, "mean": one.mean}) for one in self._encoder.engine.encode(batch)]


class WordsStage:
    """Sound and transcript to word times; evenly spaced, flagged ones where alignment fails.

    Evaluation must never lose a clip to the aligner, so the clip stays, and is reported.
    """

    name = "words"

    def __init__(self, aligner: Aligner, sound: Sound) -> None:
        self._aligner = aligner
        self._sound = sound

    def prepare(self, clip: Clip) -> Encoded:
        """Align a clip."""
        waveform = self._sound.waveform(clip)
        remark = ""
        try:
            times = self._aligner.align(Utterance(clip.clip_id, clip.words, waveform)) if clip.words else ()
        except AlignmentFailed as error:
            utterance = Utterance(clip.clip_id, clip.words, waveform)
            times = evenly_spaced(clip.words, utterance.duration_seconds)
            remark = f"{error}; evenly spaced times were stored and flagged"
        arrays = _word_arrays(times)
        self._sound.keep_times(clip, arrays)
        return Encoded(arrays, remark, flagged=bool(remark))

    def encode(self, batch: Sequence[Encoded]) -> list[Encoded]:
        """Return what was aligned."""
        return list(batch)


class AudioStage:
    """Sound to features of audio frames, pooled into words (eq. 3) and over the clip (eq. 6)."""

    name = "audio"

    def __init__(self, encoder: Lazy[AudioEncoder], sound: Sound) -> None:
        self._encoder = encoder
        self._sound = sound

    def prepare(self, clip: Clip) -> tuple[AudioInput, Arrays]:
        """Normalise the waveform and look up the word times."""
        waveform = self._sound.waveform(clip)
        prepared, times = self._encoder.engine.prepare(waveform), self._sound.times(clip)
        frame_ranges(self._encoder.engine.grid(len(waveform)), times["start"], times["end"])  # are the times usable?
        return prepared, times

    def encode(self, batch: Sequence[tuple[AudioInput, Arrays]]) -> list[Encoded]:
        """Encode and pool."""
        features = self._encoder.engine.encode([prepared for prepared, _ in batch])
        return [Encoded(_pool(one, times)) for one, (_, times) in zip(features, batch, strict=True)]


class VideoStage:
    """Sampled video frames to one vector each (eq. 4)."""

    name = "video"

    def __init__(self, encoder: Lazy[VideoEncoder]) -> None:
        self._encoder = encoder

    def prepare(self, clip: Clip) -> tuple[Any, VideoFrames]:
        """Decode, resize and normalise the sampled frames."""
        if clip.video is None:
            raise AbsentError("the source names no video for this clip")
        try:
            frames = read_frames(clip.video, VIDEO_FRAMES, clip.start_seconds, clip.end_seconds)
        except StreamAbsent as error:
            raise AbsentError(str(error)) from error
        return self._encoder.engine.prepare(frames.pixels), frames

    def encode(self, batch: Sequence[tuple[Any, VideoFrames]]) -> list[Encoded]:
        """Encode the frames of all clips together."""
        vectors = self._encoder.engine.encode([prepared for prepared, _ in batch])
        return [
            Encoded({"frames": one, "seconds": frames.seconds}, frames.remark)
            for one, (_, frames) in zip(vectors, batch, strict=True)
        ]


def _word_arrays(times: Sequence[WordTime]) -> Arrays:
    return {
        "text": np.array([word.text for word in times], dtype=str),
        "start": np.array([word.start_seconds for word in times], dtype=np.float64),
        "end": np.array([word.end_seconds for word in times], dtype=np.float64),
        "score": np.array([word.score for word in times], dtype=np.float32),
        "flag": np.array([word.flag for word in times], dtype=np.uint8),
    }


def _pool(features: AudioFeatures, times: Arrays) -> Arrays:
    frames, grid, start, end = features.frames, features.grid, times["start"], times["end"]
    arrays = {
        "words": pool_words(frames, grid, start, end),
        "mean": frames.mean(axis=0, dtype=np.float64).astype(np.float32),
    }
    if len(start):
        arrays["mean_words"] = pool_inside(frames, grid, start, end)
    return arrays
