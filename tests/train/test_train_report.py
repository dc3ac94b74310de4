"""Scores over seeds, tables, what a run writes class by class and bin by bin, and its figures."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from sadgr.train.calibration import calibrations, reliability
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.config import ModelConfig
from sadgr.train.data import Clips, ClipTensors
from sadgr.train.errors import TrainError
from sadgr.train.figures import write_figure, write_reports
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.logs import Row, write_history
from sadgr.train.metrics import Metrics
from sadgr.train.predict import Predicted
from sadgr.train.report import read_run, write_seed
from sadgr.train.tables import metrics_table, over_seeds, write_csv
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


def write_run(folder: Path, target: Target, truths: Tensor, outputs: Sequence[Tensor]) -> Path:
    """A finished run whose seeds said this of the valid and of the test split; synthetic."""
    folder.mkdir()
    config = {"dataset": "synthetic", "target": asdict(target), "seeds": list(range(7, 7 + len(outputs)))}
    write_json(folder / "config.json", config)
    for seed, of_seed in zip(config["seeds"], outputs, strict=True):
        part = folder / f"seed-{seed}"
        part.mkdir()
        n_outputs, n_targets = of_seed.shape[1], truths.shape[1]
        names = [
            [what] if n == 1 else [f"{what}_{name}" for name in target.outputs]
            for what, n in (("target", n_targets), ("prediction", n_outputs))
        ]
        write_csv(
            part / "predictions.csv",
            [
                {"clip_id": f"{split}-{k}", "split": split}
                | dict(zip(names[0], truth.tolist(), strict=True))
                | dict(zip(names[1], said.tolist(), strict=True))
                for split in ("train", "valid", "test")
                for k, (truth, said) in enumerate(zip(truths, of_seed, strict=True))
            ],
        )
        history: list[Row] = [{"train_loss": 1 / k, "train_contrastive": 0.5, "score": 0.1 + 1 / k} for k in (1, 2, 3)]
        write_history(part / "history.csv", history)
        write_json(part / "metrics.json", {"best_epoch": 3, "epochs": 3})
    return folder


def rows_of(path: Path, **wanted: str) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(path.open()) if all(row[name] == value for name, value in wanted.items())]


def test_a_run_comes_back_from_its_files_to_the_bit(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    truths, outputs = torch.randint(0, 2, (5, 2), generator=rng).float(), torch.randn(3, 5, 2, generator=rng)
    saved = read_run(write_run(tmp_path / "run", EMOTIONS, truths, list(outputs)))
    assert (saved.dataset, saved.target, saved.seeds) == ("synthetic", EMOTIONS, (7, 8, 9))
    assert list(saved.splits) == ["train", "valid", "test"] and list(saved.held_out) == ["valid", "test"]
    assert saved.splits["test"].ids == tuple(f"test-{k}" for k in range(5))
    assert torch.equal(saved.splits["test"].outputs, outputs) and torch.equal(saved.splits["test"].target, truths)
    assert saved.histories[0][2] == {"train_loss": 1 / 3, "train_contrastive": 0.5, "score": 0.1 + 1 / 3}
    (tmp_path / "run/seed-8/metrics.json").unlink()
    with pytest.raises(TrainError, match="is unfinished"):
        read_run(tmp_path / "run")


def test_seeds_of_other_clips_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", SENTIMENT, torch.ones(2, 1), [torch.ones(2, 1)] * 2)
    path = run / "seed-8/predictions.csv"
    path.write_text(path.read_text().replace("test-1", "test-9"))
    with pytest.raises(TrainError, match=r"seed-8 is of other clips than .*seed-7"):
        read_run(run)


def test_report_of_two_seeds_by_hand(tmp_path: Path) -> None:
    truths = torch.tensor([[0.0], [0.0], [0.0], [1.0], [2.0]])
    right = torch.eye(3)[[0, 0, 0, 1, 2]]
    half = torch.eye(3)[[0, 1, 1, 1, 1]]
    run = write_run(tmp_path / "run", MOOD, truths, [right, half])
    write_reports(run)
    (row,) = rows_of(run / "report.csv", split="test", seed="8", **{"class": "calm"})
    assert (row["grouping"], row["support"], float(row["precision"])) == ("classes", "3", 1.0)
    assert float(row["recall"]) == pytest.approx(1 / 3) and float(row["F1"]) == pytest.approx(0.5)
    (glad,) = rows_of(run / "report.csv", split="test", seed="8", **{"class": "glad"})
    assert (glad["precision"], glad["recall"], glad["F1"], glad["support"]) == ("", "0.0", "0.0", "1")
    told = read_json(run / "report.json")
    assert (told["dataset"], told["task"], told["seeds"]) == ("synthetic", "classification", [7, 8])
    found = told["splits"]["test"]["classes"]
    assert found["N"] == 5 and found["classes"]["calm"]["recall"]["mean"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["classes"]["glad"]["precision"]["mean"] is None  # undefined with one seed
    assert found["classes"]["calm"]["support"]["mean"] == 3
    counts = rows_of(run / "confusion.csv", split="test", seed="8")
    assert [int(row["clips"]) for row in counts] == [1, 2, 0, 0, 1, 0, 0, 1, 0]
    assert [(row["truth"], row["prediction"]) for row in counts][:2] == [("calm", "calm"), ("calm", "tense")]


def test_expected_calibration_error_by_hand() -> None:
    # Bins: 0.95 thrice, of which one is right; 0.55 once, right. |1/3 - 0.95| * 3/4 + |1 - 0.55| / 4
    found = reliability(np.array([0.95, 0.95, 0.95, 0.55]), np.array([1.0, 0.0, 0.0, 1.0]), "confidence")
    assert found.ece == pytest.approx((0.95 - 1 / 3) * 3 / 4 + 0.45 / 4)
    assert [one.n for one in found.bins] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3] and found.bins[0].observed is None
    assert reliability(np.array([1.0, 0.0]), np.array([1.0, 0.0]), "sure").ece == 0.0  # both ends are held


def test_probabilities_that_are_meant_are_calibrated_and_others_are_not() -> None:
    """Classes drawn from the model's own probabilities; logits five times as large are overconfident."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 3, generator=rng)
    target = torch.multinomial(logits.softmax(dim=1), 1, generator=rng).float()
    (meant,) = calibrations(logits, target, "classification", MOOD.outputs)
    (overconfident,) = calibrations(5 * logits, target, "classification", MOOD.outputs)
    assert meant.ece is not None and meant.ece < 0.015
    assert overconfident.ece is not None and overconfident.ece > 0.2
    held = (torch.rand(20_000, 2, generator=rng) < logits[:, :2].sigmoid()).float()
    both = calibrations(logits[:, :2], held, "multilabel", EMOTIONS.outputs)
    assert [one.name for one in both] == ["happy", "sad"] and all(
        one.ece is not None and one.ece < 0.02 for one in both
    )
    assert sum(one.n for one in both[0].bins) == both[0].n == 20_000


def test_slope_and_intercept_are_the_planted_ones() -> None:
    prediction = torch.linspace(-1, 1, 101)[:, None]
    (found,) = calibrations(prediction, 2 * prediction + 0.5, "regression", ("label",))
    assert (found.slope, found.intercept, found.ece) == (pytest.approx(2.0), pytest.approx(0.5), None)
    assert sum(one.n for one in found.bins) == 101 and all(9 <= one.n <= 11 for one in found.bins)
    for one in found.bins:
        assert one.predicted is not None and one.observed == pytest.approx(2 * one.predicted + 0.5)
    (tied,) = calibrations(torch.tensor([[0.0]] * 9 + [[1.0]]), torch.ones(10, 1), "regression", ("label",))
    assert sum(one.n for one in tied.bins) == 10 and [one.predicted for one in tied.bins if one.n] in (
        [0.1],
        [0.0, 1.0],
    )
    (constant,) = calibrations(torch.ones(4, 1), torch.arange(4.0)[:, None], "regression", ("label",))
    assert (constant.slope, constant.intercept) == (None, None)
    assert [(one.n, one.predicted, one.observed) for one in constant.bins] == [(4, 1.0, 1.5)]


FILES = {f"{name}.{kind}" for name in ("confusion", "calibration", "history") for kind in ("png", "svg")} | {
    "report.json",
    "report.csv",
    "confusion.csv",
    "calibration.json",
    "calibration.csv",
}


@pytest.mark.parametrize(("target", "n_outputs", "n_targets"), [(SENTIMENT, 1, 1), (MOOD, 3, 1), (EMOTIONS, 2, 2)])
def test_every_task_has_its_files_and_the_same_run_the_same_bytes(
    target: Target, n_outputs: int, n_targets: int, tmp_path: Path
) -> None:
    rng = torch.Generator().manual_seed(1)
    truths = torch.randint(0, 2, (12, n_targets), generator=rng).float()
    outputs = [torch.randn(12, n_outputs, generator=rng) for _ in range(2)]
    runs = [write_run(tmp_path / name, target, truths, outputs) for name in ("a", "b")]
    for run in runs:
        write_reports(run)
    for name in FILES:
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name
    assert {path.name for path in runs[0].iterdir() if path.is_file()} == FILES | {"config.json"}
    calibration = read_json(runs[0] / "calibration.json")["splits"]["test"]
    names = {"regression": ["label"], "classification": ["confidence"], "multilabel": ["happy", "sad"]}[target.task]
    assert list(calibration) == names and calibration[names[0]]["N"] == 12
    bins = rows_of(runs[0] / "calibration.csv", split="test", seed="7", output=names[0])
    assert sum(int(row["n"]) for row in bins) == 12


def test_titles_name_data_set_split_clips_and_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Figure] = {}
    monkeypatch.setattr("sadgr.train.figures.write_figure", lambda path, figure: drawn.update({path.name: figure}))
    write_reports(write_run(tmp_path / "run", SENTIMENT, torch.tensor([[1.0], [0.0], [-2.0]]), [torch.ones(3, 1)] * 2))
    assert {name: figure.get_suptitle() for name, figure in drawn.items()} == {
        "confusion": "synthetic, test split, N = 3, 2 seeds",
        "calibration": "synthetic, test split, N = 3, 2 seeds",
        "history": "synthetic, train N = 3, valid N = 3, 2 seeds",
    }
    panels = [axes.get_title() for axes in drawn["confusion"].axes]
    assert panels == ["seven classes, N = 3", "negative / non-negative, N = 3", "negative / positive, N = 2"]
    shown = [text.get_text() for text in drawn["confusion"].axes[2].texts]
    assert shown == ["0", "2", "0", "2"]  # both seeds say 1 of a clip that is negative and of one that is positive
    assert drawn["calibration"].axes[0].get_title() == "label\nslope and intercept undefined"
    kept = [line for line in drawn["history"].axes[0].get_lines() if line.get_label() == "epoch kept"]
    assert [tuple(line.get_xydata()[0]) for line in kept] == [(3.0, 0.1 + 1 / 3)] * 2


def test_a_figure_is_png_and_svg_beside_each_other_under_any_name(tmp_path: Path) -> None:
    for name in ("lambda-0.1", "again-0.1"):
        figure = Figure()
        figure.subplots().plot([0, 1], label="line")
        figure.axes[0].legend()
        write_figure(tmp_path / name, figure)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}-0.1.{kind}" for name in ("again", "lambda") for kind in ("png", "svg")
    ]
    assert (tmp_path / "lambda-0.1.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "lambda-0.1.svg").read_text()
    assert "<svg" in svg and "<dc:date>" not in svg
    assert svg == (tmp_path / "again-0.1.svg").read_text()
