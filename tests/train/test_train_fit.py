from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from sadgr.cache import ClipFeatures
from sadgr.train.checkpoint import read_json, read_tensors, write_json
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.data import ClipTensors, clip_tensors
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.fit import FitResult, fit
from sadgr.train.gather import FitData
from sadgr.train.loop import Progress, batches
from sadgr.train.model import SADGR
from sadgr.train.predict import load_run, predict

CONFIG = FitConfig(epochs=6, patience=6, batch_size=8, learning_rate=3e-3)


def silent(_: str) -> None:
    """Take a log line."""


def never() -> bool:
    return False


class StopAfter:
    """Asks for a stop when it was asked for the n-th time."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.fixture
def data(labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]], small: ModelConfig) -> FitData:
    clips, labels = labelled(36)
    splits: dict[str, list[ClipTensors]] = {}
    for clip, (_, row) in zip(clips, labels.iterrows(), strict=True):
        splits.setdefault(row["mode"], []).append(clip_tensors(clip, small, target=float(row["label"])))
    return FitData(splits, (10, 12, 14), "digest")


def run(
    data: FitData, small: ModelConfig, folder: Path, config: FitConfig = CONFIG, stop: Callable[[], bool] = never
) -> FitResult:
    return fit(data, small, config, {"dataset": "synthetic"}, folder, stop, silent)


def assert_same(one: FitResult, other: FitResult, folders: Sequence[Path]) -> None:
    """Equal to the bit."""
    assert one.history == other.history
    assert one.metrics == other.metrics
    for split, scores in one.predictions.items():
        assert torch.equal(scores, other.predictions[split])
    for name in ("state.safetensors", "model.safetensors"):
        first, second = (read_tensors(folder / name)[0] for folder in folders)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_same_seed_gives_same_numbers_and_another_does_not(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    first = run(data, small, tmp_path / "a")
    torch.manual_seed(6)  # what the caller did to torch's generator does not matter
    assert_same(first, run(data, small, tmp_path / "b"), [tmp_path / "a", tmp_path / "b"])
    assert run(data, small, tmp_path / "c", replace(CONFIG, seed=1112)).history != first.history


def test_fit_leaves_the_callers_random_numbers_alone(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(data, small, tmp_path / "a", replace(CONFIG, epochs=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stops", [(1,), (3,), (1, 1, 2)])
def test_interrupted_and_resumed_is_uninterrupted(
    stops: tuple[int, ...], data: FitData, small: ModelConfig, tmp_path: Path
) -> None:
    whole = run(data, small, tmp_path / "whole")
    for stop in stops:
        with pytest.raises(Interrupted, match="start the same command again"):
            run(data, small, tmp_path / "parts", stop=StopAfter(stop))
    assert_same(whole, run(data, small, tmp_path / "parts"), [tmp_path / "whole", tmp_path / "parts"])


def test_a_finished_run_started_again_trains_no_more(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    first = run(data, small, tmp_path)
    before = (tmp_path / "state.safetensors").stat().st_mtime_ns
    assert run(data, small, tmp_path).metrics == first.metrics
    assert (tmp_path / "state.safetensors").stat().st_mtime_ns == before


def test_run_of_other_settings_or_data_is_refused(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    run(data, small, tmp_path, replace(CONFIG, epochs=1))
    with pytest.raises(TrainError, match=r"settings\.learning_rate: 0\.003, now 0\.5"):
        run(data, small, tmp_path, replace(CONFIG, epochs=1, learning_rate=0.5))
    with pytest.raises(TrainError, match="clips: digest, now other"):
        run(replace(data, digest="other"), small, tmp_path, replace(CONFIG, epochs=1))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").touch()
    with pytest.raises(TrainError, match=r"is not empty and holds no config\.json"):
        run(data, small, foreign)


def test_eight_clips_are_learned_by_heart(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    eight = data.splits["train"][:8]
    config = FitConfig(epochs=150, patience=150, batch_size=8, learning_rate=1e-2, contrastive_weight=0.0)
    model = replace(small, d_model=16, fusion_hidden=32, dropout=0.0)
    result = run(FitData({"train": eight, "valid": eight}, data.widths, "eight"), model, tmp_path, config)
    assert result.metrics["valid"]["N"] == 8
    mae = result.metrics["valid"]["MAE"]
    assert mae is not None and mae < 0.05


def test_epoch_is_chosen_on_valid_and_its_weights_are_kept(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    result = run(data, small, tmp_path, replace(CONFIG, learning_rate=3e-2))
    scores = [row["score"] for row in result.history]
    assert result.best_epoch == scores.index(min(scores)) + 1
    assert result.metrics["valid"]["MAE"] == pytest.approx(min(scores), abs=1e-6)
    shuffled = {**data.splits, "test": [replace(clip, target=-clip.target) for clip in data.splits["test"]]}
    other = run(replace(data, splits=shuffled), small, tmp_path / "other", replace(CONFIG, learning_rate=3e-2))
    assert other.history == result.history  # test labels have no say


def test_early_stopping_counts_epochs_without_gain() -> None:
    progress = Progress()
    for score in (3.0, 2.0, 2.5, 2.0):
        assert not progress.finished(epochs=9, patience=2)
        progress = progress.with_row({"score": score})
    assert progress.best_epoch == 2 and progress.finished(epochs=9, patience=2)


@pytest.mark.parametrize(("n_clips", "sizes"), [(9, [4, 5]), (8, [4, 4]), (1, [1]), (10, [4, 4, 2])])
def test_last_batch_is_never_a_single_clip(n_clips: int, sizes: list[int]) -> None:
    parts = batches(n_clips, 4, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(n_clips))


def test_frozen_heads_stay_as_they_were(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    heads = SADGR(small).heads.state_dict()
    before = {name: tensor.clone() for name, tensor in heads.items()}
    for freeze in (True, False):
        folder = tmp_path / str(freeze)
        config = replace(CONFIG, freeze_heads=freeze, epochs=2)
        fit(data, small, config, {}, folder, never, silent, heads)
        kept, _ = read_tensors(folder / "model.safetensors")
        assert all(torch.equal(before[name], kept[f"heads.{name}"]) for name in before) is freeze


def test_heads_of_other_widths_are_refused(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    heads = SADGR(replace(small, d_shared=5)).heads.state_dict()
    with pytest.raises(TrainError, match="pretrain on the same feature sets"):
        fit(data, small, CONFIG, {}, tmp_path, never, silent, heads)


def test_one_clip_batches_and_constant_labels_have_a_defined_result(
    data: FitData, small: ModelConfig, tmp_path: Path
) -> None:
    constant = {split: [replace(clip, target=1.0) for clip in clips] for split, clips in data.splits.items()}
    one = {**constant, "train": constant["train"][:1]}
    result = run(FitData(one, data.widths, "one"), small, tmp_path, replace(CONFIG, batch_size=1, epochs=2))
    assert result.metrics["test"]["Corr"] is None
    assert all(row["train_contrastive"] == 0 for row in result.history)


def test_divergence_is_named(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="lower --learning-rate"):
        run(data, small, tmp_path, replace(CONFIG, learning_rate=1e30))


def test_saved_run_predicts_the_same(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    result = run(data, small, tmp_path)
    with pytest.raises(TrainError, match="is unfinished"):
        load_run(tmp_path)
    write_json(tmp_path / "metrics.json", {})
    model, config = load_run(tmp_path)
    assert config["settings"]["seed"] == 1111
    assert torch.equal(predict(model, data.splits["test"]), result.predictions["test"])


def test_damaged_run_is_named(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    run(data, small, tmp_path, replace(CONFIG, epochs=1))
    write_json(tmp_path / "metrics.json", {})
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", {**config, "model": {**config["model"], "d_model": 99}})
    with pytest.raises(TrainError, match=r"does not fit its config\.json"):
        load_run(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainError, match="no whole safetensors file"):
        load_run(tmp_path)
    with pytest.raises(TrainError, match=r"nowhere.config\.json is missing"):
        load_run(tmp_path / "nowhere")
