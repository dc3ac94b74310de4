"""Spans of a recording, in seconds from its origin."""

import math
from dataclasses import dataclass

from sadgr.extract.media.errors import MediaError

SPAN_TOLERANCE_SECONDS = 0.5
"""How far a span may run over the end of its stream: labels are often rounded up, and streams end unevenly."""


@dataclass(frozen=True)
class Span:
    """A half-open span [start, end) of a recording.

    Attributes:
        start_seconds: where the span starts, counted from the recording's origin; at least 0.
        end_seconds: where it ends; None means the end of the recording.

    Raises:
        ValueError: when a bound is negative or not finite, or the span is empty.
    """

    start_seconds: float = 0.0
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.start_seconds) or self.start_seconds < 0:
            raise ValueError(f"a span must start at a finite time >= 0 s, not at {self.start_seconds}")
        if self.end_seconds is None:
            return
        if not math.isfinite(self.end_seconds) or self.end_seconds <= self.start_seconds:
            raise ValueError(f"a span must end after its start ({self.start_seconds} s), not at {self.end_seconds}")

    @classmethod
    def of(cls, start_seconds: float | None, end_seconds: float | None) -> "Span":
        """Return the span between two bounds that may be open."""
        return cls(0.0 if start_seconds is None else start_seconds, end_seconds)

    def check_within(self, stream_end_seconds: float, name: str) -> None:
        """Check that the span lies within a stream that ends at `stream_end_seconds`.

        Raises:
            MediaError: when the span starts at or after that end, or ends more than the tolerance after it.
        """
        starts_too_late = self.start_seconds >= stream_end_seconds
        end_seconds = self.start_seconds if self.end_seconds is None else self.end_seconds
        if starts_too_late or end_seconds > stream_end_seconds + SPAN_TOLERANCE_SECONDS:
            until = "the end" if self.end_seconds is None else f"{self.end_seconds:.3f} s"
            raise MediaError(
                f"{name}: the span from {self.start_seconds:.3f} s to {until} was asked for, but the stream ends at "
                f"{stream_end_seconds:.3f} s; correct the span, or fetch the whole recording if this file was cut"
            )
