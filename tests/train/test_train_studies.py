"""`ablate`, `sweep` and `table` as a user runs them; studies in one process, in several, stopped and gone on with."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from sadgr.cache import ClipFeatures
from sadgr.train.batch import Batch
from sadgr.train.checkpoint import read_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.data import Clips, clip_tensors
from sadgr.train.errors import Interrupted
from sadgr.train.jobs import run_fit
from sadgr.train.models.protocol import Output
from sadgr.train.predict import load_run
from sadgr.train.prepare import HeldData, prepare
from sadgr.train.request import FitRequest
from sadgr.train.studies import processes
from sadgr.train.studies.ablate import oscillation
from sadgr.train.studies.processes import local_engine
from sadgr.train.studies.runner import is_done, one_after_another, run_study
from sadgr.train.studies.sweeps import sweep_table
from sadgr.train.studies.variations import Variation, sweep, units

pytestmark = pytest.mark.usefixtures("without_figures")

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
StopAfter = Callable[[int], Callable[[], bool]]
NAMES = ("full", "no-pretraining", "no-contrastive", "no-gate", "cross-attention", "frame-gate")
SMALL = ("--d-model", 8, "--d-key", 4, "--gate-hidden", 8, "--fusion-hidden", 8, "--batch-size", 8, "--epochs", 1)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def quiet(_: object) -> None:
    pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def cache(place: Path, labelled: Labelled, write_cache_into: Callable[..., Path]) -> Path:
    return write_cache_into(place, *labelled(18))


@pytest.fixture(scope="module")
def heads(place: Path, cache: Path) -> Path:
    arguments = ("--d-shared", 9, "--audio-mean", "mean_words", "--epochs", 2)
    assert call("pretrain", cache, place / "heads", *arguments).exit_code == 0
    return place / "heads"


@pytest.fixture(scope="module")
def ablating(place: Path, cache: Path, heads: Path) -> tuple[object, ...]:
    """A command line of two seeds a variation."""
    return ("ablate", cache, place / "ablation", "--heads", heads, "--seeds", 2, "--attention-heads", 2, *SMALL)


@pytest.fixture(scope="module")
def ablated(ablating: tuple[object, ...]) -> tuple[Path, Result]:
    result = call(*ablating)
    assert result.exit_code == 0, result.output
    return Path(str(ablating[2])), result


def cells(printed: str) -> list[list[str]]:
    """Rows of a printed table, titles first."""
    lines = [line for line in printed.splitlines() if line and not line.startswith("- ")]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def differing(one: Path, other: Path) -> list[str]:
    held = contents(one), contents(other)
    assert held[0].keys() == held[1].keys()
    return [name for name in held[0] if held[0][name] != held[1][name]]


def test_each_variation_is_an_ordinary_run(ablated: tuple[Path, Result], cache: Path) -> None:
    study, _ = ablated
    gates = {}
    for name in NAMES:
        models, _, config = load_run(study / name)
        assert len(models) == 2 and config["seeds"] == [1111, 1112]
        assert (config["audio_mean"], config["model"]["settings"]["d_shared"]) == ("mean_words", 9)
        assert (config["heads"] is None) == (name == "no-pretraining")
        assert config["settings"]["contrastive_weight"] == (0.0 if name == "no-contrastive" else 0.1)
        assert config["machine"]["threads"] == 1  # so that sadgr-train rerun gives the same numbers
        gates[name] = config["model"]["settings"]["gate"]
    assert list(gates.values()) == ["audio", "audio", "audio", "none", "attention", "frames"]
    assert call("predict", study / "no-gate", cache).exit_code == 0


def test_numbers_are_the_runs_and_the_same_printed_as_csv_and_as_json(ablated: tuple[Path, Result]) -> None:
    study, result = ablated
    told = read_json(study / "ablation.json")
    ours, published = told["rows"][:6], told["rows"][6:]
    assert [row["source"] for row in told["rows"]] == ["ours"] * 6 + ["published"] * 5
    for name, row in zip(NAMES, ours, strict=True):
        scores = read_json(study / name / "metrics.json")["splits"]["test"]
        assert (row["dataset"], row["split"], row["seeds"], row["N"]) == ("synthetic", "test", 2, 3)
        for key in ("MAE", "Corr", "Has0_acc_2", "Non0_F1_score"):
            found = {"mean": row[key], **{end: row[f"{key}_{end}"] for end in ("std", "low", "high")}}
            assert found == scores[key]
    assert {row["dataset"] for row in published} == {"CMU-MOSI (Table 4)"}
    assert next((row["run"], row["MAE"]) for row in published) == ("full model", 0.698)
    with (study / "ablation.csv").open(newline="") as file:
        as_csv = list(csv.DictReader(file))
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in told["rows"]] == as_csv
    titles, *lines = cells(result.stdout)
    for row, line in zip(told["rows"], lines, strict=True):
        shown = dict(zip(titles, line, strict=True))
        assert (shown["source"], shown["run"], shown["data set"]) == (row["source"], row["run"], row["dataset"])
        for title, key in (("MAE", "MAE"), ("F1 (-/0+)", "Has0_F1_score"), ("gate oscillation", "gate_oscillation")):
            if row[key] is None:
                assert shown[title] in ("-", "undefined")
            else:
                assert float(shown[title].split(" ")[0]) == pytest.approx(row[key], abs=5.1e-5)
    assert "Table 4's caption says CMU-MOSEI; section V-B says CMU-MOSI" in result.stdout
    assert (study / "ablation.png").read_bytes().startswith(b"\x89PNG")
    drawn = (study / "ablation.svg").read_text()
    assert "<svg" in drawn and "synthetic, test split, N = 3, 2 seeds" in drawn and "published, CMU-MOSI" in drawn


def test_what_is_done_is_not_done_again_and_nothing_changes(
    ablated: tuple[Path, Result], ablating: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, first = ablated
    states = {path: path.stat().st_mtime_ns for path in study.glob("*/seed-*/*")}
    held = contents(study)
    again = call(*ablating)
    assert again.stdout == first.stdout and "12 of 12 trainings are done already" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in study.glob("*/seed-*/*")} == states
    assert contents(study) == held
    (study / "no-gate/metrics.json").unlink()  # as if stopped after the last training
    reported: list[Path] = []
    monkeypatch.setattr("sadgr.train.jobs.write_reports", reported.append)
    assert call(*ablating).exit_code == 0
    assert contents(study) == held and reported == [study / "no-gate"]


def test_a_variation_equals_fit_with_its_settings(
    ablated: tuple[Path, Result], cache: Path, heads: Path, tmp_path: Path
) -> None:
    study, _ = ablated
    arguments = (
        "fit",
        cache,
        tmp_path / "run",
        "--heads",
        heads,
        "--seeds",
        2,
        "--gate",
        "none",
        "--attention-heads",
        2,
    )
    assert call(*arguments, *SMALL).exit_code == 0
    assert differing(study / "no-gate", tmp_path / "run") == []


def test_what_begins_at_random_is_trained_again_to_the_bit(ablated: tuple[Path, Result], tmp_path: Path) -> None:
    """L_con of the run without pretraining reads the mean that pretraining read, though no heads say so."""
    result = call("rerun", ablated[0] / "no-pretraining", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert read_json(tmp_path / "again/config.json")["audio_mean"] == "mean_words"


def test_without_heads_it_is_told_how_to_pretrain(cache: Path, tmp_path: Path) -> None:
    result = call("ablate", cache, tmp_path / "run", *SMALL)
    assert result.exit_code == 2 and "run `sadgr-train pretrain CACHE OUT` first" in result.stderr
    assert not (tmp_path / "run").exists()


def test_what_cannot_work_is_told_before_anything_is_trained(
    cache: Path, heads: Path, tmp_path: Path, ablated: tuple[Path, Result]
) -> None:
    result = call("ablate", cache, tmp_path / "run", "--heads", heads, *SMALL)  # 4 heads by default, video is 14 wide
    assert result.exit_code == 2
    assert "gate replaced by cross-attention: attention_heads must divide d_video 14, got 4" in " ".join(
        result.stderr.split()
    )
    assert not (tmp_path / "run").exists()
    other = call("sweep", cache, ablated[0], *SMALL)
    assert other.exit_code == 2 and "study: ablate, now sweep" in other.stderr
    assert call("sweep", cache, tmp_path / "run", "--address", "auto", *SMALL).exit_code == 2


@pytest.fixture
def pair(small: ModelConfig) -> list[Variation]:
    request = FitRequest(FitConfig(epochs=2, batch_size=8, modality_dropout=0.2), small, (3, 4))
    return [
        Variation("full", "full model", request),
        Variation("no-gate", "without gate", replace(request, model=replace(small, gate="none"))),
    ]


def study(
    cache: Path, folder: Path, variations: Sequence[Variation], jobs: int = 1, stop: Callable[[], bool] = lambda: False
) -> dict[str, str]:
    return run_study("pair", cache, folder, variations, local_engine(jobs), stop, quiet)


def test_several_jobs_stopped_or_not_give_the_numbers_of_one(
    cache: Path, pair: list[Variation], tmp_path: Path, stop_after: StopAfter
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert study(cache, one, pair) == {}
    with pytest.raises(Interrupted, match="stopped with 1 of 4 trainings ended; start the same command again"):
        study(cache, two, pair, stop=stop_after(3))  # asked in the first epochs, and between the two units
    with pytest.raises(Interrupted, match=r"[12] of 3 trainings ended"):
        study(cache, two, pair, 2, lambda: len(list(two.glob("*/*/metrics.json"))) > 1)  # when one more is done
    assert not list(two.glob("*/metrics.json"))
    assert study(cache, two, pair) == {}
    assert differing(one, two) == []


def test_several_jobs_take_the_data_that_was_read(cache: Path, pair: list[Variation], tmp_path: Path) -> None:
    """No process reads the cache's features again: they are gone by then."""
    held: HeldData = {}
    mine = tmp_path / "cache"
    shutil.copytree(cache, mine)
    wanted = units(mine, tmp_path, pair)
    data = prepare(mine, pair[0].request, quiet, held).data
    for shard in mine.glob("*/*/*.h5"):
        shard.unlink()
    assert local_engine(2)(wanted, held, lambda: False, quiet) == {}
    assert all(is_done(unit) for unit in wanted)
    assert all(column.is_shared() for clips in data.splits.values() for column in clips.columns)


def test_without_room_for_shared_memory_each_process_reads_its_own(
    cache: Path, pair: list[Variation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, which has 64 MB of it: what writes beyond them is killed."""
    held: HeldData = {}
    data = prepare(cache, pair[0].request, quiet, held).data
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(processes, "SPARED_BYTES", 10**18)
    told: list[str] = []
    wanted = units(cache, tmp_path, pair)[:2]
    assert local_engine(2)(wanted, held, lambda: False, told.append) == {}
    assert "each process reads a copy of its own" in told[0] and "--shm-size" in told[0]
    assert not any(column.is_shared() for clips in data.splits.values() for column in clips.columns)
    assert all(is_done(unit) for unit in wanted)


@pytest.mark.slow
def test_several_jobs_stop_in_the_midst_of_a_training(cache: Path, pair: list[Variation], tmp_path: Path) -> None:
    assert study(cache, tmp_path / "one", pair) == {}
    with pytest.raises(Interrupted, match="0 of 4 trainings ended"):
        study(cache, tmp_path / "two", pair, 2, lambda: True)
    assert len(list((tmp_path / "two").glob("*/*/history.csv"))) == 2
    assert study(cache, tmp_path / "two", pair, 2) == {}
    assert differing(tmp_path / "one", tmp_path / "two") == []


def test_a_variation_that_fails_is_named_and_stops_no_other(cache: Path, pair: list[Variation], tmp_path: Path) -> None:
    diverges = replace(pair[0].request, config=FitConfig(epochs=2, learning_rate=1e30))
    failed = study(cache, tmp_path / "study", [Variation("wild", "wild", diverges), pair[1]])
    assert list(failed) == ["wild"] and re.search("seed 4: epoch .* is not finite: training diverged", failed["wild"])
    assert (tmp_path / "study/no-gate/metrics.json").exists()
    assert not (tmp_path / "study/wild/metrics.json").exists()


def test_all_that_failed_are_named_at_the_end_with_exit_code_3(cache: Path, tmp_path: Path) -> None:
    result = call("sweep", cache, tmp_path / "sweep", "--seeds", 1, "--learning-rate", "1e30", *SMALL, "--epochs", 2)
    assert result.exit_code == 3 and result.stdout == ""
    assert result.stderr.count("\nfailed: lambda-") == 9 and "9 of 9 variations failed" in result.stderr


def test_an_error_that_nobody_foresaw_is_told_with_its_type(
    cache: Path, pair: list[Variation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = units(cache, tmp_path, pair)

    def breaks(unit: object, *_: object) -> None:
        if unit == wanted[1]:
            raise MemoryError("no room")

    monkeypatch.setattr("sadgr.train.studies.runner.train_unit", breaks)
    assert one_after_another(wanted, {}, lambda: False, quiet) == {wanted[1]: "MemoryError: no room"}
    assert not is_done(wanted[0])


def test_sweep_s_choice_is_the_valid_split_s(cache: Path, pair: list[Variation], tmp_path: Path) -> None:
    variations, points = sweep(replace(pair[0].request, seeds=(3,)), lambdas=(0.1, 1.0), layers=(1, 2))
    assert study(cache, tmp_path / "sweep", variations) == {}
    shown, told = sweep_table(tmp_path / "sweep", variations, points, {})
    assert told == read_json(tmp_path / "sweep/sweep.json")
    valid = [row for row in told["rows"] if row["split"] == "valid"]
    assert [(row["axis"], row["value"]) for row in valid] == [(point.axis, point.value) for point in points]
    assert len({row["run"] for row in valid}) == 3
    for axis in ("lambda", "gate layers"):
        rows = [row for row in valid if row["axis"] == axis]
        assert all(row["loss"] == pytest.approx(row["MAE"], abs=1e-6) for row in rows)  # L1 is the task's loss
        best = min(rows, key=lambda row: row["MAE"])["value"]
        assert told["chosen_by_valid_loss"][axis] == best
        assert {row["value"] for row in rows if row["chosen"]} == {best}
    titles, *lines = shown.splitlines()
    assert titles.split()[:3] == ["axis", "value", "chosen"] and len(lines) == len(told["rows"]) == 8
    drawn = (tmp_path / "sweep/sweep.svg").read_text()
    assert "valid, N = 3" in drawn and "published as best (CMU-MOSI)" in drawn


class Planted(nn.Module):
    """A gate that is what the frames hold."""

    def forward(self, batch: Batch) -> Output:
        return Output(torch.zeros(len(batch.words), 1), gate=batch.video)


def test_oscillation_of_planted_gates(make_clip: Callable[..., ClipFeatures], small: ModelConfig) -> None:
    rng = np.random.default_rng(0)
    gates = [rng.random((n, small.d_video)).astype(np.float16).astype(np.float32) for n in (1, 4, 2, 1, 3)]

    def clips(held: Sequence[np.ndarray]) -> Clips:
        made = [
            replace(
                make_clip(f"c{i}", i, n_words=5 - i), video_frames=one, video_seconds=np.arange(len(one), dtype=float)
            )
            for i, one in enumerate(held)
        ]
        return Clips([clip_tensors(clip, small) for clip in made])

    steps = np.concatenate([np.abs(np.diff(one, axis=0)).mean(axis=1) for one in gates])
    assert len(steps) == 3 + 1 + 2  # none from one clip to the next
    assert oscillation(Planted(), clips(gates)) == pytest.approx(steps.mean(), rel=1e-6)
    swinging = [np.tile([[0.0], [1.0]], (2, small.d_video)).astype(np.float32)]
    assert oscillation(Planted(), clips(swinging)) == 1.0
    assert oscillation(Planted(), clips([np.ones_like(one) for one in gates])) == 0.0
    assert oscillation(Planted(), clips([one[:1] for one in gates])) is None


def test_table_marks_what_is_published(ablated: tuple[Path, Result]) -> None:
    folder, _ = ablated
    runs = folder / "full", folder / "no-gate"
    before = contents(folder / "full")
    result = call("table", *runs)
    assert result.exit_code == 0, result.output
    titles, *lines = cells(result.stdout)
    shown = [dict(zip(titles, line, strict=True)) for line in lines]
    assert [row["source"] for row in shown] == ["ours"] * 2 + ["published"] * 25
    assert [row["run"] for row in shown[:2]] == [str(run) for run in runs]
    assert {row["data set"] for row in shown[2:]} == {"CMU-MOSI (Table 2)", "CMU-MOSEI (Table 3)"}
    assert all((row["data set"], row["N"], row["seeds"]) == ("synthetic", "3", "2") for row in shown[:2])
    assert "+-" in shown[0]["MAE"] and not any("+-" in cell for row in shown[2:] for cell in row.values())
    sadgr = next(row for row in shown if row["model"] == "SADGR" and "MOSI" in row["data set"])
    assert (sadgr["MAE"], sadgr["Corr"], sadgr["Acc-2 (-/0+)"], sadgr["F1 (-/+)"]) == (
        "0.698",
        "0.782",
        "0.8675",
        "0.871",
    )
    assert "synthetic is neither CMU-MOSI nor CMU-MOSEI" in result.stdout and "MFN's row in Table 2" in result.stdout
    told = read_json(folder / "full/table.json")
    assert [row["MAE"] for row in told["rows"][:2]] == [
        read_json(run / "metrics.json")["splits"]["test"]["MAE"]["mean"] for run in runs
    ]
    with (folder / "full/table.csv").open(newline="") as file:
        assert [row["MAE"] for row in csv.DictReader(file)] == [
            "" if row["MAE"] is None else str(row["MAE"]) for row in told["rows"]
        ]
    for name in ("csv", "json", "png", "svg"):
        (folder / f"full/table.{name}").unlink()
    assert contents(folder / "full") == before


def test_table_of_mosi_is_table_2(
    labelled: Labelled, write_cache: Callable[..., Path], small: ModelConfig, tmp_path: Path
) -> None:
    cache = write_cache(*labelled(12), dataset="mosi")
    request = FitRequest(FitConfig(epochs=1, batch_size=8), small, (1,))
    run_fit(cache, tmp_path / "run", request, lambda: False, quiet)
    told = json.loads(call("table", tmp_path / "run", "--json").stdout)
    assert {row["dataset"] for row in told["rows"]} == {"mosi", "CMU-MOSI (Table 2)"} and len(told["rows"]) == 13
    assert not any("neither" in note for note in told["notes"])
    run_fit(cache, tmp_path / "classes", replace(request, task="classification"), lambda: False, quiet)
    result = call("table", tmp_path / "run", tmp_path / "classes")
    assert result.exit_code == 2 and "learned classification" in result.stderr


def test_what_is_no_run_is_told(ablated: tuple[Path, Result], tmp_path: Path) -> None:
    result = call("table", ablated[0])
    assert result.exit_code == 2 and "is a study of several runs" in " ".join(result.stderr.split())
    assert call("table", tmp_path).exit_code == 2
    (tmp_path / "config.json").write_text('{"target": {"task": "regression"}, "model": {"name": "sadgr"}}')
    result = call("table", tmp_path)
    assert result.exit_code == 2 and "no finished run" in " ".join(result.stderr.split())
