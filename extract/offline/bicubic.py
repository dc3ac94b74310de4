"""Bicubic resizing of a table as PyTorch does it, with the same bits on every processor."""

import math

import numpy as np
import numpy.typing as npt

from sadgr.extract.offline.formats import FloatArray

_A = -0.75  # the free parameter of Keys' kernel that PyTorch takes


def resize_bicubic(table: FloatArray, height: int, width: int) -> FloatArray:
    """Resize the first two axes, pixel centres at half steps (`align_corners=False`), without antialiasing.

    Only element-wise float64 products and sums in a fixed order, no matrix product, whose rounding depends on the
    processor; so the result can be recognised by its hash.

    Args:
        table: (H, W, C) float32.
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        (height, width, C) float32.

    Reference:
        R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981.
    """
    rows = _resize_first_axis(table.astype(np.float64), height)
    return _resize_first_axis(rows.swapaxes(0, 1), width).swapaxes(0, 1).astype(np.float32)


def _resize_first_axis(table: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    last = len(table) - 1
    resized = np.zeros((size, *table.shape[1:]))
    for row in range(size):
        centre = (row + 0.5) * len(table) / size - 0.5
        first = math.floor(centre)
        for tap in range(first - 1, first + 3):
            resized[row] += _keys_kernel(abs(centre - tap)) * table[min(max(tap, 0), last)]
    return resized


def _keys_kernel(distance: float) -> float:
    if distance <= 1:
        return ((_A + 2) * distance - (_A + 3)) * distance * distance + 1
    return ((_A * distance - 5 * _A) * distance + 8 * _A) * distance - 4 * _A
