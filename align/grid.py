"""Where an encoder's frames lie in time, and which of them each word takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sadgr.align.errors import PoolingError

TOLERANCE_SECONDS = 0.1
"""How far past the audio's end a word may start: containers round their durations by about this much."""


@dataclass(frozen=True)
class FrameGrid:
    """Where an encoder's frames lie on the waveform: frame t has its centre at `first_centre_samples + t * hop_samples`.

    HuBERT-like encoders have hop 320 and first centre 200, Whisper's encoder has hop 320 and first centre 0.

    Attributes:
        hop_samples: Samples between the starts of neighbouring frames.
        first_centre_samples: Centre of frame 0.
        count: Number of frames.
        sample_rate_hz: Samples a second.
    """

    hop_samples: int
    first_centre_samples: int
    count: int
    sample_rate_hz: int = 16000

    def __post_init__(self) -> None:
        if self.hop_samples <= 0 or self.first_centre_samples < 0 or self.count < 0 or self.sample_rate_hz <= 0:
            raise PoolingError(
                f"{self} is no frame grid; hop and rate must be positive, first centre and count not < 0"
            )

    @property
    def centres(self) -> NDArray[np.int64]:
        """Centre of each frame in samples, int64, shape (count,)."""
        return self.first_centre_samples + self.hop_samples * np.arange(self.count, dtype=np.int64)

    @property
    def longest_audio_samples(self) -> int:
        """The most samples that give this many frames; a frame reaches as far after its centre as before it."""
        return self.hop_samples * self.count + 2 * self.first_centre_samples


def frame_ranges(grid: FrameGrid, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.int64]:
    """Finds the frames that each word takes.

    A word [start, end) takes the frames whose centre it holds; one that holds none takes the frame nearest to its
    midpoint (the earlier of two equally near). Times are rounded to whole samples first, so that no centre is won or
    lost to a float's last bit.

    Args:
        grid: The encoder's frames.
        starts: Begin of each word in seconds, float64, shape (N,).
        ends: End of each word in seconds, float64, shape (N,).

    Returns:
        First frame and one past the last, int64, shape (N, 2); no range is empty.

    Raises:
        PoolingError: The grid has no frames, or a time is not finite, negative, reversed or past the audio's end.
    """
    _check(grid, starts, ends)
    first = np.rint(np.asarray(starts) * grid.sample_rate_hz).astype(np.int64)
    last = np.rint(np.asarray(ends) * grid.sample_rate_hz).astype(np.int64)
    hop, offset = grid.hop_samples, grid.first_centre_samples
    begin = np.clip(_ceil_divide(first - offset, hop), 0, grid.count)
    stop = np.clip(_ceil_divide(last - offset, hop), 0, grid.count)
    # Twice the distance, so that half samples and half hops stay integers.
    nearest = np.clip(_ceil_divide(first + last - 2 * offset - hop, 2 * hop), 0, grid.count - 1)
    holds_none = stop <= begin
    ranges = np.stack([np.where(holds_none, nearest, begin), np.where(holds_none, nearest + 1, stop)], axis=1)
    return ranges.astype(np.int64, copy=False)  # (N, 2)


def _ceil_divide(numerator: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
    return -(-numerator // denominator)


def _check(grid: FrameGrid, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> None:
    if grid.count == 0:
        raise PoolingError("there are no audio frames to pool; the clip is shorter than one frame of this encoder")
    if np.ndim(starts) != 1 or np.shape(starts) != np.shape(ends):
        raise PoolingError(f"starts {np.shape(starts)} and ends {np.shape(ends)} must both have shape (N,)")
    limit_seconds = grid.longest_audio_samples / grid.sample_rate_hz + TOLERANCE_SECONDS
    for faulty, what in (
        (~(np.isfinite(starts) & np.isfinite(ends)), "has a time that is not finite"),
        (np.less(starts, 0), "starts before the clip"),
        (np.less(ends, starts), "ends before it starts"),
        (np.greater(starts, limit_seconds), f"starts after the audio's end (at most {limit_seconds:.3f} s)"),
    ):
        if np.any(faulty):
            word = int(np.argmax(faulty))
            raise PoolingError(f"word {word} [{starts[word]}, {ends[word]}) s {what}; align the clip again")
