"""The stages in which encoders work: text, audio, video.

Each prepares one clip at a time, where what is wrong with that clip comes to light, then computes several together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sadgr.align.pooling import frame_ranges, pool_inside, pool_words
from sadgr.cache import FeatureSet
from sadgr.extract.audio import AudioEncoder, AudioFeatures, AudioInput
from sadgr.extract.clips import Clip
from sadgr.extract.errors import AbsentError, ClipError
from sadgr.extract.media.errors import StreamAbsent
from sadgr.extract.media.video import VideoFrames, read_frames
from sadgr.extract.presets import VIDEO_FRAMES
from sadgr.extract.sound import read_sound
from sadgr.extract.text import TextEncoder, TextInput
from sadgr.extract.video import VideoEncoder

Arrays = Mapping[str, npt.NDArray[Any]]
Raw = TypeVar("Raw")
Engine = TypeVar("Engine")


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


class AudioStage:
    """Sound to features of audio frames, pooled into words (eq. 3) and over the clip (eq. 6)."""

    name = "audio"

    def __init__(self, encoder: Lazy[AudioEncoder], words: FeatureSet) -> None:
        self._encoder = encoder
        self._words = words

    def prepare(self, clip: Clip) -> tuple[AudioInput, Arrays]:
        """Normalise the waveform and look up the word times."""
        waveform = read_sound(clip)
        prepared, times = self._encoder.engine.prepare(waveform), self._times(clip)
        frame_ranges(self._encoder.engine.grid(len(waveform)), times["start"], times["end"])  # are the times usable?
        return prepared, times

    def _times(self, clip: Clip) -> Arrays:
        times = self._words.read(clip.clip_id) if clip.clip_id in self._words.known_entries() else None
        if times is None:
            raise ClipError("the clip's words have no times; align it first")
        return times

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
            frames = read_frames(clip.video.path, VIDEO_FRAMES, *clip.video.span)
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


def _pool(features: AudioFeatures, times: Arrays) -> Arrays:
    frames, grid, start, end = features.frames, features.grid, times["start"], times["end"]
    arrays = {
        "words": pool_words(frames, grid, start, end),
        "mean": frames.mean(axis=0, dtype=np.float64).astype(np.float32),
    }
    if len(start):
        arrays["mean_words"] = pool_inside(frames, grid, start, end)
    return arrays
