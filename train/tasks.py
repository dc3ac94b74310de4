"""What is learned: sentiment as a number, one class of several, or several labels at once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
from torch import Tensor
from torch.nn import functional

from sadgr.train.config import TaskName
from sadgr.train.errors import TrainError
from sadgr.train.metrics import Metrics, classification_metrics, multilabel_metrics, regression_metrics

SENTIMENT = "label"
SENTIMENT_COLUMNS = (SENTIMENT, "label_T", "label_A", "label_V")
EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
SENTIMENT_CLASSES = tuple(str(number) for number in range(-3, 4))


@dataclass(frozen=True)
class Task:
    """A kind of learning.

    Attributes:
        name: Its name.
        loss: From outputs (B, O) and targets (B, T) to a scalar, the mean over clips.
        metrics: From outputs (n, O), targets (n, T) and the outputs' names to scores.
    """

    name: TaskName
    loss: Callable[[Tensor, Tensor], Tensor]
    metrics: Callable[[Tensor, Tensor, Sequence[str]], Metrics]


TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {
        "regression": Task(
            "regression", functional.l1_loss, lambda found, target, _: regression_metrics(found[:, 0], target[:, 0])
        ),
        "classification": Task(
            "classification",
            lambda found, target: functional.cross_entropy(found, target[:, 0].long()),
            lambda found, target, names: classification_metrics(found, target[:, 0], names),
        ),
        "multilabel": Task("multilabel", functional.binary_cross_entropy_with_logits, multilabel_metrics),
    }
)


@dataclass(frozen=True)
class Target:
    """What of a data set's labels is learned.

    Attributes:
        task: How.
        columns: Of labels.csv.
        outputs: What each of the model's outputs stands for: the column, the classes, or the labels.
    """

    task: TaskName
    columns: tuple[str, ...]
    outputs: tuple[str, ...]

    def values(self, rows: pd.DataFrame) -> list[tuple[float, ...]]:
        """Return each clip's target: a number, the number of its class, or 0 and 1 for each label."""
        if self.task == "regression":
            return [(float(value),) for value in rows[self.columns[0]]]
        if self.task == "multilabel":
            return [tuple(float(value > 0) for value in row) for row in rows[list(self.columns)].to_numpy(float)]
        classes = {name: float(number) for number, name in enumerate(self.outputs)}
        return [(classes[name],) for name in _class_names(rows[self.columns[0]])]


def choose_target(labels: pd.DataFrame, wanted: str, task: TaskName | None, name: str) -> Target:
    """Find what is to be learned in a data set's labels.

    Args:
        labels: As `Dataset.labels` gives.
        wanted: `sentiment`, `emotions`, or a column.
        task: None takes what suits: labels for emotions, a number for sentiment, classes where another column holds words.
        name: The data set's, for messages.

    Raises:
        TrainError: There is no such column, or it does not suit the task.
    """
    columns = {"sentiment": (SENTIMENT,), "emotions": EMOTIONS}.get(wanted, tuple(wanted.split(",")))
    absent = [column for column in columns if column not in labels or not labelled(labels, [column]).any()]
    if absent:
        listed = ", ".join(map(str, labels.columns))
        raise TrainError(
            f"data set {name} has no labels: its labels.csv needs a column {absent[0]!r} (it has {listed})"
        )
    numeric = all(pd.api.types.is_numeric_dtype(labels[column]) for column in columns)
    number = numeric or columns == (SENTIMENT,)  # where sentiment is no number, that is a fault, not another task
    task = task or ("multilabel" if len(columns) > 1 else "regression" if number else "classification")
    if task != "multilabel" and len(columns) > 1:
        raise TrainError(f"{task} learns one column, {wanted} names {len(columns)}; use --task multilabel")
    if task != "classification" and not numeric:
        texts = [(column, value) for column in columns for value in labels[column] if not _is_number(value)]
        texts += [(column, labels[column].iloc[0]) for column in columns]  # or text by its name, whatever it holds
        column, wrong = texts[0]
        raise TrainError(
            f"data set {name}: column {column!r} must hold numbers only, and holds {wrong!r}; correct the source's table "
            "and run sadgr-extract again, or learn it with --task classification"
        )
    if task != "classification":
        return Target(task, columns, columns)
    if numeric and columns[0] in SENTIMENT_COLUMNS:
        return Target(task, columns, SENTIMENT_CLASSES)
    present = set(_class_names(labels.loc[labelled(labels, columns), columns[0]]))
    return Target(task, columns, tuple(sorted(present, key=_natural)))


def labelled(labels: pd.DataFrame, columns: Sequence[str]) -> "pd.Series[bool]":
    """Whether each clip has all of these; in a column of words, an empty one is none."""
    values = labels[list(columns)]
    return (values.notna() & (values != "")).all(axis=1)


def _class_names(values: "pd.Series[float] | pd.Series[str]") -> list[str]:
    """Name classes as they are; sentiment rounded to whole numbers within [-3, 3], as Acc-7 does (FORMATS.md)."""
    if not pd.api.types.is_numeric_dtype(values):
        return [str(value) for value in values]
    numbers = values.astype(float)
    if values.name in SENTIMENT_COLUMNS:
        numbers = numbers.clip(-3, 3).round()
    return [str(int(number)) if number.is_integer() else str(number) for number in numbers]


def _natural(name: str) -> tuple[float, str]:
    number = float(name) if _is_number(name) else math.inf
    return (number if math.isfinite(number) else math.inf, name)


def _is_number(value: object) -> bool:
    try:
        float(str(value or "nan"))
    except ValueError:
        return False
    return True
