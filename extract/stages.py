"""The stages in which encoders work: text, audio, video.

Each prepares one clip at a time, where what is wrong with that clip comes to light, then computes several together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sadgr.align import pool_blocks
from sadgr.align.grid import FrameGrid, frame_ranges
from sadgr.cache import FeatureSet
from sadgr.extract.audio import AudioEncoder, AudioInput, Frames, load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint, Kind
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoded, Sound, Wanted
from sadgr.extract.encoder import DTYPES, choose_device
from sadgr.extract.errors import AbsentError, ClipError
from sadgr.extract.media.audio import SAMPLE_RATE_HZ
from sadgr.extract.media.sampling import Sampling
from sadgr.extract.media.video import VideoFrames
from sadgr.extract.pictures import Pictures
from sadgr.extract.recipe import Recipe
from sadgr.extract.text import TextEncoder, TextFeatures, TextInput
from sadgr.extract.video import VideoEncoder

Arrays = Mapping[str, npt.NDArray[Any]]
Raw = TypeVar("Raw", bound="Ready")
Engine = TypeVar("Engine")


@dataclass(frozen=True)
class Encoded:
    """What a stage gives for a clip.

    Attributes:
        arrays: what goes into the cache.
        remark: something that people should know, such as a decoder that was given up.
        flagged: whether a fallback stands in for the real thing.
        amount: how much there was to encode: words, seconds of sound, video frames.
    """

    arrays: Arrays
    remark: str = ""
    flagged: bool = False
    amount: float = 0.0


class Ready(Protocol):
    """One clip made ready for a stage's encoder."""

    @property
    def nbytes(self) -> int:
        """What it takes of memory."""
        ...


class Stage(Protocol[Raw]):
    """One stage."""

    @property
    def name(self) -> str:
        """Modality of the feature set that it fills."""
        ...

    @property
    def at_once(self) -> int:
        """How many clips are computed together at most; known when it is loaded."""
        ...

    def load(self) -> None:
        """Load the encoder, where that has not happened yet."""
        ...

    def wanted(self, clip: Clip) -> Wanted | None:
        """Return what is to be decoded for a clip; None for nothing. No encoder is loaded for it."""
        ...

    def prepare(self, clip: Clip, decoded: Decoded | None, kept: frozenset[str]) -> Raw:
        """Make one clip ready.

        Args:
            clip: the clip.
            decoded: what `wanted` asked for.
            kept: what of its features goes into the cache.

        Raises:
            AbsentError: the clip has no such modality.
            ClipError, AlignError: this clip fails.
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


@dataclass(frozen=True)
class _Read:
    """A clip's transcript, made ready."""

    prepared: TextInput
    kept: frozenset[str]

    @property
    def nbytes(self) -> int:
        return int(self.prepared.input_ids.nbytes)


class TextStage:
    """Transcripts to word features."""

    name = "text"

    def __init__(self, encoder: Lazy[TextEncoder]) -> None:
        self._encoder = encoder

    def load(self) -> None:
        """Load the encoder."""
        self._encoder.engine  # noqa: B018

    @property
    def at_once(self) -> int:
        """As many as its encoder says."""
        return self._encoder.engine.at_once

    def wanted(self, clip: Clip) -> Wanted | None:
        """Nothing is decoded for it."""

    def prepare(self, clip: Clip, decoded: Decoded | None, kept: frozenset[str]) -> _Read:
        """Cut the transcript into wordpieces."""
        if not clip.words:
            raise AbsentError("the transcript is empty")
        return _Read(self._encoder.engine.prepare(clip.words), kept)

    def encode(self, batch: Sequence[_Read]) -> list[Encoded]:
        """Encode transcripts."""
        features = self._encoder.engine.encode([one.prepared for one in batch])
        return [
            Encoded(_kept_text(one, read.kept), amount=read.prepared.words)
            for one, read in zip(features, batch, strict=True)
        ]


@dataclass(frozen=True)
class _Heard:
    """A clip's sound, made ready, with its word times, where it has some."""

    prepared: AudioInput
    times: Arrays | None
    kept: frozenset[str]
    remark: str
    flagged: bool

    @property
    def nbytes(self) -> int:
        return self.prepared.waveform.nbytes


class AudioStage:
    """Sound to features of audio frames, pooled into words (eq. 3) and over the clip (eq. 6).

    Args:
        encoder: the encoder.
        words: word times; None where no words are pooled.
    """

    name = "audio"

    def __init__(self, encoder: Lazy[AudioEncoder], words: FeatureSet | None) -> None:
        self._encoder = encoder
        self._words = words

    def load(self) -> None:
        """Load the encoder."""
        self._encoder.engine  # noqa: B018

    @property
    def at_once(self) -> int:
        """As many as its encoder says."""
        return self._encoder.engine.at_once

    def wanted(self, clip: Clip) -> Wanted | None:
        """Its sound."""
        return None if clip.audio is None else Wanted(clip.audio)

    def prepare(self, clip: Clip, decoded: Decoded | None, kept: frozenset[str]) -> _Heard:
        """Normalise the waveform and look up the word times."""
        if decoded is None:
            raise AbsentError("the source names no audio for this clip")
        sound: Sound = decoded.content
        waveform = sound.samples
        prepared, times = self._encoder.engine.prepare(waveform), None
        if self._words is not None:
            times = _times(clip, self._words)
            frame_ranges(self._encoder.engine.grid(len(waveform)), times["start"], times["end"])  # are they usable?
        remark = "; ".join(filter(None, (decoded.trouble, sound.remark)))
        return _Heard(prepared, times, kept, remark, bool(decoded.trouble))

    def encode(self, batch: Sequence[_Heard]) -> list[Encoded]:
        """Encode and pool."""
        encoder = self._encoder.engine
        streams = encoder.streams([one.prepared for one in batch])
        return [
            Encoded(
                _pooled(blocks, encoder.grid(one.prepared.samples), one),
                one.remark,
                one.flagged,
                one.prepared.samples / SAMPLE_RATE_HZ,
            )
            for blocks, one in zip(streams, batch, strict=True)
        ]


@dataclass(frozen=True)
class _Seen:
    """A clip's video frames, made ready; times (Lv,) are seconds from the clip's start."""

    prepared: Any
    seconds: npt.NDArray[np.float64]
    kept: frozenset[str]
    remark: str
    flagged: bool

    @property
    def nbytes(self) -> int:
        return int(self.prepared.nbytes)


class VideoStage:
    """Sampled video frames to one vector each (eq. 4).

    Args:
        encoder: the encoder.
        pictures: what its image processor does; all that must be known to say what is wanted.
        sampling: which video frames.
    """

    name = "video"

    def __init__(self, encoder: Lazy[VideoEncoder], pictures: Lazy[Pictures], sampling: Sampling) -> None:
        self._encoder = encoder
        self._pictures = pictures
        self._sampling = sampling

    def load(self) -> None:
        """Load the encoder."""
        self._encoder.engine  # noqa: B018

    @property
    def at_once(self) -> int:
        """As many as its encoder says."""
        return self._encoder.engine.at_once

    def wanted(self, clip: Clip) -> Wanted | None:
        """Its sampled video frames, resized."""
        return None if clip.video is None else Wanted(clip.video, self._sampling, self._pictures.engine.resizing)

    def prepare(self, clip: Clip, decoded: Decoded | None, kept: frozenset[str]) -> _Seen:
        """Take the sampled frames."""
        if decoded is None:
            raise AbsentError("the source names no video for this clip")
        frames: VideoFrames = decoded.content
        remark = "; ".join(filter(None, (decoded.trouble, frames.fallback, frames.remark)))
        prepared = self._encoder.engine.prepare(frames.pixels)
        return _Seen(prepared, frames.seconds, kept, remark, bool(decoded.trouble or frames.fallback))

    def encode(self, batch: Sequence[_Seen]) -> list[Encoded]:
        """Encode the frames of all clips together."""
        vectors = self._encoder.engine.encode([one.prepared for one in batch])
        return [
            Encoded(_kept_video(one, seen), seen.remark, seen.flagged, len(one))
            for one, seen in zip(vectors, batch, strict=True)
        ]


def make_stages(
    recipe: Recipe, checkpoints: Mapping[Kind, Checkpoint], device_name: str, words: FeatureSet | None
) -> list[Stage[Any]]:
    """Make the stages of a run; an encoder is loaded when it is first needed.

    Args:
        recipe: what is made of each clip.
        checkpoints: encoder of each modality that is wanted.
        device_name: as `choose_device` takes it.
        words: word times; None where no words are pooled.

    Raises:
        ModelUnavailableError: no such device here.
    """
    device, dtype = choose_device(device_name), DTYPES[recipe.dtype]
    text = Lazy(lambda: TextEncoder(checkpoints["text"], device, recipe.text_layer, dtype))
    audio = Lazy(lambda: load_audio_encoder(checkpoints["audio"], device, recipe.audio_layer, dtype))
    video = Lazy(lambda: VideoEncoder(checkpoints["video"], device, dtype))
    pictures = Lazy(lambda: Pictures(checkpoints["video"]))
    seeing = VideoStage(video, pictures, recipe.sampling)
    stages: list[Stage[Any]] = [TextStage(text), AudioStage(audio, words), seeing]
    return [stage for stage in stages if stage.name in checkpoints]


def _times(clip: Clip, words: FeatureSet) -> Arrays:
    times = words.read(clip.clip_id) if clip.clip_id in words.known_entries() else None
    if times is None:
        raise ClipError("the clip's words have no times; align it first")
    return times


def _kept_text(features: TextFeatures, kept: frozenset[str]) -> Arrays:
    """Name what is kept; wordpieces come with their ids and the words that they belong to."""
    tokens = {"tokens": features.tokens, "input_ids": features.input_ids, "word_ids": features.word_ids}
    arrays = {"words": features.words, "mean": features.mean}
    return {name: array for name, array in arrays.items() if name in kept} | (tokens if "tokens" in kept else {})


def _kept_video(vectors: npt.NDArray[np.float32], seen: _Seen) -> Arrays:
    arrays: dict[str, npt.NDArray[Any]] = {}
    if "frames" in seen.kept:
        arrays |= {"frames": vectors, "seconds": seen.seconds}
    if "mean" in seen.kept:
        arrays["mean"] = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return arrays


def _pooled(blocks: Iterable[Frames], grid: FrameGrid, heard: _Heard) -> Arrays:
    """Pool a clip's frames (La, D), which come in blocks where it is long."""
    kept, none = heard.kept, np.zeros(0)
    start, end = (none, none) if heard.times is None else (heard.times["start"], heard.times["end"])
    arrays: dict[str, npt.NDArray[Any]] = {}
    if "frames" in kept:  # the whole clip's frames: 553 MB an hour, 768 wide
        arrays["frames"] = np.concatenate(list(blocks))
        blocks = [arrays["frames"]]
    pooled = pool_blocks(blocks, grid, start, end)
    if "mean" in kept:
        arrays["mean"] = pooled.mean
    if "words" in kept and heard.times is not None:
        arrays["words"] = pooled.words
        if pooled.mean_words is not None and "mean" in kept:
            arrays["mean_words"] = pooled.mean_words
    return arrays
