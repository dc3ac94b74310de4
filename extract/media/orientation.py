"""Setting pictures upright: phones film in one position and note in the file how to turn the picture."""

from collections.abc import Mapping
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

IDENTITY: NDArray[np.int32] = np.array([[1, 0], [0, 1]], dtype=np.int32)


def display_matrix(frame: VideoFrame) -> NDArray[np.int32]:
    """Return the signs of a frame's display matrix, turned to the nearest multiple of 90 degrees.

    Returns:
        (2, 2) int32, one +1 or -1 in each row and column: (x', y') = (x, y) @ matrix, y pointing down.
    """
    side_data = cast("Mapping[Type, Buffer]", frame.side_data)  # PyAV's annotation knows motion vectors only
    if Type.DISPLAYMATRIX not in side_data:
        return IDENTITY
    full = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), dtype=np.int32).reshape(3, 3)
    rotation = full[:2, :2].astype(np.int64)  # int64: abs(-2**31) does not fit
    is_turned = abs(rotation[0, 1]) > abs(rotation[0, 0])
    kept = np.fliplr(np.eye(2, dtype=bool)) if is_turned else np.eye(2, dtype=bool)
    return np.where(kept, np.where(rotation < 0, -1, 1), 0).astype(np.int32)


def upright(pixels: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return a picture as it is to be shown.

    Args:
        pixels: (H, W, 3) as stored.
        matrix: (2, 2) as `display_matrix` gives it.

    Returns:
        (H, W, 3), or (W, H, 3) for a quarter turn.
    """
    if matrix[0, 0] == 0:  # x' comes from y and y' from x: (H, W, 3) -> (W, H, 3)
        pixels = pixels.transpose(1, 0, 2)
    x_sign, y_sign = matrix.sum(axis=0)  # one entry a column
    return np.ascontiguousarray(pixels[::y_sign, ::x_sign])
