"""The paired bootstrap: calibrated where nothing differs, and finding what was planted."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from sadgr.cache import ClipFeatures
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig, TaskName
from sadgr.train.errors import TrainError
from sadgr.train.jobs import run_fit
from sadgr.train.metrics import Metrics
from sadgr.train.request import FitRequest
from sadgr.train.score_sums import SCORES
from sadgr.train.significance import Difference, paired_bootstrap
from sadgr.train.tables import write_csv
from sadgr.train.tasks import TASKS

OUTPUTS = {"regression": 1, "classification": 4, "multilabel": 3}
EVERY = [(task, metric) for task, metrics in SCORES.items() for metric in metrics]


def synthetic(task: str, n: int, n_seeds: int, seed: int) -> tuple[Tensor, Tensor]:
    """Outputs (seeds, n, O) that lean towards targets (n, T), with ties and zeros among both."""
    rng = np.random.default_rng(seed)
    n_outputs = OUTPUTS[task]
    if task == "classification":
        target = rng.integers(0, n_outputs, (n, 1)).astype(float)
        lean = np.eye(n_outputs)[target[:, 0].astype(int)]
    elif task == "multilabel":
        target = rng.integers(0, 2, (n, n_outputs)).astype(float)
        lean = target - 0.5
    else:
        target = rng.integers(-6, 7, (n, 1)) / 2
        lean = target
    outputs = np.round(2 * (lean + rng.standard_normal((n_seeds, n, n_outputs)))) / 2
    return torch.tensor(outputs, dtype=torch.float32), torch.tensor(target, dtype=torch.float32)


def metrics_of(task: TaskName, outputs: Tensor, target: Tensor) -> Metrics:
    return TASKS[task].metrics(outputs, target, [str(number) for number in range(OUTPUTS[task])])


@pytest.mark.parametrize(("task", "metric"), EVERY)
def test_every_score_is_the_metric_also_where_clips_are_drawn_again(task: TaskName, metric: str) -> None:
    """The oracle scores a resample by the metrics' own code, clip after clip as often as it was drawn."""
    outputs, target = synthetic(task, 23, 1, seed=5)
    score = SCORES[task][metric](OUTPUTS[task])
    per_clip = score.per_clip(outputs[0].double().numpy(), target.double().numpy())
    rng = np.random.default_rng(0)
    draws = np.stack([np.ones(23, dtype=int), *rng.multinomial(23, np.full(23, 1 / 23), size=40)])
    draws = np.concatenate([draws, np.eye(23, dtype=int)[:3] * 23])  # one clip alone: no correlation
    for times, found in zip(draws, score.of_sums(draws.astype(float) @ per_clip), strict=True):
        again = np.repeat(np.arange(23), times)
        expected = metrics_of(task, outputs[0, again], target[again])[metric]
        assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-6)


def test_interval_and_p_are_those_of_drawing_clip_by_clip() -> None:
    """The same draws, scored by the metrics' own code, seeds averaged."""
    first, target = synthetic("regression", 15, 3, seed=1)
    second = synthetic("regression", 15, 2, seed=2)[0] * 0.5
    found = paired_bootstrap(first, second, target, "Corr", seed=4, resamples=30)
    differences = []
    for times in np.random.default_rng(4).multinomial(15, np.full(15, 1 / 15), size=30):
        again = np.repeat(np.arange(15), times)
        sides = [
            np.mean([float(metrics_of("regression", one[again], target[again])["Corr"] or np.nan) for one in side])
            for side in (first, second)
        ]
        differences.append(sides[0] - sides[1])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])), abs=1e-6)
    below = sum(one <= 0 for one in differences)
    assert found.p == pytest.approx(min(1.0, 2 * (min(below, 30 - below) + 1) / 31))
    by_seed = [[metrics_of("regression", one, target)["Corr"] for one in side] for side in (first, second)]
    assert found.first == pytest.approx(np.mean(by_seed[0])) and found.second == pytest.approx(np.mean(by_seed[1]))
    assert found.difference == found.first - found.second


def pairs(n_pairs: int, better: float, metric: str) -> list[Difference]:
    """Two models of three seeds on 80 clips, with errors of one spread; the first's are `better` times smaller."""
    found = []
    for number in range(n_pairs):
        rng = np.random.default_rng([7, number])
        target = rng.uniform(-3, 3, (80, 1))
        hard = rng.standard_normal((80, 1))  # of the clip, for all models
        first, second = (target + scale * (hard + rng.standard_normal((3, 80, 1))) for scale in (better, 1.0))
        sides = torch.tensor(first), torch.tensor(second)
        found.append(paired_bootstrap(*sides, torch.tensor(target), metric, seed=number, resamples=199))
    return found


@pytest.mark.parametrize("metric", ["MAE", "Corr", "Has0_F1_score"])
def test_p_is_about_uniform_where_nothing_differs(metric: str) -> None:
    """300 pairs of equals: no more than chance gives are called different, and intervals hold 0 as often as they say."""
    found = pairs(300, 1.0, metric)
    ps = np.array([one.p for one in found])
    # A binomial of 300 draws lies within these bounds but for once in 10,000.
    for level in (0.05, 0.1, 0.5):
        low, high = stats.binom.interval(0.9999, 300, level)
        assert low <= (ps <= level).sum() <= high, (level, (ps <= level).mean())
    held = sum(one.low <= 0 <= one.high for one in found)
    low, high = stats.binom.interval(0.9999, 300, 0.95)
    assert low <= held <= high
    assert stats.kstest(ps, "uniform").pvalue > 1e-4


def test_a_planted_difference_is_found_with_its_sign() -> None:
    found = pairs(40, 0.7, "MAE")
    assert sum(one.p < 0.05 and one.high < 0 for one in found) >= 38
    # the mean absolute error of a normal of variance 2 is 2 / sqrt(pi)
    assert np.mean([one.difference for one in found]) == pytest.approx(-0.3 * 2 / np.sqrt(np.pi), abs=0.03)


def test_pairing_finds_what_two_samples_apart_would_not() -> None:
    """A small gain on every clip, beside a spread over clips that is thirty times as large."""
    rng = np.random.default_rng(3)
    target = torch.zeros(200, 1)
    second = torch.tensor(rng.uniform(0.1, 3, (1, 200, 1)))
    gains = torch.tensor(rng.uniform(0.0, 0.05, (1, 200, 1)))
    found = paired_bootstrap(second - gains, second, target, "MAE")
    assert found.p < 0.001 and -0.05 < found.low < found.high < 0
    apart = stats.ttest_ind((second - gains).flatten().numpy(), second.flatten().numpy())
    assert apart.pvalue > 0.5


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(EVERY), st.integers(0, 99))
def test_a_run_does_not_differ_from_itself_and_sides_may_be_swapped(which: tuple[TaskName, str], seed: int) -> None:
    task, metric = which
    outputs, target = synthetic(task, 20, 2, seed)
    same = paired_bootstrap(outputs, outputs.clone(), target, metric, task, resamples=200)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    other = synthetic(task, 20, 2, seed + 100)[0]
    one, swapped = (
        paired_bootstrap(*sides, target, metric, task, resamples=200) for sides in ((outputs, other), (other, outputs))
    )
    assert (one.difference, one.p) == (-swapped.difference, swapped.p)
    assert (one.low, one.high) == pytest.approx((-swapped.high, -swapped.low), abs=1e-12)


def test_draws_hang_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, target), (second, _) = (synthetic("regression", 30, 1, seed) for seed in (1, 2))
    one = paired_bootstrap(first, second, target, "MAE", seed=3, resamples=100)
    assert paired_bootstrap(first, second, target, "MAE", seed=3, resamples=100) == one
    assert paired_bootstrap(first, second, target, "MAE", seed=4, resamples=100).low != one.low
    monkeypatch.setattr("sadgr.train.significance.CHUNK_CELLS", 7 * 30)
    chunked = paired_bootstrap(first, second, target, "MAE", seed=3, resamples=100)
    assert (chunked.low, chunked.high, chunked.p) == pytest.approx((one.low, one.high, one.p))


def test_resamples_without_the_score_are_counted() -> None:
    """Of three clips, drawing one alone leaves nothing to correlate: 3 of 27 draws, about a ninth."""
    target = torch.tensor([[-1.0], [0.0], [2.0]])
    first, second = torch.tensor([[[-1.0], [0.5], [1.0]]]), torch.tensor([[[1.0], [0.0], [0.5]]])
    found = paired_bootstrap(first, second, target, "Corr", resamples=2000)
    assert found.resamples + found.undefined == 2000
    assert found.undefined / 2000 == pytest.approx(1 / 9, abs=0.03)


def test_what_cannot_be_compared_is_named() -> None:
    outputs, target = synthetic("regression", 6, 1, 0)
    for first, truth, metric, message in (
        (outputs, target, "F1", "regression has no metric F1: choose one of MAE, Corr"),
        (outputs[:, :5], target, "MAE", "expected \\(seeds, clips, outputs\\)"),
        (outputs[0], target, "MAE", "expected \\(seeds, clips, outputs\\)"),
        (outputs * float("nan"), target, "MAE", "an output is not finite"),
        (torch.ones_like(outputs), target, "Corr", "Corr is undefined for these 6 clips"),
        (outputs, torch.zeros_like(target), "Non0_acc_2", "Non0_acc_2 is undefined"),
    ):
        with pytest.raises(TrainError, match=message):
            paired_bootstrap(first, outputs, truth, metric)


def saved(folder: Path, outputs: Tensor, target: Tensor, ids: list[str] | None = None, column: str = "label") -> Path:
    """A run's files, as fit leaves them."""
    ids = ids or [f"v$_${number}" for number in range(len(target))]
    seeds = list(range(len(outputs)))
    folder.mkdir()
    told = {"task": "regression", "columns": [column], "outputs": [column]}
    write_json(folder / "config.json", {"dataset": "synthetic", "target": told, "seeds": seeds})
    for seed, of_seed in zip(seeds, outputs, strict=True):
        part = folder / f"seed-{seed}"
        part.mkdir()
        rows = zip(ids, target.tolist(), of_seed.tolist(), strict=True)
        write_csv(
            part / "predictions.csv",
            [{"clip_id": name, "split": "test", "target": t[0], "prediction": p[0]} for name, t, p in rows],
        )
        (part / "history.csv").write_text("epoch,train_loss,valid_loss\n1,0.5,0.25\n")
        write_json(part / "metrics.json", {"best_epoch": 1, "epochs": 1})
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["significance", *map(str, arguments)])


def test_command_compares_two_runs_whatever_the_order_of_their_clips(tmp_path: Path) -> None:
    (first, target), (second, _) = (synthetic("regression", 40, 2, seed) for seed in (1, 2))
    second = second * 0.3
    run = saved(tmp_path / "a", first, target)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    ids = [f"v$_${number}" for number in order.tolist()]
    other = saved(tmp_path / "b", second[:, order], target[order], ids)
    result = call(run, other, "--json", "--metric", "Corr", "--seed", 5)
    assert result.exit_code == 0, result.stderr
    expected = paired_bootstrap(first, second, target, "Corr", seed=5)
    assert json.loads(result.stdout) == {"dataset": "synthetic", "split": "test", **vars(expected)}
    lines = call(run, other).stdout.splitlines()
    mae = paired_bootstrap(first, second, target, "MAE")
    assert lines[0] == "synthetic, test split, N = 40"
    assert lines[2].startswith(f"difference {mae.difference:+.4f}, 95 % interval [{mae.low:+.4f}, ")
    itself = json.loads(call(run, run, "--json").stdout)
    assert (itself["difference"], itself["p"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, t, folder: saved(folder, o[:, 1:], t[1:]), "have 1 clips that the other has not"),
        (lambda o, t, folder: saved(folder, o, t + 0.5 * torch.eye(9)[:, :1]), r"other truths for 1 clips \(v\$_\$0\)"),
        (lambda o, t, folder: saved(folder, o, t, column="label_T"), "learned label as regression"),
        (lambda o, t, folder: folder, "config.json is missing"),
    ],
)
def test_runs_of_other_clips_truths_or_targets_are_refused(
    change: Callable[[Tensor, Tensor, Path], Path], message: str, tmp_path: Path
) -> None:
    outputs, target = synthetic("regression", 9, 1, 1)
    result = call(saved(tmp_path / "a", outputs, target), change(outputs, target, tmp_path / "b"))
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr


def test_splits_that_are_not_there_and_unfinished_runs_are_named(tmp_path: Path) -> None:
    outputs, target = synthetic("regression", 9, 1, 1)
    run = saved(tmp_path / "a", outputs, target)
    assert "has no split valid (it has test)" in call(run, run, "--split", "valid").stderr
    (run / "seed-0/metrics.json").unlink()
    assert "is unfinished" in call(run, run).stderr


@pytest.mark.usefixtures("without_its_figures")
def test_scores_of_fitted_runs_are_those_of_their_tables(
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    write_cache: Callable[..., Path],
    small: ModelConfig,
    tmp_path: Path,
) -> None:
    cache = write_cache(*labelled(18))
    request = FitRequest(FitConfig(epochs=1, batch_size=8), small, (3, 4))
    run_fit(cache, tmp_path / "a", request, lambda: False, lambda _: None)
    run_fit(cache, tmp_path / "b", replace(request, seeds=(5,)), lambda: False, lambda _: None)
    for metric in SCORES["regression"]:
        found = json.loads(
            call(tmp_path / "a", tmp_path / "b", "--metric", metric, "--split", "valid", "--json").stdout
        )
        for side, run in (("first", "a"), ("second", "b")):
            told = read_json(tmp_path / run / "metrics.json")["splits"]["valid"][metric]
            assert found[side] == pytest.approx(told["mean"], abs=1e-6), (metric, side)
        assert found["n"] == 3
