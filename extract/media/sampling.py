"""Which video frames to take: a function of their times alone."""

import numpy as np
from numpy.typing import NDArray

from sadgr.extract.media.span import Span


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
