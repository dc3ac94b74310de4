"""Words, their times, and the protocol behind which every aligner stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sadgr.align.errors import AlignmentFailed


class Flag(IntEnum):
    """Where a word's time comes from."""

    ALIGNED = 0
    INTERPOLATED = 1


@dataclass(frozen=True, eq=False)
class Utterance:
    """What an aligner is given: one clip's words and sound.

    Attributes:
        clip_id: The clip's id, as the cache knows it.
        words: The transcript's words, as `split_words` gives them.
        waveform: Mono sound in [-1, 1], float32, shape (n,).
        sample_rate_hz: Samples a second.
        speaker: Who speaks, where that is known; an aligner may adapt to a speaker.
    """

    clip_id: str
    words: tuple[str, ...]
    waveform: NDArray[np.float32]
    sample_rate_hz: int = 16000
    speaker: str = ""

    def __post_init__(self) -> None:
        if self.sample_rate_hz <= 0:
            raise ValueError(f"clip {self.clip_id!r}: the sample rate is {self.sample_rate_hz} Hz; give a positive one")
        if self.waveform.ndim != 1 or self.waveform.dtype != np.float32:
            found = f"{self.waveform.dtype} of shape {self.waveform.shape}"
            raise ValueError(f"clip {self.clip_id!r}: the waveform is {found}; give mono float32 of shape (n,)")
        if not np.isfinite(self.waveform).all():
            raise ValueError(f"clip {self.clip_id!r}: the waveform holds a value that is not finite; decode it again")
        for word in self.words:
            if len(word.split()) != 1 or word.strip() != word:
                raise ValueError(f"clip {self.clip_id!r}: {word!r} is not one word; split the text with split_words")

    @property
    def duration_seconds(self) -> float:
        """The sound's length in seconds."""
        return len(self.waveform) / self.sample_rate_hz


@dataclass(frozen=True)
class WordTime:
    """One transcript word and the half-open span [start, end) in which it is spoken.

    Attributes:
        text: The transcript's word, unchanged.
        start_seconds: Begin, from the clip's start.
        end_seconds: End, not before the begin.
        score: Confidence in [0, 1]; each aligner documents what its own means. 0 for an interpolated word.
        flag: Whether an aligner found the word or its time was interpolated.
    """

    text: str
    start_seconds: float
    end_seconds: float
    score: float
    flag: Flag

    def __post_init__(self) -> None:
        if not (math.isfinite(self.end_seconds) and 0 <= self.start_seconds <= self.end_seconds):
            span = f"[{self.start_seconds}, {self.end_seconds})"
            raise ValueError(f"word {self.text!r}: {span} s is no span; expected 0 <= start <= end")
        if not 0 <= self.score <= 1:
            raise ValueError(f"word {self.text!r}: score {self.score} is outside [0, 1]")


@dataclass(frozen=True)
class Alignment:
    """What became of one utterance.

    Attributes:
        clip_id: Its clip.
        words: One word time for each word of its transcript, in order and with the same text; empty where it failed.
        failure: Why it could not be aligned; empty where it was.
    """

    clip_id: str
    words: tuple[WordTime, ...]
    failure: str = ""

    def __post_init__(self) -> None:
        if self.words and self.failure:
            raise ValueError(f"clip {self.clip_id!r} cannot both have word times and have failed; give one of the two")


class Aligner(Protocol):
    """Finds when each word of each utterance is spoken."""

    @property
    def name(self) -> str:
        """A short name for folders and reports, e.g. `pocketsphinx`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that decides the aligner's output, as values that JSON can hold; the cache's fingerprint reads it."""

    def align_all(self, utterances: Iterable[Utterance]) -> Iterator[Alignment]:
        """Gives one `Alignment` for each utterance, in order; one that fails does not keep the others from theirs.

        Utterances arrive as their sound is decoded; an aligner that needs many at once gathers them itself.

        Raises:
            AlignerUnavailable: Something that the aligner needs is not installed.
        """


def one_by_one(
    align: Callable[[Utterance], tuple[WordTime, ...]], utterances: Iterable[Utterance]
) -> Iterator[Alignment]:
    """Makes `align_all` of a function that aligns one utterance or raises `AlignmentFailed`."""
    for utterance in utterances:
        try:
            yield Alignment(utterance.clip_id, align(utterance))
        except AlignmentFailed as error:
            yield Alignment(utterance.clip_id, (), error.reason)


def evenly_spaced(words: Sequence[str], duration_seconds: float) -> tuple[WordTime, ...]:
    """Shares a clip's duration evenly among its words: the fallback when an aligner fails.

    Args:
        words: The transcript's words.
        duration_seconds: The clip's length, at least 0.

    Returns:
        One interpolated word time, score 0, per word.

    Raises:
        ValueError: The duration is negative or not finite.
    """
    if not (math.isfinite(duration_seconds) and duration_seconds >= 0):
        raise ValueError(f"a clip cannot last {duration_seconds} s; give its length in seconds")
    edges = np.linspace(0.0, duration_seconds, len(words) + 1).tolist()
    return tuple(
        WordTime(word, start, end, 0.0, Flag.INTERPOLATED)
        for word, start, end in zip(words, edges[:-1], edges[1:], strict=True)
    )
