"""A run is scored and predicts with some modalities as if clips lacked the others."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
from sadgr.train.apply import run_evaluate, run_predict
from sadgr.train.checkpoint import read_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.errors import TrainError
from sadgr.train.jobs import run_fit
from sadgr.train.modalities import MODALITIES, only, parse_modalities
from sadgr.train.opened import Source
from sadgr.train.request import FitRequest

pytestmark = pytest.mark.usefixtures("without_figures")

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
WriteCache = Callable[..., Path]
SUBSETS = [("text",), ("audio",), ("video",), ("text", "audio"), ("text", "video"), ("audio", "video")]


def silent(_: str) -> None:
    """Take a log line."""


def fitted(cache: Path, run: Path, model: ModelConfig, **more: object) -> Path:
    run_fit(cache, run, FitRequest(FitConfig(epochs=2, batch_size=8), model, (3, 4), **more), lambda: False, silent)  # type: ignore[arg-type]
    return run


@pytest.fixture
def cache(labelled: Labelled, write_cache: WriteCache) -> Path:
    """One clip has no audio, one no features at all."""
    clips, labels = labelled(24)
    clips[5] = only(clips[5], ("text", "video"))
    clips[11] = only(clips[11], ())
    return write_cache(clips, labels)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_training_s_cache_gives_the_training_s_scores(cache: Path, small: ModelConfig, tmp_path: Path) -> None:
    run = fitted(cache, tmp_path / "run", small)
    trained = read_json(run / "metrics.json")
    for split in ("valid", "test"):
        told = run_evaluate(run, Source(cache), split, silent)
        assert told["splits"] == {split: trained["splits"][split]}
        assert (told["dataset"], told["seeds"]) == (trained["dataset"], trained["seeds"])
        for seed, scores in zip((3, 4), told["by_seed"], strict=True):
            assert scores == read_json(run / f"seed-{seed}/metrics.json")[split]
    assert told["unseen"] == ["v3$_$11"] and told["by_seed"][0]["N"] == 4


@pytest.mark.parametrize("modalities", SUBSETS)
def test_some_modalities_are_a_cache_without_the_others(
    modalities: tuple[str, ...], labelled: Labelled, write_cache: WriteCache, small: ModelConfig, tmp_path: Path
) -> None:
    clips, labels = labelled(18)
    whole, part = write_cache(clips, labels), write_cache([only(one, modalities) for one in clips], labels, name="part")
    run = fitted(whole, tmp_path / "run", small)
    rows, without = run_predict(run, Source(whole, modalities=modalities), silent)
    assert (rows, without) == run_predict(run, Source(part), silent)
    assert rows != run_predict(run, Source(whole), silent)[0] and not without
    told = run_evaluate(run, Source(whole, modalities=modalities), "test", silent)
    assert told["by_seed"] == run_evaluate(run, Source(part), "test", silent)["by_seed"]
    assert told["modalities"] == list(modalities)


def test_a_clip_with_none_of_them_has_no_score_but_counts_in_an_evaluation(
    cache: Path, small: ModelConfig, tmp_path: Path
) -> None:
    run = fitted(cache, tmp_path / "run", small)
    rows, without = run_predict(run, Source(cache, modalities=("audio",)), silent)
    assert without == ["v1$_$5", "v3$_$11"] and len(rows) == 22
    said: list[str] = []
    told = run_evaluate(run, Source(cache, modalities=("audio",)), "test", said.append)
    assert told["unseen"] == without and told["by_seed"][0]["N"] == 4
    assert any("2 of 4 clips have none of these; learned vectors answer for them: v1$_$5" in line for line in said)


def test_commands(cache: Path, small: ModelConfig, tmp_path: Path) -> None:
    run, file = fitted(cache, tmp_path / "run", small), tmp_path / "scores.json"
    printed = call("evaluate", run, cache, "--modalities", "video,text", "-o", file)
    assert printed.exit_code == 0, printed.output
    as_json = call("evaluate", run, cache, "--modalities", "text,video", "--json")
    told = json.loads(as_json.stdout)
    assert told == read_json(file) == run_evaluate(run, Source(cache, modalities=("text", "video")), "test", silent)
    assert printed.stdout.splitlines()[1].split()[:3] == ["synthetic", "test", "4"]
    assert "modalities: text, video; seeds: 3, 4" in printed.stdout
    found = call("predict", run, cache, "--modalities", "audio", "--json")
    assert found.exit_code == 3 and "2 clips have no features and no score: v1$_$5, v3$_$11" in found.stderr
    assert json.loads(found.stdout) == run_predict(run, Source(cache, modalities=("audio",)), silent)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modalities", "text,smell"], "there is no modality 'smell': name some of text,audio,video"),
        (["--modalities", ""], "there is no modality ''"),
        (["--split", "dev"], "has no labelled clips in split dev (found: train 16, valid 4, test 4)"),
        (["-o", "{tmp}/nowhere/x.json"], "nowhere is no folder"),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str], message: str, cache: Path, small: ModelConfig, tmp_path: Path
) -> None:
    run = fitted(cache, tmp_path / "run", small)
    result = call("evaluate", run, cache, *(one.format(tmp=tmp_path) for one in arguments))
    assert result.exit_code == 2 and message in result.stderr, result.output


def test_modalities_are_read_in_one_order() -> None:
    assert parse_modalities("video, text") == ("text", "video")
    assert parse_modalities(",".join(MODALITIES)) == MODALITIES


def without_video_features(labelled: Labelled, write_cache: WriteCache) -> Path:
    cache = write_cache(*labelled(18), name="no-video")
    for folder in (cache / "synthetic").glob("video-*"):
        folder.rename(folder.with_name(f".{folder.name}"))
    return cache


def test_a_data_set_without_a_modality_is_refused_with_the_remedy_and_done_without_on_request(
    labelled: Labelled, write_cache: WriteCache, small: ModelConfig, tmp_path: Path
) -> None:
    run = fitted(write_cache(*labelled(18)), tmp_path / "run", small)
    cache = without_video_features(labelled, write_cache)
    with pytest.raises(TrainError, match=r"read video features \(video-random.*--modalities text,audio$"):
        run_predict(run, Source(cache), silent)
    rows, without = run_predict(run, Source(cache, modalities=("text", "audio")), silent)
    assert len(rows) == 18 and not without
    with pytest.raises(TrainError, match="read video features"):
        run_predict(run, Source(cache, modalities=("video",)), silent)


def test_of_several_feature_sets_the_run_s_own_is_read(cache: Path, small: ModelConfig, tmp_path: Path) -> None:
    run, data = fitted(cache, tmp_path / "run", small), FeatureCache(cache)["synthetic"]
    before = run_predict(run, Source(cache), silent)
    spec = FeatureSetSpec("video", "other", {"encoder": {"weights": "other"}})
    with FeatureWriter(create_feature_set(data.path, spec), publishing_method(data.path)) as writer:
        writer.add(ClipRecord("v0$_$0", source_digest(clip="v0$_$0"), None))
    assert run_predict(run, Source(cache), silent) == before
    with pytest.raises(TrainError, match="video features of another encoder"):
        run_predict(run, Source(cache, feature_sets=(None, None, spec.name)), silent)


def test_same_encoder_with_other_sampling_is_pointed_out_in_words(
    cache: Path, small: ModelConfig, tmp_path: Path
) -> None:
    run, data = fitted(cache, tmp_path / "run", small), FeatureCache(cache)["synthetic"]
    (held,) = data.feature_sets("video")
    spec = replace(held.spec, settings={**held.spec.settings, "sampling": {"frames": 8}})
    with FeatureWriter(create_feature_set(data.path, spec), publishing_method(data.path)) as writer:
        for clip_id in data.ids():
            writer.add(ClipRecord(clip_id, source_digest(clip=clip_id), held.read(clip_id)))
    said: list[str] = []
    rows, _ = run_predict(run, Source(cache, feature_sets=(None, None, spec.name)), said.append)
    assert [line for line in said if "same encoder" in line] == [
        "video features are of the same encoder as in training, but of other word times or sampling: "
        "sampling: absent, now {'frames': 8}"
    ]
    assert rows == run_predict(run, Source(cache), silent)[0]
