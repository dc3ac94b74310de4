"""A clip, as every source gives it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Protocol

from sadgr.align import split_words
from sadgr.cache import normalise_id


@dataclass(frozen=True)
class Medium:
    """A media file, or the span of it that a clip is.

    Attributes:
        path: the file.
        start_seconds: where the clip begins in it; None for the beginning.
        end_seconds: where it ends; None for the end.
    """

    path: Path
    start_seconds: float | None = None
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        """Check the span."""
        start, end = self.start_seconds or 0.0, self.end_seconds
        if not (isfinite(start) and start >= 0 and (end is None or (isfinite(end) and end > start))):
            raise ValueError(f"{self.path}: no time span from {self.start_seconds} to {self.end_seconds} s")

    @property
    def span(self) -> tuple[float | None, float | None]:
        """Both bounds."""
        return self.start_seconds, self.end_seconds


@dataclass(frozen=True)
class Clip:
    """One row of a source, the cache's unit.

    Attributes:
        clip_id: unique in its data set.
        transcript: what is said; empty where nobody knows.
        audio: where its sound is; None where the source has none.
        video: where its picture is; None where the source has none.
        columns: split (`mode`), speaker, labels and whatever else stands in the source's table; goes into labels.csv.
        fault: why the source's own files say too little about this clip to use it; empty where they do not.
    """

    clip_id: str
    transcript: str
    audio: Medium | None = None
    video: Medium | None = None
    columns: Mapping[str, str | float] = field(default_factory=dict)
    fault: str = ""

    def __post_init__(self) -> None:
        """Bring the id to its one form."""
        object.__setattr__(self, "clip_id", normalise_id(self.clip_id))

    @property
    def words(self) -> tuple[str, ...]:
        """The transcript's words, split at white space."""
        return split_words(self.transcript)

    @property
    def speaker(self) -> str:
        """Who speaks: the source's speaker, else the video that the clip was cut from, mostly one voice; else nobody knows."""
        return str(self.columns.get("speaker") or self.columns.get("video_id") or "")


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
