"""A run given away: it answers as the run does, says what it is, and tells nothing of the machine it was trained on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from sadgr.cache import ClipFeatures, file_sha256
from sadgr.train.apply import run_evaluate, run_predict
from sadgr.train.card import SYNTHETIC, model_card
from sadgr.train.checkpoint import read_json, read_tensors, write_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig, PretrainConfig
from sadgr.train.errors import TrainError
from sadgr.train.export import export_run, without_paths
from sadgr.train.jobs import run_fit, run_pretrain
from sadgr.train.opened import Source
from sadgr.train.pretrain import load_heads
from sadgr.train.request import FitRequest
from sadgr.train.sources import is_synthetic

pytestmark = pytest.mark.usefixtures("without_figures")

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
WriteCache = Callable[..., Path]


def silent(_: str) -> None:
    """Take a log line."""


@pytest.fixture
def cache(labelled: Labelled, write_cache: WriteCache) -> Path:
    return write_cache(*labelled(24))


@pytest.fixture
def run(cache: Path, small: ModelConfig, tmp_path: Path) -> Path:
    """Two seeds that began with pretrained heads."""
    heads, folder = tmp_path / "heads", tmp_path / "run"
    run_pretrain(cache, heads, PretrainConfig(epochs=1, d_shared=9), None, None, None, lambda: False, silent)
    request = FitRequest(FitConfig(epochs=2, batch_size=8, modality_dropout=0.25), small, (3, 4), heads)
    run_fit(cache, folder, request, lambda: False, silent)
    return folder


def test_it_answers_as_the_run_does(run: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "away/model"
    export_run(run, out)
    assert run_predict(out, Source(cache), silent) == run_predict(run, Source(cache), silent)
    told = run_evaluate(out, Source(cache), "test", silent)
    assert told["splits"]["test"] == read_json(run / "metrics.json")["splits"]["test"]
    one, other = load_heads(tmp_path / "heads"), load_heads(out / "heads")
    assert one.sha256 == other.sha256 == read_json(out / "config.json")["heads"]["sha256"]
    assert one.tensors.keys() == other.tensors.keys() and one.plan["settings"] == other.plan["settings"]


def test_it_holds_safetensors_json_and_a_card_and_no_place(run: Path, tmp_path: Path) -> None:
    config = read_json(run / "config.json")
    write_json(
        run / "config.json", {**config, "encoders": {"text": {"model": "bert", "folder": str(tmp_path / "bert")}}}
    )
    out = tmp_path / "model"
    export_run(run, out)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    of_seeds = {f"seed-{seed}/{name}" for seed in (3, 4) for name in ("model.safetensors", "metrics.json")}
    assert files == {
        "README.md",
        "config.json",
        "metrics.json",
        "heads/heads.json",
        "heads/heads.safetensors",
        *of_seeds,
    }
    for name in files:
        content = (out / name).read_bytes()
        assert str(tmp_path).encode() not in content and str(Path.home()).encode() + b"/" not in content, name
    told = read_json(out / "config.json")
    assert told["encoders"] == {"text": {"model": "bert"}} and "cache" not in told
    assert told["files"] == {name: file_sha256(out / name) for name in files - {"config.json"}}
    kept = (
        "dataset",
        "features",
        "settings",
        "model",
        "seeds",
        "heads",
        "target",
        "clips",
        "versions",
        "git",
        "machine",
    )
    assert all(told[key] == config[key] for key in kept)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_it_can_be_exported_again(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "one")
    (tmp_path / "two").mkdir()  # an empty folder is as good as none
    export_run(tmp_path / "one", tmp_path / "two")
    assert read_json(tmp_path / "one/config.json") == read_json(tmp_path / "two/config.json")


def test_a_cache_of_another_encoder_is_refused_in_words(
    run: Path, labelled: Labelled, write_cache: WriteCache, tmp_path: Path
) -> None:
    export_run(run, tmp_path / "model")
    other = write_cache(*labelled(24), layer=9, name="other")
    for apply in (lambda *given: run_evaluate(*given, "test", silent), lambda *given: run_predict(*given, silent)):
        with pytest.raises(TrainError, match=r"text features of another encoder(?s:.)*layer: 12, now 9"):
            apply(tmp_path / "model", Source(other))


@pytest.mark.parametrize("name", ["seed-3/model.safetensors", "metrics.json", "heads/heads.json"])
def test_a_file_that_was_changed_or_lost_is_named(name: str, run: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    export_run(run, out)
    content = bytearray((out / name).read_bytes())
    content[-3] ^= 1
    (out / name).write_bytes(bytes(content))
    with pytest.raises(TrainError, match=f"{name} is not what was exported: copy it again"):
        run_predict(out, Source(cache), silent)
    (out / name).unlink()
    message = "is unfinished" if name == "metrics.json" else f"{name} is missing: copy the exported folder as a whole"
    with pytest.raises(TrainError, match=message):
        run_predict(out, Source(cache), silent)


def test_what_cannot_be_exported_leaves_nothing(run: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").touch()
    with pytest.raises(TrainError, match="full is not empty: export into a new folder"):
        export_run(run, full)
    (run / "seed-4/metrics.json").unlink()
    with pytest.raises(TrainError, match=r"seed-4.metrics\.json cannot be read .*: the run is not whole"):
        export_run(run, tmp_path / "model")
    (run / "metrics.json").unlink()
    with pytest.raises(TrainError, match="is unfinished"):
        export_run(run, tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "full", "heads", "run"]


def test_absolute_paths_are_left_out_wherever_they_stand() -> None:
    told = {"a": "/home/x", "b": {"c": ["~/y", "bert/base", "C:\\z"], "d": 1}, "e": "text 1/2", "f": "file:///x"}
    assert without_paths(told) == {"b": {"c": ["bert/base"], "d": 1}, "e": "text 1/2"}


def front_and_text(card: str) -> tuple[dict[str, Any], str]:
    _, front, text = card.split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_tells_what_the_run_s_files_do(run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    front, text = front_and_text((tmp_path / "model/README.md").read_text())
    test = read_json(run / "metrics.json")["splits"]["test"]
    (found,) = front["model-index"][0]["results"]
    assert found["dataset"] == {"name": "synthetic", "type": "synthetic", "split": "test"}
    values = {one["name"]: one["value"] for one in found["metrics"]}
    assert values["MAE"] == test["MAE"]["mean"] and values["Acc-2 (-/0+)"] == test["Has0_acc_2"]["mean"]
    assert front["library_name"] == "sadgr" and "synthetic-data" in front["tags"] and SYNTHETIC in text
    mae = test["MAE"]
    assert f"{mae['mean']:.4f} [{mae['low']:.4f}, {mae['high']:.4f}]" in text
    config = read_json(run / "config.json")
    assert [f"| {split} | {n} |" in text for split, n in config["n_clips"].items()] == [True] * 3
    assert config["n_clips"] == {"train": 16, "valid": 4, "test": 4}
    for one in config["features"].values():
        assert one["encoder_fingerprint"][:12] in text
    assert (
        "trained with seed 3, 4" in text and config["heads"]["sha256"] in text and config["versions"]["torch"] in text
    )
    assert "in training a clip lost one with chance 0.25" in text
    assert all(f"| `{name}` | {value} |" in text for name, value in config["settings"].items())


def test_the_card_says_what_was_not_there(run: Path) -> None:
    """One seed, no test split, random heads, no git, recorded people, undefined correlation."""
    config, metrics = read_json(run / "config.json"), read_json(run / "metrics.json")
    scores = {"MAE": {"mean": 0.5, "std": None, "low": None, "high": None}, "Corr": {"mean": None}, "N": {"mean": 4}}
    settings = {**config["settings"], "modality_dropout": 0.0}
    changed = {"seeds": [3], "heads": None, "git": None, "dataset": "mosi", "settings": settings}
    front, text = front_and_text(model_card({**config, **changed}, {**metrics, "splits": {"valid": scores}}))
    assert "synthetic" not in text.lower() and "synthetic-data" not in front["tags"]
    for said in ("One seed: no interval.", "no git checkout", "began at random", "which chose the epoch, and flatter"):
        assert said in text
    assert "training took none away" in text and "| valid | 4 | 0.5000 | undefined |" in text
    assert front["model-index"][0]["results"][0]["dataset"]["split"] == "valid"


def test_synthetic_is_what_a_data_set_says_of_itself() -> None:
    encoder = {"video": {"settings": {"encoder": {"weights": "a"}}}}
    planted = {"video": {"settings": {"encoder": {"synthetic": {"seed": 1}}}}}
    assert not is_synthetic("mosi", encoder) and not is_synthetic("mosi", {"text": {"settings": {}}})
    assert is_synthetic("Synthetic-demo", encoder) and is_synthetic("mosi", planted)


def test_another_task_s_card(labelled: Labelled, write_cache: WriteCache, small: ModelConfig, tmp_path: Path) -> None:
    clips, labels = labelled(24)
    labels["mood"] = ["bad" if label < 0 else "good" for label in labels["label"]]
    request = FitRequest(FitConfig(epochs=1, batch_size=8), replace(small, gate="none"), target="mood")
    run_fit(write_cache(clips, labels), tmp_path / "run", request, lambda: False, silent)
    export_run(tmp_path / "run", tmp_path / "model")
    _, text = front_and_text((tmp_path / "model/README.md").read_text())
    assert "Learned: classification of `mood`, of bad, good." in text and "| F1 macro |" in text
    tensors, metadata = read_tensors(tmp_path / "model/seed-1111/model.safetensors")
    assert tensors and json.dumps(metadata) == "{}"
