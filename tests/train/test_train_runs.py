"""A run of several seeds: as if each had been alone, whatever interrupts it, and never mixed with another."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sadgr.cache import ClipFeatures
from sadgr.train.checkpoint import read_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.fit import FitResult
from sadgr.train.jobs import run_fit
from sadgr.train.predict import load_run
from sadgr.train.request import FitRequest
from sadgr.train.tables import over_seeds

pytestmark = pytest.mark.usefixtures("without_figures")

EPOCHS = 3
SEED_FILES = ("model.safetensors", "state.safetensors", "history.csv", "predictions.csv", "metrics.json")
Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
StopAfter = Callable[[int], Callable[[], bool]]


@pytest.fixture
def request_of(small: ModelConfig) -> Callable[..., FitRequest]:
    config = FitConfig(epochs=EPOCHS, batch_size=8, learning_rate=3e-3, modality_dropout=0.2)

    def make(*seeds: int) -> FitRequest:
        return FitRequest(config, small, seeds)

    return make


@pytest.fixture
def cache(labelled: Labelled, write_cache: Callable[..., Path]) -> Path:
    return write_cache(*labelled(18))


def run(cache: Path, folder: Path, request: FitRequest, stop: Callable[[], bool] = lambda: False) -> list[FitResult]:
    return run_fit(cache, folder, request, stop, lambda _: None)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_seeds_are_two_runs_of_one(cache: Path, request_of: Callable[..., FitRequest], tmp_path: Path) -> None:
    both = run(cache, tmp_path / "both", request_of(3, 4))
    assert both[0].history != both[1].history
    for seed, result in zip((3, 4), both, strict=True):
        (alone,) = run(cache, tmp_path / str(seed), request_of(seed))
        assert (alone.history, alone.metrics) == (result.history, result.metrics)
        for name in SEED_FILES:
            one, other = (tmp_path / folder / f"seed-{seed}" / name for folder in ("both", str(seed)))
            assert one.read_bytes() == other.read_bytes(), name


def test_the_run_s_metrics_are_over_its_seeds(
    cache: Path, request_of: Callable[..., FitRequest], tmp_path: Path
) -> None:
    results = run(cache, tmp_path / "run", request_of(3, 4))
    told = read_json(tmp_path / "run/metrics.json")
    assert (told["dataset"], told["seeds"], set(told["splits"])) == ("synthetic", [3, 4], {"valid", "test"})
    for split, scores in told["splits"].items():
        assert scores == over_seeds([result.metrics[split] for result in results])
        of_seeds = [read_json(tmp_path / f"run/seed-{seed}/metrics.json")[split] for seed in (3, 4)]
        assert of_seeds == [dict(result.metrics[split]) for result in results]
        assert scores["MAE"]["mean"] == pytest.approx(sum(one["MAE"] for one in of_seeds) / 2)
        assert scores["MAE"]["low"] < scores["MAE"]["mean"] < scores["MAE"]["high"]


@pytest.mark.parametrize("stops", [(1,), (EPOCHS + 1,), (EPOCHS + 2,), (2, EPOCHS)])
def test_interrupted_and_resumed_is_uninterrupted(
    stops: tuple[int, ...], cache: Path, request_of: Callable[..., FitRequest], tmp_path: Path, stop_after: StopAfter
) -> None:
    """Each epoch asks once: EPOCHS + 1 is the first of the second seed; a seed that is complete asks no more."""
    run(cache, tmp_path / "whole", request_of(3, 4))
    for stop in stops:
        with pytest.raises(Interrupted, match="start the same command again"):
            run(cache, tmp_path / "parts", request_of(3, 4), stop_after(stop))
        with pytest.raises(TrainError, match="is unfinished"):
            load_run(tmp_path / "parts")
    run(cache, tmp_path / "parts", request_of(3, 4))
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert [name for name in whole if whole[name] != parts[name]] == []


def test_a_stop_amid_the_last_epoch_of_a_seed_is_heeded_by_the_next(
    cache: Path, request_of: Callable[..., FitRequest], tmp_path: Path
) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(len(asked) + 1 >= EPOCHS)
        return asked[-1]

    with pytest.raises(Interrupted, match="stopped after epoch 1"):
        run(cache, tmp_path / "run", request_of(3, 4), stop)
    assert len(asked) == EPOCHS + 1
    assert (tmp_path / "run/seed-3/metrics.json").exists() and not (tmp_path / "run/seed-4/metrics.json").exists()


def test_a_finished_run_started_again_trains_no_more(
    cache: Path, request_of: Callable[..., FitRequest], tmp_path: Path
) -> None:
    first = run(cache, tmp_path / "run", request_of(3, 4))
    states = [tmp_path / f"run/seed-{seed}/state.safetensors" for seed in (3, 4)]
    before, held = [state.stat().st_mtime_ns for state in states], contents(tmp_path / "run")
    again = run(cache, tmp_path / "run", request_of(3, 4))
    assert [one.metrics for one in again] == [one.metrics for one in first]
    assert [state.stat().st_mtime_ns for state in states] == before
    assert contents(tmp_path / "run") == held


def test_run_of_other_settings_or_data_is_refused(
    cache: Path,
    request_of: Callable[..., FitRequest],
    labelled: Labelled,
    write_cache: Callable[..., Path],
    tmp_path: Path,
) -> None:
    folder, request = tmp_path / "run", request_of(3)
    run(cache, folder, request)
    labels = labelled(18)[1]
    labels["label"] += 0.5
    others: list[tuple[str, Path, FitRequest]] = [
        (
            r"settings\.learning_rate: 0\.003, now 0\.5",
            cache,
            replace(request, config=replace(request.config, learning_rate=0.5)),
        ),
        (r"seeds: \[3\], now \[3, 4\]", cache, request_of(3, 4)),
        ("model.settings.gate: audio, now none", cache, replace(request, model=replace(request.model, gate="none"))),
        ("target.task: regression, now classification", cache, replace(request, task="classification")),
        (r"labels_sha256.*(?s:.)*clips: ", write_cache(labelled(18)[0], labels, name="corrected"), request),
    ]
    held = contents(folder)
    for message, source, other in others:
        with pytest.raises(TrainError, match=f"was begun with other settings or data(?s:.)*{message}"):
            run(source, folder, other)
    assert contents(folder) == held
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").touch()
    with pytest.raises(TrainError, match=r"is not empty and holds no config\.json"):
        run(cache, foreign, request)


def test_attention_heads_that_do_not_divide_the_video_s_width_are_told_before_anything_is_written(
    cache: Path, tmp_path: Path
) -> None:
    arguments = ["fit", str(cache), str(tmp_path / "run"), "--gate", "attention"]
    result = CliRunner().invoke(main, arguments)  # 4 heads by default, video is 14 wide
    assert result.exit_code == 2 and "attention_heads must divide d_video 14, got 4" in result.stderr
    assert not (tmp_path / "run").exists()
    assert CliRunner().invoke(main, [*arguments, "--attention-heads", "2", "--epochs", "1"]).exit_code == 0
