"""A run trained again from its own files gives equal numbers, and what makes them unequal is named."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from sadgr.cache import ClipFeatures
from sadgr.train import rundir
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig, PretrainConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.export import export_run
from sadgr.train.jobs import run_fit, run_pretrain
from sadgr.train.request import FitRequest
from sadgr.train.rerun import request_of, run_rerun

pytestmark = pytest.mark.usefixtures("without_figures")

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
WriteCache = Callable[..., Path]


def silent(_: str) -> None:
    """Take a log line."""


def never() -> bool:
    return False


@pytest.fixture
def cache(labelled: Labelled, write_cache: WriteCache) -> Path:
    clips, labels = labelled(18)
    labels["mood"] = ["bad" if label < 0 else "good" for label in labels["label"]]
    labels["happy"], labels["sad"] = labels["label"].clip(lower=0), (-labels["label"]).clip(lower=0)
    return write_cache(clips, labels)


@pytest.fixture
def run(cache: Path, small: ModelConfig, tmp_path: Path) -> Path:
    """Two seeds with everything that is drawn at random: pretrained heads, dropout, lost modalities."""
    heads, folder = tmp_path / "heads", tmp_path / "run"
    pretraining = PretrainConfig(epochs=1, d_shared=9, audio_mean="mean_words")
    run_pretrain(cache, heads, pretraining, None, None, None, never, silent)
    config = FitConfig(epochs=3, batch_size=8, learning_rate=3e-3, modality_dropout=0.2)
    run_fit(cache, folder, FitRequest(config, small, (3, 4), heads), never, silent)
    return folder


def rerun(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["rerun", *map(str, arguments)])


def test_equal_to_the_bit(run: Path, tmp_path: Path) -> None:
    (tmp_path / "heads").rename(tmp_path / "elsewhere")  # the run has its own
    result = rerun(run)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == ["seed 3: weights equal, scores equal", "seed 4: weights equal, scores equal"]
    again = tmp_path / "run-rerun"
    for name in ("model.safetensors", "state.safetensors", "history.csv", "predictions.csv", "metrics.json"):
        for seed in (3, 4):
            assert (run / f"seed-{seed}" / name).read_bytes() == (again / f"seed-{seed}" / name).read_bytes(), name
    assert (run / "config.json").read_bytes() == (again / "config.json").read_bytes()
    told = read_json(again / "rerun.json")
    assert told["equal"] and told["scores"] == []
    assert told["seeds"] == {seed: {"weights": True, "scores": True} for seed in ("3", "4")}


@pytest.mark.parametrize(
    ("target", "task", "gate"),
    [("mood", None, "none"), ("happy,sad", None, "frames"), ("sentiment", "classification", "audio")],
)
def test_every_task_is_asked_for_again_as_it_was(
    target: str, task: str | None, gate: str, cache: Path, small: ModelConfig, tmp_path: Path
) -> None:
    model = ModelConfig(**{**vars(small), "gate": gate})
    request = FitRequest(FitConfig(epochs=1, batch_size=8), model, target=target, task=task, audio_mean="mean_words")  # type: ignore[arg-type]
    run_fit(cache, tmp_path / "run", request, never, silent)
    told = run_rerun(tmp_path / "run", tmp_path / "again", None, never, silent)
    assert told["equal"]


def test_an_exported_run_is_trained_again_where_a_cache_is_named(run: Path, cache: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "model")
    with pytest.raises(TrainError, match="names no cache: it was exported; say where its features are with --cache"):
        run_rerun(tmp_path / "model", tmp_path / "again", None, never, silent)
    assert run_rerun(tmp_path / "model", tmp_path / "again", cache, never, silent)["equal"]


def test_a_cache_that_moved_is_named(run: Path, cache: Path, tmp_path: Path) -> None:
    cache.rename(tmp_path / "moved")
    refused = rerun(run)
    assert refused.exit_code == 2 and f"{cache}, which is gone; say where" in refused.stderr
    assert rerun(run, tmp_path / "again", "--cache", tmp_path / "moved").exit_code == 0


def test_other_data_is_refused_before_anything_is_trained(
    run: Path, labelled: Labelled, write_cache: WriteCache, tmp_path: Path
) -> None:
    clips, labels = labelled(18)
    labels["label"] += 0.25
    other = write_cache(clips, labels, name="other")
    with pytest.raises(TrainError, match=r"cannot be trained again(?s:.)*labels_sha256: (?s:.)*clips: "):
        run_rerun(run, tmp_path / "again", other, never, silent)
    assert not (tmp_path / "again").exists()


def test_unequal_numbers_and_what_else_differs_are_told(run: Path, tmp_path: Path) -> None:
    config, metrics = read_json(run / "config.json"), read_json(run / "seed-4/metrics.json")
    versions, machine = {**config["versions"], "torch": "1.0"}, {**config["machine"], "processor": "abacus"}
    git = {"commit": "0" * 40, "dirty": True}
    write_json(run / "config.json", {**config, "versions": versions, "machine": machine, "git": git})
    metrics["test"]["MAE"] += 0.5
    write_json(run / "seed-4/metrics.json", metrics)
    weights = bytearray((run / "seed-4/model.safetensors").read_bytes())
    weights[-1] ^= 1
    (run / "seed-4/model.safetensors").write_bytes(bytes(weights))
    result = rerun(run, tmp_path / "again", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told == read_json(tmp_path / "again/rerun.json") and not told["equal"]
    assert told["seeds"]["3"] == {"weights": True, "scores": True}
    assert told["seeds"]["4"] == {"weights": False, "scores": False}
    (one,) = told["scores"]
    assert (one["seed"], one["score"]) == (4, "test.MAE") and one["before"] == pytest.approx(one["now"] + 0.5)
    listed = "\n".join(told["environment"])
    assert "versions.torch: 1.0, now " in listed and "machine.processor: abacus, now " in listed
    assert "changes that no commit holds" in listed
    shown = rerun(run, tmp_path / "again")  # finished: nothing is trained, both are compared once more
    assert shown.exit_code == 1 and "seed 4: weights DIFFER, scores DIFFER" in shown.stdout


def test_it_goes_on_where_it_was_stopped(
    run: Path, tmp_path: Path, stop_after: Callable[[int], Callable[[], bool]]
) -> None:
    with pytest.raises(Interrupted):
        run_rerun(run, tmp_path / "again", None, stop_after(2), silent)
    assert run_rerun(run, tmp_path / "again", None, never, silent)["equal"]


def test_as_many_threads_as_the_run_had(run: Path, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    assert run_rerun(run, tmp_path / "again", None, never, silent)["equal"]
    assert torch.get_num_threads() == 2
    assert read_json(tmp_path / "again/config.json")["machine"]["threads"] == 1


def test_misuse_is_told(run: Path, tmp_path: Path) -> None:
    refused = rerun(run, run)
    assert refused.exit_code == 2 and "is the run itself" in refused.stderr
    config = read_json(run / "config.json")
    write_json(run / "config.json", {**config, "settings": {**config["settings"], "momentum": 0.9}})
    refused = rerun(run, tmp_path / "again")
    assert refused.exit_code == 2 and "has settings that this version does not have" in refused.stderr


def test_a_run_says_where_it_was_trained_and_by_which_code(run: Path, cache: Path) -> None:
    config = read_json(run / "config.json")
    assert config["cache"] == str(cache.resolve())
    assert config["machine"] == {"device": "cpu", "processor": config["machine"]["processor"], "threads": 1}
    assert config["encoders"] == {modality: {"model": "random"} for modality in ("text", "audio", "video")}
    assert request_of(run, config).seeds == (3, 4)


def git(folder: Path, *arguments: str) -> str:
    program = str(shutil.which("git"))
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    return subprocess.run(
        [program, "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_git_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit and changes of a checkout; nothing of a repository that merely stands around the code."""
    train, cache = tmp_path / "train", tmp_path / "cache"
    for folder in (train, cache):
        folder.mkdir()
        (folder / "code.py").write_text("1")
    monkeypatch.setattr(rundir, "__file__", str(train / "code.py"))
    monkeypatch.setattr("sadgr.cache.__file__", str(cache / "code.py"))
    state = rundir.git_state.__wrapped__
    assert state() is None
    git(tmp_path, "init", "-q")
    assert state() is None
    git(tmp_path, "add", "train", "cache")
    git(tmp_path, "commit", "-q", "-m", "code")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert state() == {"commit": head, "dirty": False}
    (tmp_path / "notes.txt").touch()
    assert state() == {"commit": head, "dirty": False}
    (cache / "code.py").write_text("2")
    assert state() == {"commit": head, "dirty": True}
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert state() is None
