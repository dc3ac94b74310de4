"""CMU-MOSEI's labels out of the SDK's computational sequence, `CMU_MOSEI_Labels.csd`."""

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from sadgr.cache import CacheError, normalise_id
from sadgr.cache.doors.hdf5_guard import child, opened, read
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.mosei_labels import NO_VALUES, VALUES, Label

CSD_FILE = "CMU_MOSEI_Labels.csd"


def read_csd_labels(path: Path) -> list[Label]:
    """Read `<root>/data/<video>/features` (T, 7), in the order of `VALUES`, and `intervals` (T, 2) in seconds.

    Raises:
        SourceError: it is no such file, or one that points outside itself.
    """
    try:
        with opened(path) as file:
            roots = list(file.keys())
            if len(roots) != 1:
                raise SourceError(
                    f"{path}: one root group was expected, it has {len(roots)}; fetch the SDK's file again"
                )
            data = child(child(file, roots[0], h5py.Group), "data", h5py.Group)
            return [label for video in data for label in _labels(child(data, video, h5py.Group), video, path)]
    except (CacheError, ValueError) as error:
        raise SourceError(f"{path} is not the SDK's table of labels: {error}; fetch it again") from error


def _labels(group: h5py.Group, video: str, path: Path) -> list[Label]:
    features, intervals = _floats(group, "features"), _floats(group, "intervals")
    if features.ndim != 2 or features.shape[1] != len(VALUES) or intervals.shape != (len(features), 2):
        raise SourceError(
            f"{path}: video {video!r} has features {features.shape} and intervals {intervals.shape}, expected "
            f"(T, {len(VALUES)}): sentiment, happy, sad, anger, surprise, disgust, fear, and (T, 2); fetch the SDK's file again"
        )
    if not np.isfinite(intervals).all():
        raise SourceError(f"{path}: video {video!r} has an interval that is no number; fetch the SDK's file again")
    return [
        Label(normalise_id(video), "", start, end, {**NO_VALUES, **_numbers(row)})
        for (start, end), row in zip(intervals.tolist(), features.tolist(), strict=True)
    ]


def _floats(group: h5py.Group, name: str) -> npt.NDArray[np.float64]:
    return read(group, name).astype(np.float64)


def _numbers(row: list[float]) -> dict[str, str | float]:
    """Name the values of a row that are numbers."""
    return {name: value for name, value in zip(VALUES, row, strict=True) if np.isfinite(value)}
