"""Which video frames to take: a function of their times, and of which are key frames."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sadgr.extract.media.span import Span

DEFAULT_FRAME_COUNT = 16
_MODES = "uniform, keyframe, or fps=K with K video frames a second, such as fps=2"


@dataclass(frozen=True)
class Sampling:
    """How video frames are chosen.

    Attributes:
        mode: `uniform` over time, `keyframe`, uniform over the key frames, or `fps`, so many a second.
        frames: how many at most; 0 for `fps`.
        per_second: how many a second; 0 for the others.
    """

    mode: Literal["uniform", "keyframe", "fps"] = "uniform"
    frames: int = DEFAULT_FRAME_COUNT
    per_second: float = 0.0

    def __post_init__(self) -> None:
        """Check that it says how many frames, in one way."""
        rate = self.per_second if math.isfinite(self.per_second) else 0.0
        if (self.mode == "fps") != (rate > 0) or (self.mode == "fps") != (self.frames == 0) or self.frames < 0:
            raise ValueError(f"{self!r} does not say how many video frames: 1 or more, or more than 0 a second")

    @classmethod
    def parse(cls, text: str, frames: int = DEFAULT_FRAME_COUNT) -> "Sampling":
        """Read `uniform`, `keyframe` or `fps=K`.

        Args:
            text: what a person wrote.
            frames: how many at most, where no rate says so.

        Raises:
            ValueError: it is none of these.
        """
        if text == "keyframe":
            return cls("keyframe", frames)
        if text == "uniform":
            return cls("uniform", frames)
        mode, _, rate = text.partition("=")
        try:
            return cls("fps", 0, float(rate)) if mode == "fps" else cls("fps", 0, math.nan)
        except ValueError as error:
            raise ValueError(f"video sampling {text!r}: expected {_MODES}") from error

    @property
    def settings(self) -> dict[str, Any]:
        """What decides which frames are taken, for a fingerprint."""
        if self.mode == "fps":
            return {"mode": "fps", "per_second": self.per_second}
        return {"mode": self.mode, "frames": self.frames}

    def choose(
        self, start_seconds: NDArray[np.float64], end_seconds: float, is_key: NDArray[np.bool_]
    ) -> NDArray[np.intp]:
        """Choose frames.

        Args:
            start_seconds: (n,) when each frame comes on display, strictly increasing, n >= 1.
            end_seconds: when the last one leaves it.
            is_key: (n,) which of them are key frames.

        Returns:
            (m,) indices of the frames, strictly increasing; none where key frames are wanted and there is none.
        """
        if self.mode == "fps":
            return choose_by_rate(start_seconds, end_seconds, self.per_second)
        if self.mode == "keyframe":
            return choose_evenly(np.flatnonzero(is_key), self.frames)
        return choose_frames(start_seconds, end_seconds, self.frames)


UNIFORM = Sampling()


def choose_frames(start_seconds: NDArray[np.float64], end_seconds: float, count: int) -> NDArray[np.intp]:
    """Choose frames uniformly over time: those on display at the centres of equal parts.

    [first frame's start, end of the last frame) is cut into min(count, n) equal parts. Where frames have unequal
    lengths, one frame may be on display at several centres; it is taken once, so that there are fewer.

    Args:
        start_seconds: (n,) when each frame comes on display, strictly increasing, n >= 1.
        end_seconds: when the last one leaves it.
        count: how many frames to take at most, >= 1.

    Returns:
        (m,) indices of the frames, strictly increasing, 1 <= m <= min(count, n).

    Reference: SADGR, section III-A: frames sampled uniformly for the ViT of eq. 4.
    """
    parts = min(count, len(start_seconds))
    part_seconds = (end_seconds - start_seconds[0]) / parts
    centres = start_seconds[0] + (np.arange(parts) + 0.5) * part_seconds
    on_display = np.searchsorted(start_seconds, centres, side="right") - 1
    return np.unique(np.maximum(on_display, 0))


def choose_by_rate(start_seconds: NDArray[np.float64], end_seconds: float, per_second: float) -> NDArray[np.intp]:
    """Choose the frames on display at the centres of parts of 1 / per_second seconds, each frame once.

    Args:
        start_seconds: (n,) when each frame comes on display, strictly increasing, n >= 1.
        end_seconds: when the last one leaves it.
        per_second: parts a second, > 0.

    Returns:
        (m,) indices of the frames, strictly increasing, m >= 1: a clip shorter than half a part has one all the same.
    """
    parts = max(1, round((end_seconds - start_seconds[0]) * per_second))
    centres = np.minimum(start_seconds[0] + (np.arange(parts) + 0.5) / per_second, end_seconds)
    return np.unique(np.maximum(np.searchsorted(start_seconds, centres, side="right") - 1, 0))


def choose_evenly(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Choose at most `count` of these indices (n,), those in the middle of as many equal parts of the list."""
    parts = min(count, len(indices))
    return indices[((np.arange(parts) + 0.5) * len(indices) / parts).astype(np.intp)] if parts else indices


def shown_during(start_seconds: NDArray[np.float64], span: Span) -> slice:
    """Return the frames that are on display at some time within a span.

    Args:
        start_seconds: (n,) when each frame comes on display, strictly increasing.
        span: the span; it starts before the last frame leaves the display.

    Returns:
        The slice of the n frames; the first of them may have come on display before the span's start.
    """
    first = max(0, int(np.searchsorted(start_seconds, span.start_seconds, side="right")) - 1)
    if span.end_seconds is None:
        return slice(first, len(start_seconds))
    return slice(first, int(np.searchsorted(start_seconds, span.end_seconds, side="left")))
