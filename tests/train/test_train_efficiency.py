"""Table 5: what is counted, what is held against what, and the exponents. No time is asserted: they are the machine's."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from sadgr.train import cli
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.config import ModelConfig, PretrainConfig
from sadgr.train.heads import ProjectionHeads
from sadgr.train.models.sadgr import SADGR
from sadgr.train.pretrain import Pretrained
from sadgr.train.studies import timing
from sadgr.train.studies.efficiency import PUBLISHED, parameters_of, parameters_of_heads
from sadgr.train.studies.timing import ATTENTION, GATE, fit_exponent, measure_times

pytestmark = pytest.mark.usefixtures("without_figures")

TINY = [
    "--d-model",
    "8",
    "--d-key",
    "4",
    "--gate-hidden",
    "8",
    "--fusion-hidden",
    "8",
    "--attention-heads",
    "2",
    "--batch-size",
    "8",
    "--epochs",
    "2",
]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def done(*arguments: object) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LENGTHS": (2, 4, 8), "LONG": 4, "ROUNDS": 3, "SHORTEST_SECONDS": 1e-6}.items():
        monkeypatch.setattr(timing, name, value)


@pytest.fixture
def folders(labelled: Callable, write_cache: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """A cache, heads, a run that begins with them and one that does not."""
    cache, heads = write_cache(*labelled(36)), tmp_path / "heads"
    done("pretrain", cache, heads, "--epochs", 2, "--d-shared", 9, "--batch-size", 8)
    done("fit", cache, tmp_path / "run", "--heads", heads, "--seeds", 2, *TINY)
    done("fit", cache, tmp_path / "random", "--seeds", 2, *TINY)
    return {"cache": cache, "heads": heads, "run": tmp_path / "run", "random": tmp_path / "random"}


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_planted_power_law_comes_back(power: float) -> None:
    lengths = [16, 64, 256, 1024]
    seconds = [3e-6 * length**power for length in lengths]
    found = fit_exponent(lengths, seconds)
    assert found.value == pytest.approx(power) and found.lengths == tuple(lengths)


def test_a_fixed_cost_hides_the_exponent_in_short_lengths_only() -> None:
    lengths = [2**power for power in range(4, 13)]
    seconds = [2e-4 + 1e-6 * length for length in lengths]
    everywhere, far = fit_exponent(lengths, seconds), fit_exponent(lengths, seconds, shortest=512)
    assert everywhere.value is not None and far.value is not None
    assert everywhere.value < 0.7 < far.value < 1 and far.lengths == (512, 1024, 2048, 4096)


def test_one_length_has_no_exponent() -> None:
    assert fit_exponent([16, 32], [1.0, 2.0], shortest=20).value is None


def test_heads_have_the_parameters_of_the_closed_form() -> None:
    heads = Pretrained(ProjectionHeads(768, 768, PretrainConfig().d_shared).state_dict(), {}, "")
    assert parameters_of_heads(heads) == 2 * (768 * 768 + 768) == 1_181_184


def test_parts_add_up_to_the_whole_model(small: ModelConfig) -> None:
    model = SADGR(small)
    assert sum(parameters_of(model).values()) == sum(one.numel() for one in model.parameters())


def test_works_are_measured_at_each_length_in_each_round_and_leave_random_numbers_alone(small: ModelConfig) -> None:
    before = torch.random.get_rng_state()
    times = measure_times(small, (2, 4), 3, torch.device("cpu"), lambda _: None)
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(times.seconds) == 4
    assert all(one.shape == (2, 3) and (one > 0).all() for one in times.seconds.values())


def test_ratios_are_taken_within_a_round() -> None:
    times = timing.Times((2,), {GATE: np.array([[1.0, 10.0, 2.0]]), ATTENTION: np.array([[3.0, 30.0, 6.0]])})
    assert times.ratio(ATTENTION, GATE).tolist() == [3.0]


def test_published_rows_are_those_of_the_paper() -> None:
    told = {(one["method"], one["epochs"], one["parameters_millions"], one["corr_gained"]) for one in PUBLISHED}
    assert told == {("TCHFN-TCCL", 38, 2.1, 0.074), ("SADGR STA-CA", 12, 1.3, 0.112)}
    assert all("published" in one["source"] for one in PUBLISHED)


def test_the_command_writes_what_it_prints(folders: dict[str, Path]) -> None:
    run, heads = folders["run"], folders["heads"]
    printed = done("efficiency", run, folders["cache"], "--heads", heads, "--without", folders["random"]).stdout
    told = read_json(run / "efficiency.json")
    metrics = [[read_json(folders[one] / f"seed-{seed}" / "metrics.json")["test"]["Corr"] for seed in (1111, 1112)]
               for one in ("run", "random")]  # fmt: skip
    gained = told["corr_gained"]
    assert gained["mean"] == pytest.approx(np.mean(metrics[0]) - np.mean(metrics[1])) and gained["split"] == "test"
    assert told["table"][-1]["corr_gained"] == gained["mean"] and f"{gained['mean']:+.4f}" in printed
    assert told["table"][-1]["epochs"] == read_json(heads / "heads.json")["metrics"]["best_epoch"]
    assert told["table"][-1]["parameters_millions"] * 1e6 == pytest.approx(9 * (10 + 1) + 9 * (12 + 1))
    assert set(told["epochs"]["fit"]) == {"1111", "1112"}
    assert told["clips"]["words"]["largest"] == 5 and told["clips"]["frames"]["mean"] == pytest.approx(2)
    assert "published" in printed and "synthetic" in printed and "exponent, 4 to 8" in printed
    with (run / "efficiency.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [one["method"] for one in told["table"]]
    assert float(rows[-1]["corr_gained"]) == gained["mean"]
    with (run / "efficiency-times.csv").open(encoding="utf-8") as file:
        times = {(row["work"], int(row["length"])): float(row["median_seconds"]) for row in csv.DictReader(file)}
    assert times[GATE, 8] == told["times"]["median_seconds"][GATE][2] and len(times) == 12
    assert (run / "efficiency.png").stat().st_size and (run / "efficiency.svg").stat().st_size
    alone = done("efficiency", run, folders["cache"], "--heads", heads)
    assert read_json(run / "efficiency.json")["corr_gained"] is None and "not measured" in alone.stdout
    as_json = json.loads(done("efficiency", run, folders["cache"], "--heads", heads, "--json").stdout)
    assert as_json == read_json(run / "efficiency.json")


def test_runs_that_say_nothing_of_the_heads_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    run, random, cache, heads = (folders[one] for one in ("run", "random", "cache", "heads"))

    def refused(*arguments: object) -> str:
        result = call("efficiency", *arguments)
        assert result.exit_code == 2, result.output
        return " ".join(result.output.split())

    assert "random heads" in refused(random, cache, "--heads", heads)
    assert "began with pretrained heads" in refused(run, cache, "--heads", heads, "--without", run)
    other = tmp_path / "other"
    shutil.copytree(random, other)
    config = read_json(other / "config.json")
    config["settings"]["learning_rate"] = 0.5
    write_json(other / "config.json", config)
    told = refused(run, cache, "--heads", heads, "--without", other)
    assert "settings.learning_rate" in told and "differ in more than the heads" in told
