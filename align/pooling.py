"""From audio frames to words: the means of equation 3, vectorised and exact to the sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sadgr.align.errors import PoolingError
from sadgr.align.grid import FrameGrid, frame_ranges

__all__ = ["FrameGrid", "Pooled", "frame_ranges", "pool_blocks", "pool_inside", "pool_words"]


@dataclass(frozen=True)
class Pooled:
    """What remains of a clip's frames.

    Attributes:
        words: Mean of the frames inside each word, float32, shape (N, D).
        mean: Mean of all frames, float32, shape (D,).
        mean_words: Mean of the frames inside any word, each counted once, float32, shape (D,); None without words.
    """

    words: NDArray[np.float32]
    mean: NDArray[np.float32]
    mean_words: NDArray[np.float32] | None


def pool_blocks(
    blocks: Iterable[NDArray[np.float32]], grid: FrameGrid, starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> Pooled:
    """Averages frames that come block by block, so that a recording of any length needs the memory of one block.

    Args:
        blocks: The encoder's output in order, float32, each of shape (m, D), together (La, D).
        grid: Where those frames lie; its count is La.
        starts: Begin of each word in seconds, float64, shape (N,).
        ends: End of each word in seconds, float64, shape (N,).

    Returns:
        All means, summed in float64.

    Raises:
        PoolingError: As `frame_ranges`, or frames and grid disagree.

    Reference:
        SADGR, eq. 3 (words).
    """
    ranges = frame_ranges(grid, starts, ends)
    inside = _inside(ranges, grid.count)
    words = everything = within = np.zeros(0)
    done = 0
    for block in blocks:
        _check_block(block, done, grid)
        if done == 0:
            width = block.shape[1]
            words, everything, within = np.zeros((len(ranges), width)), np.zeros(width), np.zeros(width)
        exact = block.astype(np.float64)
        _add_words(words, exact, np.clip(ranges - done, 0, len(block)))
        everything += exact.sum(axis=0)
        within += exact[inside[done : done + len(block)]].sum(axis=0)
        done += len(block)
    if done != grid.count:
        raise PoolingError(f"there are {done} frames; this grid expects {grid.count}")
    words /= (ranges[:, 1] - ranges[:, 0])[:, None]
    mean_words = (within / inside.sum()).astype(np.float32) if len(ranges) else None
    return Pooled(words.astype(np.float32), (everything / grid.count).astype(np.float32), mean_words)


def pool_words(
    frames: NDArray[np.float32], grid: FrameGrid, starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Averages the frames inside each word (eq. 3): `pool_blocks` of all frames at once.

    Args:
        frames: The encoder's output, float32, shape (La, D).
        grid: Where those frames lie.
        starts: Begin of each word in seconds, float64, shape (N,).
        ends: End of each word in seconds, float64, shape (N,).

    Returns:
        float32, shape (N, D).
    """
    return pool_blocks([frames], grid, starts, ends).words


def pool_inside(
    frames: NDArray[np.float32], grid: FrameGrid, starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Averages the frames inside any word, each counted once however many words hold it.

    Args:
        frames: As for `pool_words`, like the rest.
        grid: Where those frames lie.
        starts: Begin of each word, N at least 1.
        ends: End of each word.

    Returns:
        float32, shape (D,).

    Raises:
        PoolingError: As `pool_blocks`, or there is no word, and so no mean.
    """
    mean = pool_blocks([frames], grid, starts, ends).mean_words
    if mean is None:
        raise PoolingError("there are no words, so no frames lie inside one; store no mean over words for this clip")
    return mean


def _add_words(words: NDArray[np.float64], block: NDArray[np.float64], ranges: NDArray[np.int64]) -> None:
    """Adds to each word (N, D) the rows of a block (m, D) that its range (N, 2) holds; ranges may be empty here."""
    held = np.flatnonzero(ranges[:, 0] < ranges[:, 1])
    if len(held):
        # `reduceat` wants every bound to be an index, and a range may end at m: hence a row more, which no range holds.
        padded = np.concatenate([block, np.zeros((1, block.shape[1]))])  # (m + 1, D)
        words[held] += np.add.reduceat(padded, ranges[held].reshape(-1), axis=0)[::2]


def _inside(ranges: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Marks the frames that any word takes, bool, shape (count,)."""
    steps = np.zeros(count + 1, dtype=np.int64)
    np.add.at(steps, ranges[:, 0], 1)
    np.add.at(steps, ranges[:, 1], -1)
    return np.asarray(np.cumsum(steps)[:-1] > 0)


def _check_block(block: NDArray[np.float32], done: int, grid: FrameGrid) -> None:
    if block.ndim != 2 or done + len(block) > grid.count:
        raise PoolingError(
            f"frames have shape {block.shape} after {done} others; this grid expects ({grid.count}, D) together"
        )
