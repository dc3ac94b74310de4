"""Scores over seeds, tables, and rows of predictions."""

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from sadgr.train.checkpoint import read_json
from sadgr.train.config import ModelConfig
from sadgr.train.data import Clips, ClipTensors
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.metrics import Metrics
from sadgr.train.predict import Predicted
from sadgr.train.report import metrics_table, over_seeds, write_seed
from sadgr.train.tasks import Target

SENTIMENT = Target("regression", ("label",), ("label",))
MOOD = Target("classification", ("mood",), ("calm", "tense", "glad"))
EMOTIONS = Target("multilabel", ("happy", "sad"), ("happy", "sad"))


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=9))
def test_seeds_are_summed_up_as_scipy_does(values: list[float]) -> None:
    found = over_seeds([{"MAE": value} for value in values])["MAE"]
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    std, error = float(np.std(values, ddof=1)), float(stats.sem(values))
    assert found["std"] == pytest.approx(std, abs=1e-9)
    mean = float(np.mean(values))
    interval = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error) if error else (mean, mean)
    assert [found["low"], found["high"]] == pytest.approx([float(end) for end in interval], abs=1e-6)


def test_five_seeds_by_hand() -> None:
    # deviations -0.02 -0.01 0 0.01 0.02; std = sqrt(0.001 / 4); t with 4 degrees of freedom at 0.975 is 2.776
    found = over_seeds([{"MAE": value} for value in (0.70, 0.71, 0.72, 0.73, 0.74)])["MAE"]
    assert found["mean"] == pytest.approx(0.72) and found["std"] == pytest.approx(0.0158114, abs=1e-7)
    assert found["high"] == pytest.approx(0.72 + 2.776 * 0.0158114 / math.sqrt(5), abs=1e-4)


def test_one_seed_has_neither_deviation_nor_interval() -> None:
    assert over_seeds([{"MAE": 0.5}]) == {"MAE": {"mean": 0.5, "std": None, "low": None, "high": None}}


def test_what_is_undefined_once_is_undefined() -> None:
    seeds: list[Metrics] = [{"MAE": 0.5, "Corr": 0.2}, {"MAE": 0.7, "Corr": None}, {"MAE": 0.6, "Corr": 0.4}]
    found = over_seeds(seeds)
    assert set(found["Corr"].values()) == {None}
    assert found["MAE"]["mean"] == pytest.approx(0.6)


def cells(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


def test_table_shows_one_seed_as_it_is_and_several_with_their_interval() -> None:
    first: Metrics = {"MAE": 0.7, "Corr": None, "N": 6}
    other: Metrics = {"MAE": 0.8, "Corr": 0.1, "N": 6}
    assert cells(metrics_table("mosi", [{"valid": first}])) == [
        ["data set", "split", "N", "MAE", "Corr"],
        ["mosi", "valid", "6", "0.7000", "undefined"],
    ]
    half = 12.7062 * math.sqrt(0.005) / math.sqrt(2)  # t with 1 degree of freedom
    assert cells(metrics_table("mosi", [{"valid": first, "test": other}, {"valid": other, "test": other}]))[1:] == [
        ["mosi", "valid", "6", f"0.7500 +-{half:.4f}", "undefined"],
        ["mosi", "test", "6", "0.8000 +-0.0000", "0.1000 +-0.0000"],
    ]


def test_table_of_classes_has_their_columns() -> None:
    header, row = cells(
        metrics_table("iemocap", [{"test": {"accuracy": 0.5, "F1_weighted": 0.4, "F1_macro": 0.3, "N": 2}}])
    )
    assert header == ["data set", "split", "N", "accuracy", "F1 weighted", "F1 macro"]
    assert row == ["iemocap", "test", "2", "0.5000", "0.4000", "0.3000"]


def clip(clip_id: str, target: tuple[float, ...], small: ModelConfig) -> ClipTensors:
    text, audio, video = (torch.zeros(1, width) for width in (small.d_text, small.d_audio, small.d_video))
    return ClipTensors(clip_id, text, audio, video, text[0], audio[0], (True, True, True), True, target)


@pytest.mark.parametrize(
    ("target", "truth", "outputs", "columns"),
    [
        (SENTIMENT, (1.5,), torch.tensor([[1.25]]), {"target": 1.5, "prediction": 1.25}),
        (
            MOOD,
            (2.0,),
            torch.tensor([[0.5, 0.25, -1.0]]),
            {"target": 2.0, "prediction_calm": 0.5, "prediction_tense": 0.25, "prediction_glad": -1.0},
        ),
        (
            EMOTIONS,
            (0.0, 1.0),
            torch.tensor([[0.5, -1.0]]),
            {"target_happy": 0.0, "target_sad": 1.0, "prediction_happy": 0.5, "prediction_sad": -1.0},
        ),
    ],
)
def test_a_seed_s_files_name_their_values(
    target: Target,
    truth: tuple[float, ...],
    outputs: Tensor,
    columns: dict[str, float],
    small: ModelConfig,
    tmp_path: Path,
) -> None:
    data = FitData({"valid": Clips([clip("v$_$1", truth, small)])}, target, (10, 12, 14), "")
    history = [{"train_loss": 0.5, "train_contrastive": 0.0, "score": 0.25}]
    write_seed(tmp_path, data, FitResult({"valid": Predicted(outputs, None)}, {"valid": {"N": 1}}, history, 1))
    (row,) = csv.DictReader((tmp_path / "predictions.csv").open())
    assert (row.pop("clip_id"), row.pop("split")) == ("v$_$1", "valid")
    assert {name: float(value) for name, value in row.items()} == columns
    (epoch,) = csv.DictReader((tmp_path / "history.csv").open())
    assert epoch == {"epoch": "1", "train_loss": "0.5", "train_contrastive": "0.0", "valid_loss": "0.25"}
    assert read_json(tmp_path / "metrics.json") == {"valid": {"N": 1}, "best_epoch": 1, "epochs": 1}
