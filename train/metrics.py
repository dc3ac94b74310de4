"""Regression metrics of MOSI and MOSEI as MMSA computes them (FORMATS.md), with an answer for every input."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

Metrics = Mapping[str, float | int | None]


class ArrayLike(Protocol):
    """What NumPy arrays and CPU torch tensors have in common."""

    def __array__(self) -> NDArray[np.generic]:
        """Give the values as an array."""
        ...


def regression_metrics(prediction: ArrayLike, target: ArrayLike) -> dict[str, float | int | None]:
    """Score predicted sentiment against the truth.

    Args:
        prediction: (n,) or (n, 1), any float dtype; compared as float32, as MMSA does.
        target: Same number of values; sentiment in [-3, 3].

    Returns:
        MMSA's eight keys at full precision, `N` (clips scored) and `Non0_N` (clips whose truth is not 0). `Corr` is
        None where prediction or truth is constant, the `Non0_*` scores are None where every truth is 0: both are
        undefined there.

    Raises:
        ValueError: Nothing to score, numbers of values that differ, or a value that is not finite.
    """
    p, t = _values(prediction, "prediction"), _values(target, "target")
    if len(p) != len(t):
        raise ValueError(f"{len(p)} predictions for {len(t)} targets: give one for each clip")
    nonzero = t != 0
    has0_accuracy, has0_f1 = _binary_scores(p >= 0, t >= 0)
    non0_accuracy, non0_f1 = _binary_scores(p[nonzero] > 0, t[nonzero] > 0)
    return {
        "Has0_acc_2": has0_accuracy,
        "Has0_F1_score": has0_f1,
        "Non0_acc_2": non0_accuracy,
        "Non0_F1_score": non0_f1,
        "Mult_acc_5": _rounded_accuracy(p, t, limit=2.0),
        "Mult_acc_7": _rounded_accuracy(p, t, limit=3.0),
        "MAE": float(np.abs(p - t).mean()),
        "Corr": _pearson(p, t),
        "N": len(t),
        "Non0_N": int(nonzero.sum()),
    }


def _values(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Bring values to float32 precision and refuse what cannot be scored."""
    array = np.asarray(values, dtype=np.float32)
    if array.size == 0:
        raise ValueError(f"{name} is empty: there is no clip to score")
    if array.size != array.shape[0]:
        raise ValueError(f"{name} has shape {array.shape}, expected one value for each clip: (n,) or (n, 1)")
    bad = np.flatnonzero(~np.isfinite(array.ravel()))
    if len(bad):
        raise ValueError(f"{name} is not finite at {len(bad)} of {array.size} positions, first at {bad[0]}")
    return array.ravel().astype(np.float64)  # sums in float64: the mean then owes nothing to the order of the clips


def _binary_scores(p: NDArray[np.bool_], t: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Accuracy and F1 weighted by the truth's classes; (None, None) without clips."""
    if len(t) == 0:
        return None, None
    return float((p == t).mean()), float(f1_score(t, p, average="weighted", zero_division=0.0))


def _rounded_accuracy(p: NDArray[np.float64], t: NDArray[np.float64], limit: float) -> float:
    """Accuracy of classes made by clipping to [-limit, limit] and rounding half to even."""
    return float((np.round(np.clip(p, -limit, limit)) == np.round(np.clip(t, -limit, limit))).mean())


def _pearson(p: NDArray[np.float64], t: NDArray[np.float64]) -> float | None:
    """Pearson correlation in [-1, 1]; None where either side is constant."""
    if np.ptp(p) == 0 or np.ptp(t) == 0:
        return None
    p, t = p - p.mean(), t - t.mean()
    return float(np.clip(p @ t / (np.linalg.norm(p) * np.linalg.norm(t)), -1.0, 1.0))
