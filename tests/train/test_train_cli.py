"""The commands from a small synthetic cache to results, as a user runs them."""

import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from sadgr.cache import (
    ClipFeatures,
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    publishing_method,
    source_digest,
)
from sadgr.train import cli
from sadgr.train.commands import common, learn
from sadgr.train.config import FIT_PRESETS, PretrainConfig

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
SMALL = [
    "--d-model",
    "8",
    "--d-key",
    "4",
    "--gate-hidden",
    "8",
    "--fusion-hidden",
    "8",
    "--batch-size",
    "8",
    "--learning-rate",
    "0.003",
]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def done(*arguments: object) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def cache(labelled: Labelled, write_cache: Callable[..., Path]) -> Path:
    """36 clips, one without audio and one without video."""
    clips, labels = labelled(36)
    clips[0] = replace(clips[0], audio_words=None, audio_mean=None, audio_mean_words=None)
    clips[5] = replace(clips[5], video_frames=None, video_seconds=None)
    return write_cache(clips, labels)


def test_pretrain_fit_predict(cache: Path, tmp_path: Path) -> None:
    heads, run, scores = tmp_path / "heads", tmp_path / "run", tmp_path / "scores.csv"
    pretrained = done("pretrain", cache, heads, "--d-shared", 9, "--audio-mean", "mean_words", "--epochs", 3)
    assert "23 pairs learned from, 6 held out" in pretrained.stdout
    assert "36 clips, 35 with both means: 23 to learn from, 6 held out" in pretrained.stderr
    fitted = done("fit", cache, run, "--heads", heads, "--epochs", 4, *SMALL)
    assert "epoch 4/4" in fitted.stderr
    assert "audio is absent in 1 of 36 clips (v0$_$0)" in fitted.stderr
    assert "video is absent in 1 of 36 clips (v1$_$5)" in fitted.stderr
    lines = [re.split(r"\s{2,}", line.strip()) for line in fitted.stdout.splitlines()]
    assert lines[0][:5] == ["data set", "split", "N", "MAE", "Corr"]
    assert [line[:3] for line in lines[1:3]] == [["synthetic", "valid", "6"], ["synthetic", "test", "6"]]

    config = json.loads((run / "config.json").read_text())
    assert config["dataset"] == "synthetic"
    assert config["audio_mean"] == "mean_words"  # L_con reads what pretraining read
    assert (
        config["model"]["settings"]["d_shared"] == 9 and config["seeds"] == [1111] and "seed" not in config["settings"]
    )
    assert config["target"] == {"task": "regression", "columns": ["label"], "outputs": ["label"]}
    assert tuple(config["model"]["widths"][name] for name in ("d_text", "d_audio", "d_video")) == (10, 12, 14)
    assert set(config["features"]) == {"text", "audio", "video"} and len(config["labels_sha256"]) == 64
    assert config["versions"]["torch"]
    metrics = json.loads((run / "seed-1111/metrics.json").read_text())
    assert metrics["valid"]["N"] == metrics["test"]["N"] == 6
    told = json.loads((run / "metrics.json").read_text())
    assert told["splits"]["test"]["MAE"] == {"mean": metrics["test"]["MAE"], "std": None, "low": None, "high": None}
    assert lines[2][3] == f"{metrics['test']['MAE']:.4f}"
    predictions = pd.read_csv(run / "seed-1111/predictions.csv")
    assert list(predictions) == ["clip_id", "split", "target", "prediction"] and len(predictions) == 36
    test = predictions[predictions["split"] == "test"]
    assert (test["target"] - test["prediction"]).abs().mean() == pytest.approx(metrics["test"]["MAE"], abs=1e-5)
    assert len(pd.read_csv(run / "seed-1111/history.csv")) == metrics["epochs"] == 4
    assert (run / "prediction.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]

    done("predict", run, cache, "-o", scores)
    again = pd.read_csv(scores).merge(predictions, on="clip_id", suffixes=("", "_fit"))
    assert len(again) == 36
    np.testing.assert_allclose(again["prediction"], again["prediction_fit"], atol=1e-5)
    as_json = json.loads(done("predict", run, cache, "--json").stdout)
    assert {row["clip_id"] for row in as_json} == set(predictions["clip_id"])
    to_stdout = done("predict", run, cache).stdout
    assert to_stdout == scores.read_text()


@pytest.mark.usefixtures("without_its_figures")
def test_stopped_by_a_signal_then_started_again(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("--epochs", 5, *SMALL)
    whole = done("fit", cache, tmp_path / "whole", "--json", *settings)
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        if line.startswith("epoch 2/"):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(learn, "log", log)
        patch.setattr(common, "log", log)
        assert call("fit", cache, tmp_path / "run", *settings).exit_code == 75
    assert said[-1] == "stopped after epoch 2; start the same command again to go on"
    assert call("predict", tmp_path / "run", cache).exit_code == 2
    resumed = done("fit", cache, tmp_path / "run", "--json", *settings)
    assert "epoch 3/5" in resumed.stderr and "epoch 2/5" not in resumed.stderr
    assert json.loads(resumed.stdout) == json.loads(whole.stdout)
    for name in ("model.safetensors", "history.csv", "predictions.csv"):
        parts, at_once = (tmp_path / folder / "seed-1111" / name for folder in ("run", "whole"))
        assert parts.read_bytes() == at_once.read_bytes()


@pytest.mark.usefixtures("without_its_figures")
def test_seeds_side_by_side_give_the_same_files(cache: Path, tmp_path: Path) -> None:
    """Two at a time or one after the other, each with a core; the test's own thread is one, too."""
    settings = ("--epochs", 2, "--seeds", 3, "--json", *SMALL)
    alone, several, usual = (tmp_path / name for name in ("alone", "several", "usual"))
    told = [
        done("fit", cache, alone, "--jobs", 1, *settings).stdout,
        done("fit", cache, several, "--jobs", 2, *settings).stdout,
    ]
    told.append(done("fit", cache, usual, *settings).stdout)
    assert told[0] == told[1] == told[2]
    for seed in ("seed-1111", "seed-1112", "seed-1113"):
        for name in ("model.safetensors", "history.csv", "predictions.csv"):
            assert len({(run / seed / name).read_bytes() for run in (alone, several, usual)}) == 1
    weights = several / "seed-1112/model.safetensors"
    before = weights.stat().st_mtime_ns
    assert done("fit", cache, several, "--jobs", 2, *settings).stdout == told[0]  # all is done already
    assert weights.stat().st_mtime_ns == before


def test_several_seeds(cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fitted = done("fit", cache, run, "--epochs", 2, "--seeds", 3, "--seed", 7, *SMALL)
    assert [line for line in fitted.stderr.splitlines() if line.startswith("seed ")] == ["seed 7", "seed 8", "seed 9"]
    assert {path.name for path in run.iterdir() if path.is_dir()} == {"seed-7", "seed-8", "seed-9"}
    told = json.loads(done("fit", cache, run, "--epochs", 2, "--seeds", 3, "--seed", 7, "--json", *SMALL).stdout)
    mae = told["splits"]["test"]["MAE"]
    assert f"{mae['mean']:.4f} +-{mae['high'] - mae['mean']:.4f}" in fitted.stdout
    rows = json.loads(done("predict", run, cache, "--json").stdout)
    assert all(row["low"] < row["prediction"] < row["high"] and 0 < row["gate_mean"] < 1 for row in rows)


def with_moods(clips: list[ClipFeatures], labels: pd.DataFrame) -> tuple[list[ClipFeatures], pd.DataFrame]:
    """Sentiment in words, and as two labels; one clip's are unknown."""
    labels["mood"] = np.select([labels["label"] < -1, labels["label"] > 1], ["bad", "good"], "even")
    labels["happy"], labels["sad"] = labels["label"].clip(lower=0), (-labels["label"]).clip(lower=0)
    known = labels.index != labels.index[1]
    labels["mood"], labels["happy"] = labels["mood"].where(known, ""), labels["happy"].where(known)
    return clips, labels


def test_classification(labelled: Labelled, write_cache: Callable[..., Path], tmp_path: Path) -> None:
    cache, run = write_cache(*with_moods(*labelled(36))), tmp_path / "run"
    settings = ("--target", "mood", "--epochs", 15, "--seeds", 2, *SMALL)
    fitted = done("fit", cache, run, *settings)
    assert "1 of 36 clips have no split or no label and are left out" in fitted.stderr
    lines = [re.split(r"\s{2,}", line.strip()) for line in fitted.stdout.splitlines()]
    assert lines[0] == ["data set", "split", "N", "accuracy", "F1 weighted", "F1 macro"]
    assert lines[2][:3] == ["synthetic", "test", "6"]
    assert not (run / "prediction.png").exists()
    target = json.loads((run / "config.json").read_text())["target"]
    assert target == {"task": "classification", "columns": ["mood"], "outputs": ["bad", "even", "good"]}
    told = json.loads(done("fit", cache, run, "--json", *settings).stdout)["splits"]["test"]
    assert {"accuracy", "F1_bad", "F1_even", "F1_good"} < set(told)

    rows = pd.DataFrame(json.loads(done("predict", run, cache, "--json").stdout))
    seen = [f"{end}_{mood}" for mood in ("bad", "even", "good") for end in ("low", "high")]  # of both seeds
    assert list(rows) == ["clip_id", "prediction", "p_bad", "p_even", "p_good", *seen, "gate_mean"] and len(rows) == 36
    chances = rows[["p_bad", "p_even", "p_good"]]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert ("p_" + rows["prediction"] == chances.idxmax(axis=1)).all()
    truth = rows["clip_id"].map(with_moods(*labelled(36))[1]["mood"])
    assert (rows["prediction"] == truth)[truth != ""].mean() > 0.7  # features lean towards the label


@pytest.mark.usefixtures("without_its_figures")
def test_sentiment_in_seven_classes(cache: Path, tmp_path: Path) -> None:
    done("fit", cache, tmp_path / "run", "--task", "classification", "--epochs", 1, "--gate", "none", *SMALL)
    rows = json.loads(done("predict", tmp_path / "run", cache, "--json").stdout)
    assert list(rows[0]) == ["clip_id", "prediction", *(f"p_{number}" for number in range(-3, 4))]
    assert {row["prediction"] for row in rows} <= {str(number) for number in range(-3, 4)}


@pytest.mark.usefixtures("without_its_figures")
def test_multilabel(labelled: Labelled, write_cache: Callable[..., Path], tmp_path: Path) -> None:
    cache, run = write_cache(*with_moods(*labelled(36))), tmp_path / "run"
    done("fit", cache, run, "--target", "happy,sad", "--epochs", 15, *SMALL)
    test = json.loads((run / "metrics.json").read_text())["splits"]["test"]
    assert {"accuracy", "accuracy_happy", "accuracy_sad", "F1_happy", "F1_sad", "F1_weighted", "N"} == set(test)
    assert test["accuracy"]["mean"] > 0.8
    rows = json.loads(done("predict", run, cache, "--json").stdout)
    for row in rows:
        named = " ".join(name for name in ("happy", "sad") if row[f"p_{name}"] > 0.5)
        assert row["prediction"] == named
    held = pd.read_csv(run / "seed-1111/predictions.csv")
    assert list(held)[2:] == ["target_happy", "target_sad", "prediction_happy", "prediction_sad"] and len(held) == 35


@pytest.mark.usefixtures("without_its_figures")
def test_features_of_another_encoder_are_refused(
    labelled: Labelled, write_cache: Callable[..., Path], tmp_path: Path
) -> None:
    clips, labels = labelled(18)
    cache, other = write_cache(clips, labels), write_cache(clips, labels, layer=9, name="other")
    done("pretrain", cache, tmp_path / "heads", "--d-shared", 9, "--epochs", 1)
    done("fit", cache, tmp_path / "run", "--epochs", 1, *SMALL)
    for refused in (
        call("predict", tmp_path / "run", other),
        call("fit", other, tmp_path / "new", "--heads", tmp_path / "heads", *SMALL),
    ):
        assert refused.exit_code == 2
        assert "text features of another encoder" in refused.stderr and "layer: 12, now 9" in refused.stderr
    changed = call("fit", other, tmp_path / "run", "--epochs", 1, *SMALL)
    assert changed.exit_code == 2 and "features.text.fingerprint" in changed.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("without_its_figures")
def test_several_feature_sets_must_be_named(cache: Path, tmp_path: Path) -> None:
    data = FeatureCache(cache)["synthetic"]
    spec = FeatureSetSpec("video", "other", {"encoder": {"weights": "other"}})
    with FeatureWriter(create_feature_set(data.path, spec), publishing_method(data.path)) as writer:
        arrays = {"frames": np.ones((2, 20), np.float32), "seconds": np.arange(2.0)}
        writer.add(ClipRecord("v0$_$0", source_digest(clip="v0$_$0"), arrays))
    refused = call("fit", cache, tmp_path / "run", "--epochs", 1, *SMALL)
    assert refused.exit_code == 2 and spec.name in refused.stderr
    done("fit", cache, tmp_path / "run", "--epochs", 1, "--video", spec.name, *SMALL)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["widths"]["d_video"] == 20


@pytest.mark.usefixtures("without_its_figures")
def test_clips_without_any_features_get_no_score(
    labelled: Labelled, write_cache: Callable[..., Path], tmp_path: Path
) -> None:
    clips, labels = labelled(18)
    nothing = ClipFeatures(clips[3].clip_id)
    cache = write_cache([*clips[:3], nothing, *clips[4:]], labels)
    done("fit", cache, tmp_path / "run", "--epochs", 1, *SMALL)
    result = call("predict", tmp_path / "run", cache, "--json")
    assert result.exit_code == 3
    assert "1 clips have no features and no score: v1$_$3" in result.stderr
    assert nothing.clip_id not in {row["clip_id"] for row in json.loads(result.stdout)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "{nowhere}", "{run}"], "is no cache"),
        (["fit", "{cache}", "{run}", "--dataset", "mosi"], "no data set 'mosi'"),
        (["fit", "{cache}", "{run}", "--heads", "{nowhere}"], "heads.json is missing"),
        (["fit", "{cache}", "{run}", "--batch-size", "0"], "batch_size must be above 0"),
        (["fit", "{cache}", "{run}", "--freeze-heads"], "give them with --heads"),
        (["fit", "{cache}", "{run}", "--conv-kernel", "4"], "conv_kernel must be odd"),
        (["fit", "{cache}", "{cache}"], "is not empty and holds no config.json"),
        (["pretrain", "{cache}", "{run}", "--batch-size", "1"], "batch_size must be at least 2"),
        (["fit", "{cache}", "{run}", "--modality-dropout", "1"], "modality_dropout must lie in [0, 1)"),
        (
            ["fit", "{cache}", "{run}", "--gate", "video"],
            "'video' is not one of 'audio', 'none', 'attention', 'frames'",
        ),
        (["fit", "{cache}", "{run}", "--gate-layers", "0"], "gate_layers must be above 0"),
        (["fit", "{cache}", "{run}", "--seeds", "0"], "x>=1"),
        (["fit", "{cache}", "{run}", "--target", "mood"], "its labels.csv needs a column 'mood'"),
        (["fit", "{cache}", "{run}", "--target", "emotions"], "its labels.csv needs a column 'happy'"),
        (["predict", "{nowhere}", "{cache}"], "config.json is missing"),
        (["predict", "{nowhere}", "{cache}", "--json", "-o", "x.csv"], "give one of them"),
        (["fit", "{cache}", "{run}", "--lambda", "1"], "No such option"),
    ],
)
def test_wrong_use_is_one_clear_line(arguments: list[str], message: str, cache: Path, tmp_path: Path) -> None:
    places = {"cache": cache, "run": tmp_path / "run", "nowhere": tmp_path / "nowhere"}
    result = call(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2 and message in result.stderr, result.output
    assert "Traceback" not in result.output


def test_cache_without_labels_is_explained(
    labelled: Labelled, write_cache: Callable[..., Path], tmp_path: Path
) -> None:
    clips, labels = labelled(12)
    result = call("fit", write_cache(clips, labels.drop(columns="label")), tmp_path / "run", *SMALL)
    assert result.exit_code == 2 and "has no labels" in result.stderr


@pytest.mark.usefixtures("without_its_figures")
def test_config_file_fills_defaults_and_the_command_line_wins(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "fit.yaml"
    file.write_text("epochs: 7\npatience: 1\nseed: 5\n")
    done("fit", cache, tmp_path / "run", "--config", file, "--epochs", 1, *SMALL)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["settings"]["epochs"], config["settings"]["patience"], config["seeds"]) == (1, 1, [5])


def test_help_shows_the_dataclasses_defaults() -> None:
    fit, pretrain = (" ".join(done(command, "--help").stdout.split()) for command in ("fit", "pretrain"))
    default, paper = FIT_PRESETS["default"], FIT_PRESETS["paper"]
    assert f"[default: {default.learning_rate}; paper: {paper.learning_rate}]" in fit
    assert f"[default: {PretrainConfig().batch_size}]" in pretrain
    assert (paper.learning_rate, paper.batch_size, paper.contrastive_weight) == (1e-5, 32, 0.1)


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_the_list_of_commands_says_in_words_what_each_does(name: str) -> None:
    """An abbreviation such as `Fig.` would end the sentence that is shown there."""
    assert len(cli.main.commands[name].get_short_help_str(60).split()) > 4
