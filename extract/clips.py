"""A clip, as every source gives it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sadgr.align import split_words
from sadgr.cache import normalise_id


@dataclass(frozen=True)
class Clip:
    """One row of a source, the cache's unit.

    Attributes:
        clip_id: unique in its data set.
        transcript: what is said; empty where nobody knows.
        audio: file with the sound; None where the source has none.
        video: file with the picture; None where the source has none.
        start_seconds: where in its files the clip begins; None for the beginning.
        end_seconds: where it ends; None for the end.
        columns: split (`mode`), speaker, labels and whatever else stands in the source's table; goes into labels.csv.
        fault: why the source's own files say too little about this clip to use it; empty where they do not.
    """

    clip_id: str
    transcript: str
    audio: Path | None = None
    video: Path | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    columns: Mapping[str, str | float] = field(default_factory=dict)
    fault: str = ""

    def __post_init__(self) -> None:
        """Bring the id to its one form and check the span."""
        object.__setattr__(self, "clip_id", normalise_id(self.clip_id))
        start, end = self.start_seconds or 0.0, self.end_seconds
        if not (start >= 0 and (end is None or end > start)):
            raise ValueError(f"clip {self.clip_id!r}: no time span from {self.start_seconds} to {self.end_seconds} s")

    @property
    def words(self) -> tuple[str, ...]:
        """The transcript's words, split at white space."""
        return split_words(self.transcript)


class Source(Protocol):
    """A data set as it lies on a disk."""

    @property
    def layout(self) -> str:
        """Name of the layout, for reports."""
        ...

    @property
    def dataset(self) -> str | None:
        """Name of the data set, where the layout tells; otherwise the person must."""
        ...

    def clips(self) -> Iterator[Clip]:
        """Give every clip.

        Raises:
            SourceError: the source's tables cannot be read or contradict themselves.
        """
        ...
