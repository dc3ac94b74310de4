"""Regression metrics of MOSI and MOSEI as MMSA computes them (FORMATS.md), with an answer for every input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import Tensor

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


def classification_metrics(logits: Tensor, target: Tensor, names: Sequence[str]) -> Metrics:
    """Score one class of several.

    Args:
        logits: (n, C).
        target: (n,) number of the true class.
        names: Of the C classes.

    Returns:
        `accuracy`, `F1_weighted`, `F1_macro` (over the classes that truth or prediction has), `N`, and `F1_<name>` of each
        class; None where neither has it.

    Raises:
        ValueError: Nothing to score, numbers of clips that differ, or a value that is not finite.
    """
    _require_scorable(logits, target)
    p, t = logits.argmax(dim=1).numpy(), target.long().numpy()
    each = f1_score(t, p, labels=range(len(names)), average=None, zero_division=0.0)
    present = {int(number) for number in np.union1d(p, t)}
    return {
        "accuracy": float((p == t).mean()),
        "F1_weighted": float(f1_score(t, p, average="weighted", zero_division=0.0)),
        "F1_macro": float(f1_score(t, p, average="macro", zero_division=0.0)),
        "N": len(t),
        **{f"F1_{name}": float(each[number]) if number in present else None for number, name in enumerate(names)},
    }


def multilabel_metrics(logits: Tensor, target: Tensor, names: Sequence[str]) -> Metrics:
    """Score several labels at once; a label is predicted where its logit is above 0.

    Args:
        logits: (n, K).
        target: (n, K) of 0 and 1.
        names: Of the K labels.

    Returns:
        `accuracy` and `F1_weighted` as means over labels, `N`, and `accuracy_<name>`, `F1_<name>` (weighted over having the
        label and not, as MOSEI's emotions are scored).

    Raises:
        ValueError: Nothing to score, numbers of clips that differ, or a value that is not finite.
    """
    _require_scorable(logits, target)
    p, t = (logits > 0).numpy(), (target > 0).numpy()
    accuracies = (p == t).mean(axis=0)  # (K,)
    f1s = [f1_score(t[:, k], p[:, k], average="weighted", zero_division=0.0) for k in range(len(names))]
    return {
        "accuracy": float(np.mean(accuracies)),
        "F1_weighted": float(np.mean(f1s)),
        "N": len(t),
        **{f"accuracy_{name}": float(accuracy) for name, accuracy in zip(names, accuracies, strict=True)},
        **{f"F1_{name}": float(f1) for name, f1 in zip(names, f1s, strict=True)},
    }


@dataclass(frozen=True)
class Grouping:
    """Clips told apart by classes: what was predicted and what is true.

    Attributes:
        name: What the classes are of.
        classes: Their C names.
        counts: (C, C), clips by class of the truth (row) and of the prediction (column).
    """

    name: str
    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    def scores(self) -> dict[str, dict[str, float | int | None]]:
        """Give precision, recall, F1 and support (clips of the truth) of each class; None where nothing is divided by."""
        hits, truth, prediction = self.counts.diagonal(), self.counts.sum(axis=1), self.counts.sum(axis=0)
        return {
            name: {
                "precision": _ratio(hits[k], prediction[k]),
                "recall": _ratio(hits[k], truth[k]),
                "F1": _ratio(2 * hits[k], truth[k] + prediction[k]),
                "support": int(truth[k]),
            }
            for k, name in enumerate(self.classes)
        }


def groupings(outputs: Tensor, target: Tensor, task: str, names: Sequence[str]) -> list[Grouping]:
    """Tell clips apart by the classes that the metrics count.

    Args:
        outputs: (n, O) of the model.
        target: (n, T).
        task: regression, classification or multilabel.
        names: What each output stands for.

    Returns:
        Of regression the seven classes of Acc-7, negative / non-negative, and negative / positive without clips whose truth
        is 0; of classes one grouping; of labels one each.
    """
    if task == "classification":
        return [_grouping("classes", names, outputs.argmax(dim=1).numpy(), target[:, 0].long().numpy())]
    if task == "multilabel":
        p, t = (outputs > 0).numpy(), (target > 0).numpy()
        return [_grouping(name, ("without", "with"), p[:, k], t[:, k]) for k, name in enumerate(names)]
    scores, truth = _values(outputs[:, 0], "prediction"), _values(target[:, 0], "target")
    nonzero = truth != 0
    return [
        _grouping("seven classes", [str(number) for number in range(-3, 4)], *(_seven(one) for one in (scores, truth))),
        _grouping("negative / non-negative", ("negative", "non-negative"), scores >= 0, truth >= 0),
        _grouping("negative / positive", ("negative", "positive"), scores[nonzero] > 0, truth[nonzero] > 0),
    ]


def _seven(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.round(np.clip(values, -3.0, 3.0)).astype(np.int64) + 3


def _grouping(name: str, classes: Sequence[str], p: NDArray[np.generic], t: NDArray[np.generic]) -> Grouping:
    n = len(classes)
    cells = t.astype(np.int64) * n + p.astype(np.int64)
    return Grouping(name, tuple(classes), np.bincount(cells, minlength=n * n).reshape(n, n))


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _require_scorable(logits: Tensor, target: Tensor) -> None:
    """Refuse what has no score, as `_values` does."""
    if not len(logits):
        raise ValueError("prediction is empty: there is no clip to score")
    if len(logits) != len(target):
        raise ValueError(f"{len(logits)} predictions for {len(target)} targets: give one for each clip")
    for values, name in ((logits, "prediction"), (target, "target")):
        bad = int((~values.isfinite()).sum())
        if bad:
            raise ValueError(f"{name} is not finite at {bad} of {values.numel()} positions")


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
