"""What is learned of a table of labels, and by which loss and scores."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from sadgr.train.config import TaskName
from sadgr.train.errors import TrainError
from sadgr.train.metrics import regression_metrics
from sadgr.train.tasks import EMOTIONS, SENTIMENT_CLASSES, TASKS, Target, choose_target


def table(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=[f"c{i}" for i in range(len(next(iter(columns.values()))))])


LABELS = table(
    label=[1.0, -2.6, 0.0],
    label_T=[0.5, 1.5, np.nan],
    **{emotion: [0.0, 1.0, 2.0] for emotion in EMOTIONS},  # type: ignore[arg-type]
    mood=["tense", "calm", "tense"],
    level=[10.0, 9.0, -0.5],
    speaker=["1", "2", "2"],
    annotation=["Positive", "", "Neutral"],
    empty=[np.nan, np.nan, np.nan],
    blank=["", "", ""],
)


@pytest.mark.parametrize(
    ("wanted", "task", "expected"),
    [
        ("sentiment", None, Target("regression", ("label",), ("label",))),
        ("sentiment", "classification", Target("classification", ("label",), SENTIMENT_CLASSES)),
        ("label", "classification", Target("classification", ("label",), SENTIMENT_CLASSES)),
        ("label_T", "classification", Target("classification", ("label_T",), SENTIMENT_CLASSES)),
        ("emotions", None, Target("multilabel", EMOTIONS, EMOTIONS)),
        ("happy,sad", None, Target("multilabel", ("happy", "sad"), ("happy", "sad"))),
        ("happy", None, Target("regression", ("happy",), ("happy",))),
        ("happy", "multilabel", Target("multilabel", ("happy",), ("happy",))),
        ("mood", None, Target("classification", ("mood",), ("calm", "tense"))),
        ("annotation", None, Target("classification", ("annotation",), ("Neutral", "Positive"))),
        ("level", "classification", Target("classification", ("level",), ("-0.5", "9", "10"))),
        ("speaker", None, Target("classification", ("speaker",), ("1", "2"))),
    ],
)
def test_what_is_wanted_is_found(wanted: str, task: TaskName | None, expected: Target) -> None:
    assert choose_target(LABELS, wanted, task, "demo") == expected


@pytest.mark.parametrize(
    ("wanted", "task", "message"),
    [
        ("moods", None, r"data set demo has no labels: its labels.csv needs a column 'moods' \(it has label, "),
        ("empty", None, "needs a column 'empty'"),
        ("blank", None, "needs a column 'blank'"),
        ("happy,glad", None, "needs a column 'glad'"),
        ("emotions", "regression", "regression learns one column, emotions names 6; use --task multilabel"),
        ("emotions", "classification", "classification learns one column"),
        ("mood", "regression", "column 'mood' must hold numbers only, and holds 'tense'.*--task classification"),
        ("happy,mood", None, "column 'mood' must hold numbers only"),
        ("speaker", "regression", "column 'speaker' must hold numbers only, and holds '1'"),
    ],
)
def test_what_cannot_be_learned_is_explained(wanted: str, task: TaskName | None, message: str) -> None:
    with pytest.raises(TrainError, match=message):
        choose_target(LABELS, wanted, task, "demo")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (table(mode=["train", "valid"]), "has no labels: its labels.csv needs a column 'label'"),
        (table(label=[np.nan, np.nan]), "has no labels"),
        (table(label=["1.5", "n/a"]), "column 'label' must hold numbers only, and holds 'n/a'"),
    ],
)
def test_sentiment_that_is_no_number_is_a_fault(labels: pd.DataFrame, message: str) -> None:
    with pytest.raises(TrainError, match=message):
        choose_target(labels, "sentiment", None, "demo")


def test_sentiment_falls_into_the_classes_of_acc_7() -> None:
    values = [-3.7, -2.5, -1.5, -0.5, -0.4, 0.0, 0.5, 1.5, 1.6, 2.5, 3.0, 9.0]
    rows = table(label=[*values])
    target = choose_target(rows, "sentiment", "classification", "demo")
    names = [target.outputs[int(number)] for (number,) in target.values(rows)]
    assert names == ["-3", "-2", "-2", "0", "0", "0", "0", "2", "2", "2", "3", "3"]
    rounded = [float(name) for name in names]
    assert regression_metrics(np.array(values), np.array(rounded))["Mult_acc_7"] == 1.0


def test_numbers_that_are_no_sentiment_are_classes_as_they_are() -> None:
    rows = table(emotion=[0.0, 4.0, 6.0, 4.0])
    target = choose_target(rows, "emotion", "classification", "demo")
    assert target.outputs == ("0", "4", "6")
    assert target.values(rows) == [(0.0,), (1.0,), (2.0,), (1.0,)]


def test_each_task_has_its_numbers() -> None:
    assert Target("regression", ("label",), ("label",)).values(LABELS) == [(1.0,), (-2.6,), (0.0,)]
    words = Target("classification", ("mood",), ("calm", "tense"))
    assert words.values(LABELS) == [(1.0,), (0.0,), (1.0,)]
    labels = Target("multilabel", ("happy", "level"), ("happy", "level"))
    assert labels.values(LABELS) == [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]


def test_loss_is_the_table_s() -> None:
    outputs = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]])
    l1 = TASKS["regression"].loss(outputs[:, :1], torch.tensor([[1.0], [3.0]]))
    assert float(l1) == pytest.approx((0.5 + 2.0) / 2)
    cross_entropy = TASKS["classification"].loss(outputs, torch.tensor([[2.0], [0.0]]))
    chances = np.exp(outputs.numpy()) / np.exp(outputs.numpy()).sum(axis=1, keepdims=True)
    assert float(cross_entropy) == pytest.approx(-np.log(chances[[0, 1], [2, 0]]).mean(), abs=1e-6)
    truth = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    binary = TASKS["multilabel"].loss(outputs, truth)
    each = 1 / (1 + np.exp(-outputs.numpy()))
    expected = -np.where(truth.numpy() > 0, np.log(each), np.log(1 - each)).mean()
    assert float(binary) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("task", "outputs", "target", "score"),
    [
        ("regression", torch.tensor([[0.5], [1.0]]), torch.tensor([[1.0], [1.0]]), ("MAE", 0.25)),
        ("classification", torch.tensor([[0.5, 1.0], [1.0, 0.0]]), torch.tensor([[1.0], [1.0]]), ("accuracy", 0.5)),
        ("multilabel", torch.tensor([[0.5, -1.0], [1.0, 1.0]]), torch.tensor([[1.0, 0], [1, 0]]), ("accuracy", 0.75)),
    ],
)
def test_scores_are_the_task_s(task: TaskName, outputs: Tensor, target: Tensor, score: tuple[str, float]) -> None:
    metrics = TASKS[task].metrics(outputs, target, ("a", "b"))
    assert metrics[score[0]] == pytest.approx(score[1]) and metrics["N"] == 2
