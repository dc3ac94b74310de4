"""Data that something is wrong with: fit, predict and evaluate give a defined result, or one clear error."""

import json
import math
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
from sadgr.train.checkpoint import read_json
from sadgr.train.cli import main
from sadgr.train.modalities import only

pytestmark = pytest.mark.usefixtures("without_figures")

Data = tuple[list[ClipFeatures], pd.DataFrame]
Labelled = Callable[[int], Data]
WriteCache = Callable[..., Path]
SMALL = ["--d-model", "8", "--d-key", "4", "--gate-hidden", "8", "--fusion-hidden", "8"]
FIT = [*SMALL, "--batch-size", "8", "--epochs", "2"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(message: str, *arguments: object) -> None:
    """It ends with exit code 2 and one error line, which says this."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr and "Traceback" not in result.output, result.stderr
    assert result.stderr.count("Error:") == 1


@pytest.fixture
def good(labelled: Labelled) -> Data:
    return labelled(18)


@pytest.fixture
def run(good: Data, write_cache: WriteCache, tmp_path: Path) -> Path:
    """Trained on good data."""
    done("fit", write_cache(*good, name="good"), tmp_path / "run", *FIT)
    return tmp_path / "run"


def predicted(run: Path, cache: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(done("predict", run, cache, "--json").stdout)
    assert all(math.isfinite(row["prediction"]) for row in rows)
    return rows


def test_without_labels(good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    clips, labels = good
    cache = write_cache(clips, labels[["mode"]])
    refused("data set synthetic has no labels", "fit", cache, tmp_path / "new", *FIT)
    refused("has no labels to score against: the model learned label", "evaluate", run, cache)
    assert len(predicted(run, cache)) == 18


def test_without_a_table_of_labels(good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    cache = write_cache(*good)
    (cache / "synthetic/labels.csv").unlink()
    for arguments in (("fit", cache, tmp_path / "new", *FIT), ("predict", run, cache), ("evaluate", run, cache)):
        refused("has 0 data sets; name one: none yet", *arguments)  # what has no such table is no data set


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_with_one_split(split: str, good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    clips, labels = good
    cache = write_cache(clips, labels.assign(mode=split))
    refused("has no labelled clips in split", "fit", cache, tmp_path / "new", *FIT)
    assert len(predicted(run, cache)) == 18
    told = json.loads(done("evaluate", run, cache, "--split", split, "--json").stdout)
    assert told["splits"][split]["N"]["mean"] == 18
    if split != "test":
        refused(f"no labelled clips in split test (found: {split} 18)", "evaluate", run, cache)


def test_without_splits(good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    clips, labels = good
    cache = write_cache(clips, labels[["label"]])
    refused("split train and valid (found: none)", "fit", cache, tmp_path / "new", *FIT)
    refused("no labelled clips in split test (found: none in any)", "evaluate", run, cache)
    assert len(predicted(run, cache)) == 18


def add_feature_set(cache: Path, clips: list[ClipFeatures], spec: FeatureSetSpec) -> str:
    data = FeatureCache(cache)["synthetic"]
    with FeatureWriter(create_feature_set(data.path, spec), publishing_method(data.path)) as writer:
        for clip in clips:
            arrays = {"frames": clip.video_frames, "seconds": clip.video_seconds}
            writer.add(ClipRecord(clip.clip_id, source_digest(clip=clip.clip_id), arrays))
    return spec.name


def test_with_mixed_fingerprints(good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    """Two sets of video features: training asks which, a run reads its own, and never another encoder's."""
    cache = write_cache(*good)
    name = add_feature_set(cache, good[0], FeatureSetSpec("video", "other", {"encoder": {"weights": "other"}}))
    refused("has several video feature sets; name one of them", "fit", cache, tmp_path / "new", *FIT)
    assert len(predicted(run, cache)) == 18
    done("evaluate", run, cache)
    for command in ("predict", "evaluate"):
        refused("video features of another encoder", command, run, cache, "--video", name)


@pytest.mark.parametrize("modality", ["text_words", "audio_words", "video_frames"])
def test_with_a_value_that_is_not_finite(
    modality: str, good: Data, write_cache: WriteCache, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache refuses to store one; a file that another program wrote may hold one all the same."""
    clips, labels = good
    array = np.array(getattr(clips[5], modality))
    array.flat[-1] = np.nan
    clips[5] = replace(clips[5], **{modality: array})
    with monkeypatch.context() as patch:
        patch.setattr("sadgr.cache.schema._stored", lambda modality, name, clip_id, array: array.astype(_type(name)))
        cache = write_cache(clips, labels)
    for arguments in (("fit", cache, tmp_path / "new", *FIT), ("predict", run, cache), ("evaluate", run, cache)):
        refused("'v1$_$5'", *arguments)
        refused("not finite", *arguments)


def test_with_a_mean_that_is_not_finite(
    good: Data, write_cache: WriteCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the format it is how a mean that is not there is written: the clip has none, and is no pair for L_con."""
    clips, labels = good
    caches = []
    for name, value in (("nan", np.full_like(clips[0].audio_mean, np.nan)), ("none", None)):
        with monkeypatch.context() as patch:
            patch.setattr("sadgr.cache.schema._stored", lambda modality, name, clip_id, one: one.astype(_type(name)))
            caches.append(write_cache([replace(clips[0], audio_mean=value), *clips[1:]], labels, name=name))
    for cache in caches:
        done("fit", cache, tmp_path / f"run-{cache.name}", *FIT)
    one, other = (read_json(tmp_path / f"run-{cache.name}/metrics.json") for cache in caches)
    assert one == other


def _type(name: str) -> type[np.floating]:
    return np.float64 if name == "seconds" else np.float16


@pytest.mark.parametrize("left", [("text", "video"), ("audio",), ()])
def test_with_a_clip_that_lacks_modalities(
    left: tuple[str, ...], good: Data, write_cache: WriteCache, run: Path, tmp_path: Path
) -> None:
    clips, labels = good
    clips[5] = only(clips[5], left)
    cache = write_cache(clips, labels)
    fitted = done("fit", cache, tmp_path / "new", *FIT)
    assert "audio is absent in 1 of 18 clips (v1$_$5)" in fitted.stderr or "audio" in left
    assert json.loads(done("evaluate", run, cache, "--json").stdout)["splits"]["test"]["N"]["mean"] == 3
    found = call("predict", run, cache, "--json")
    assert found.exit_code == (0 if left else 3)
    assert len(json.loads(found.stdout)) == (18 if left else 17)


def test_with_a_modality_that_no_clip_has(good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    clips, labels = good
    cache = write_cache([only(clip, ("text", "video")) for clip in clips], labels)
    refused("no labelled clip of data set synthetic has audio features", "fit", cache, tmp_path / "new", *FIT)
    assert len(predicted(run, cache)) == 18
    done("evaluate", run, cache)


def test_with_no_features_at_all(good: Data, write_cache: WriteCache, run: Path) -> None:
    clips, labels = good
    cache = write_cache([only(clip, ()) for clip in clips], labels)
    refused("has text or audio or video features: run sadgr-extract", "predict", run, cache)


def test_with_one_word_and_one_frame_in_every_clip(
    good: Data, make_clip: Callable[..., ClipFeatures], write_cache: WriteCache, run: Path, tmp_path: Path
) -> None:
    _, labels = good
    clips = [make_clip(str(clip_id), i, 1, 1) for i, clip_id in enumerate(labels.index)]
    cache = write_cache(clips, labels)
    done("fit", cache, tmp_path / "new", *FIT)
    assert len(predicted(tmp_path / "new", cache)) == len(predicted(run, cache)) == 18
    done("evaluate", run, cache)


@pytest.mark.parametrize("label", [0.0, 1.5])
def test_with_constant_labels(label: float, good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    clips, labels = good
    cache = write_cache(clips, labels.assign(label=label))
    fitted = done("fit", cache, tmp_path / "new", *FIT)
    assert f"every label is {label}: there is nothing to tell apart" in fitted.stderr
    for place in (run, tmp_path / "new"):
        scores = json.loads(done("evaluate", place, cache, "--json").stdout)["splits"]["test"]
        assert scores["Corr"]["mean"] is None and math.isfinite(scores["MAE"]["mean"])
        assert (scores["Non0_acc_2"]["mean"] is None) == (label == 0)
    assert "undefined" in done("evaluate", run, cache).stdout


def test_with_a_class_that_the_model_never_saw(good: Data, write_cache: WriteCache, tmp_path: Path) -> None:
    clips, labels = good
    moods = ["bad" if label < 0 else "good" for label in labels["label"]]
    done("fit", write_cache(clips, labels.assign(mood=moods)), tmp_path / "run", "--target", "mood", *FIT)
    other = write_cache(clips, labels.assign(mood=[*moods[:-1], "odd"]), name="other")
    refused(
        "a clip's mood is 'odd', which the model never saw; it knows bad, good", "evaluate", tmp_path / "run", other
    )


def test_with_words_where_numbers_were_learned(good: Data, write_cache: WriteCache, run: Path, tmp_path: Path) -> None:
    clips, labels = good
    cache = write_cache(clips, labels.assign(label=[*map(str, labels["label"][:-1]), "good"]))
    refused("column 'label' must hold numbers only", "fit", cache, tmp_path / "new", *FIT)
    refused("column 'label' must hold numbers only", "evaluate", run, cache)
    assert len(predicted(run, cache)) == 18


def test_a_batch_of_one_and_a_split_of_one(good: Data, write_cache: WriteCache, tmp_path: Path) -> None:
    """A pair has no negative in a batch of one, so that only the last two, which go together, contrast at all."""
    clips, labels = good
    first = {"train": 12, "valid": 1, "test": 1}
    mode = labels["mode"].where(labels.groupby("mode").cumcount() < labels["mode"].map(first), "")
    cache, run = write_cache(clips, labels.assign(mode=mode)), tmp_path / "run"
    done("fit", cache, run, *SMALL, "--batch-size", "1", "--epochs", "2")
    history = pd.read_csv(run / "seed-1111/history.csv")
    assert len(history) == 2 and np.isfinite(history.to_numpy(float)).all()
    test = read_json(run / "metrics.json")["splits"]["test"]
    assert test["N"]["mean"] == 1 and test["Corr"]["mean"] is None
    assert json.loads(done("evaluate", run, cache, "--json").stdout)["splits"] == {"test": test}
    assert len(predicted(run, cache)) == 18


def test_one_clip_to_learn_from(good: Data, write_cache: WriteCache, tmp_path: Path) -> None:
    clips, labels = good
    mode = labels["mode"].where((labels["mode"] != "train") | (labels.index == labels.index[0]), "")
    cache = write_cache(clips, labels.assign(mode=mode))
    done("fit", cache, tmp_path / "run", *FIT)
    assert len(predicted(tmp_path / "run", cache)) == 18


def test_one_clip_to_predict(good: Data, write_cache: WriteCache, run: Path) -> None:
    clips, labels = good
    (row,) = predicted(run, write_cache(clips[5:6], labels.iloc[5:6], name="one"))
    whole = predicted(run, write_cache(clips, labels, name="whole"))
    assert row["prediction"] == pytest.approx(whole[5]["prediction"], abs=1e-6)
