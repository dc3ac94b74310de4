"""Rows that a run says of clips."""

import csv
import math

import numpy as np
import pytest
import torch

from sadgr.train.answers import prediction_rows
from sadgr.train.predict import Predicted
from sadgr.train.tables import csv_text
from sadgr.train.tasks import Target

SENTIMENT = Target("regression", ("label",), ("label",))
MOOD = Target("classification", ("mood",), ("calm", "tense", "glad"))
EMOTIONS = Target("multilabel", ("happy", "sad"), ("happy", "sad"))


def test_regression_rows_hold_mean_least_and_most_of_the_seeds() -> None:
    seeds = [Predicted(torch.tensor([[1.0], [-2.0]]), torch.tensor([0.2, 0.4]))]
    assert prediction_rows(["a", "b"], seeds, SENTIMENT) == [
        {"clip_id": "a", "prediction": 1.0, "class_7": 1, "polarity": "positive", "gate_mean": pytest.approx(0.2)},
        {"clip_id": "b", "prediction": -2.0, "class_7": -2, "polarity": "negative", "gate_mean": pytest.approx(0.4)},
    ]
    seeds += [Predicted(torch.tensor([[4.0], [-1.0]]), torch.tensor([0.6, 0.0]))]
    first, second = prediction_rows(["a", "b"], seeds, SENTIMENT)
    assert (first["prediction"], first["low"], first["high"]) == (2.5, 1.0, 4.0)
    assert (second["prediction"], second["low"], second["high"]) == (-1.5, -2.0, -1.0)
    assert [first["gate_mean"], second["gate_mean"]] == [pytest.approx(0.4), pytest.approx(0.2)]


def test_sentiment_s_class_is_the_one_that_acc_7_takes_it_for() -> None:
    values = [-9.0, -2.5, -1.5, -0.5, 0.5, 0.51, 1.5, 2.5, 3.7]
    found = Predicted(torch.tensor(values)[:, None], None)
    rows = prediction_rows([str(value) for value in values], [found], SENTIMENT)
    assert [row["class_7"] for row in rows] == np.round(np.clip(values, -3, 3)).tolist()  # half to even
    assert [row["polarity"] for row in rows] == ["negative"] * 3 + ["neutral"] * 2 + ["positive"] * 4


def test_another_number_has_no_sentiment_class() -> None:
    rows = prediction_rows(["a"], [Predicted(torch.tensor([[4.5]]), None)], Target("regression", ("age",), ("age",)))
    assert rows == [{"clip_id": "a", "prediction": 4.5}]


def test_class_rows_hold_the_likeliest_of_mean_probabilities() -> None:
    """One seed is sure of glad, two lean to calm: probabilities are averaged, not votes."""
    sure, leaning = torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[0.1, 0.0, 0.0]])
    (row,) = prediction_rows(["a"], [Predicted(one, None) for one in (sure, leaning, leaning)], MOOD)
    each = torch.stack([sure.softmax(-1), leaning.softmax(-1), leaning.softmax(-1)])[:, 0]  # (seeds, C)
    assert row.pop("prediction") == "glad" and row.pop("clip_id") == "a"
    assert sum(float(row[f"p_{name}"]) for name in MOOD.outputs) == pytest.approx(1.0)
    for number, name in enumerate(MOOD.outputs):
        assert row.pop(f"p_{name}") == pytest.approx(float(each[:, number].mean()))
        assert row.pop(f"low_{name}") == pytest.approx(float(each[:, number].min()))
        assert row.pop(f"high_{name}") == pytest.approx(float(each[:, number].max()))
    assert not row


def test_label_rows_hold_those_more_likely_than_not() -> None:
    found = Predicted(torch.tensor([[2.0, 0.1], [-1.0, -0.1], [-1.0, 3.0]]), None)
    rows = prediction_rows(["a", "b", "c"], [found], EMOTIONS)
    assert [row["prediction"] for row in rows] == ["happy sad", "", "sad"]
    assert rows[0]["p_happy"] == pytest.approx(1 / (1 + math.exp(-2.0)))
    header, *lines = csv.reader(csv_text(rows).splitlines())
    assert header == ["clip_id", "prediction", "p_happy", "p_sad"] and len(lines) == 3
