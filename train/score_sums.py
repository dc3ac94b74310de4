"""The metrics once more, as functions of sums over clips: a resample of clips is then a row of counts times those sums.

They give what `sadgr.train.metrics` gives of the same clips, and NaN where a metric is undefined.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadgr.train.config import TaskName

CONSTANT = 1e-18
"""Product of two variances, 1 each before drawing, below which a resample holds one value alone, up to rounding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A metric as a function of sums over clips, so that thousands of resamples are one matrix product.

    Attributes:
        per_clip: From outputs (n, O) and targets (n, T) to what is summed of each clip, (n, K).
        of_sums: From sums (..., K) to scores (...); NaN where a score is undefined.
    """

    per_clip: Callable[[Floats, Floats], Floats]
    of_sums: Callable[[Floats], Floats]


Classes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
Told = Callable[[Floats, Floats], Classes]
"""From outputs (n, O) and targets (n, T) to classes predicted and true, (n, G) each, and which clips count, (n,)."""


def _by_class(classes: Told, groups: int, n_classes: int, summed_up: Callable[[Floats], Floats]) -> Score:
    """Make a score of hits, clips of the truth and clips of the prediction, by class.

    Args:
        classes: Tells the classes of each clip.
        groups: G, labels told apart by themselves; the score is their mean.
        n_classes: C.
        summed_up: From (..., G, 3, C) of those numbers to (..., G) scores.
    """

    def per_clip(outputs: Floats, target: Floats) -> Floats:
        p, t, counts = classes(outputs, target)
        told_p, told_t = (one[..., None] == np.arange(n_classes) for one in (p, t))  # (n, G, C)
        numbers = np.stack([told_p & told_t, told_t, told_p], axis=2) & counts[:, None, None, None]  # (n, G, 3, C)
        return numbers.reshape(len(outputs), -1).astype(np.float64)

    return Score(per_clip, lambda sums: summed_up(sums.reshape(*sums.shape[:-1], groups, 3, n_classes)).mean(axis=-1))


def _divided(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def _accuracy(numbers: Floats) -> Floats:
    return _divided(numbers[..., 0, :].sum(axis=-1), numbers[..., 1, :].sum(axis=-1))


def _f1(numbers: Floats) -> Floats:
    """F1 (..., G, C); NaN where neither truth nor prediction has the class."""
    return _divided(2 * numbers[..., 0, :], numbers[..., 1, :] + numbers[..., 2, :])


def _weighted_f1(numbers: Floats) -> Floats:
    truth = numbers[..., 1, :]
    return _divided((truth * np.nan_to_num(_f1(numbers))).sum(axis=-1), truth.sum(axis=-1))


def _macro_f1(numbers: Floats) -> Floats:
    each = _f1(numbers)
    return _divided(np.nansum(each, axis=-1), np.isfinite(each).sum(axis=-1).astype(np.float64))


def _rounded(limit: float) -> Told:
    def classes(p: Floats, t: Floats) -> Classes:
        told_p, told_t = (np.round(np.clip(one[:, :1], -limit, limit)) + limit for one in (p, t))
        return told_p, told_t, np.ones(len(t), dtype=bool)

    return classes


def _non_negative(p: Floats, t: Floats) -> Classes:
    return p[:, :1] >= 0, t[:, :1] >= 0, np.ones(len(t), dtype=bool)


def _positive(p: Floats, t: Floats) -> Classes:
    return p[:, :1] > 0, t[:, :1] > 0, t[:, 0] != 0


def _likeliest(p: Floats, t: Floats) -> Classes:
    return p.argmax(axis=1)[:, None], t[:, :1], np.ones(len(t), dtype=bool)


def _labels(p: Floats, t: Floats) -> Classes:
    return p > 0, t > 0, np.ones(len(t), dtype=bool)


def _errors(p: Floats, t: Floats) -> Floats:
    return np.stack([np.abs(p[:, 0] - t[:, 0]), np.ones(len(t))], axis=1)


def _moments(p: Floats, t: Floats) -> Floats:
    """Sums for Pearson's r; of values with mean 0 and deviation 1, so that rounding does no harm."""
    a, b = (one[:, 0] - one[:, 0].mean() for one in (p, t))
    if not np.ptp(a) or not np.ptp(b):
        return np.full((len(t), 6), np.nan)
    a, b = a / a.std(), b / b.std()
    return np.stack([a, b, a * a, b * b, a * b, np.ones(len(t))], axis=1)


def _pearson(sums: Floats) -> Floats:
    a, b, aa, bb, ab = np.moveaxis(sums[..., :5] / sums[..., 5:], -1, 0)
    spread = np.maximum(aa - a * a, 0) * np.maximum(bb - b * b, 0)
    return _divided(ab - a * b, np.sqrt(np.where(spread > CONSTANT, spread, 0.0)))


SCORES: Mapping[TaskName, Mapping[str, Callable[[int], Score]]] = MappingProxyType(
    {
        "regression": {
            "MAE": lambda _: Score(_errors, lambda sums: sums[..., 0] / sums[..., 1]),
            "Corr": lambda _: Score(_moments, _pearson),
            "Mult_acc_7": lambda _: _by_class(_rounded(3.0), 1, 7, _accuracy),
            "Mult_acc_5": lambda _: _by_class(_rounded(2.0), 1, 5, _accuracy),
            "Has0_acc_2": lambda _: _by_class(_non_negative, 1, 2, _accuracy),
            "Has0_F1_score": lambda _: _by_class(_non_negative, 1, 2, _weighted_f1),
            "Non0_acc_2": lambda _: _by_class(_positive, 1, 2, _accuracy),
            "Non0_F1_score": lambda _: _by_class(_positive, 1, 2, _weighted_f1),
        },
        "classification": {
            "accuracy": lambda n_outputs: _by_class(_likeliest, 1, n_outputs, _accuracy),
            "F1_weighted": lambda n_outputs: _by_class(_likeliest, 1, n_outputs, _weighted_f1),
            "F1_macro": lambda n_outputs: _by_class(_likeliest, 1, n_outputs, _macro_f1),
        },
        "multilabel": {
            "accuracy": lambda n_outputs: _by_class(_labels, n_outputs, 2, _accuracy),
            "F1_weighted": lambda n_outputs: _by_class(_labels, n_outputs, 2, _weighted_f1),
        },
    }
)
"""Task -> metric -> from the number of outputs to the score; names are those of `metrics`."""
