"""Putting video frames onto the word axis."""

import numpy as np

from sadgr.cache.schema import Array


def frames_on_words(frames: Array, seconds: Array, start: Array, end: Array) -> Array:
    """Return one row a word: the mean of the video frames inside its span, or the frame nearest to its middle.

    A word is far shorter than the gap between sampled video frames, so that most words hold none; then the nearest frame
    is what was seen closest to it. Of two equally near the earlier counts.

    Args:
        frames: (Lv, D), Lv at least 1.
        seconds: (Lv,), time of each video frame.
        start: (N,), seconds; a word is the half-open span [start, end).
        end: (N,), seconds.

    Returns:
        (N, D) float32.
    """
    rows = np.empty((len(start), frames.shape[1]), dtype=np.float32)
    for row, first, last in zip(rows, start, end, strict=True):
        inside = (seconds >= first) & (seconds < last)
        if not inside.any():
            inside = np.arange(len(seconds)) == np.argmin(np.abs(seconds - (first + last) / 2))
        row[:] = frames[inside].astype(np.float32).mean(axis=0)
    return rows
