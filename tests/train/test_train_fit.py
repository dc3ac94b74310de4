from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from sadgr.cache import ClipFeatures
from sadgr.train.checkpoint import read_tensors
from sadgr.train.config import FitConfig, Gate, ModelConfig
from sadgr.train.data import Clips, ClipTensors, clip_tensors
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.fit import FitResult, fit
from sadgr.train.gather import FitData
from sadgr.train.loop import Progress, batches, seed_epoch
from sadgr.train.models.sadgr import SADGR
from sadgr.train.tasks import Target

StopAfter = Callable[[int], Callable[[], bool]]
SENTIMENT = Target("regression", ("label",), ("label",))
CLASSES = Target("classification", ("mood",), ("calm", "glad", "tense"))
LABELS = Target("multilabel", ("happy", "sad", "fear"), ("happy", "sad", "fear"))
BY_HEART = FitConfig(epochs=60, patience=60, batch_size=8, learning_rate=1e-2, contrastive_weight=0.0)
CONFIG = FitConfig(epochs=6, patience=6, batch_size=8, learning_rate=3e-3)


def silent(_: str) -> None:
    """Take a log line."""


def never() -> bool:
    return False


Splits = dict[str, list[ClipTensors]]


@pytest.fixture
def splits(labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]], small: ModelConfig) -> Splits:
    clips, labels = labelled(36)
    found: Splits = {}
    for clip, (_, row) in zip(clips, labels.iterrows(), strict=True):
        found.setdefault(row["mode"], []).append(clip_tensors(clip, small, target=(float(row["label"]),)))
    return found


def data_of(splits: Splits, target: Target = SENTIMENT) -> FitData:
    return FitData({split: Clips(clips) for split, clips in splits.items()}, target, (10, 12, 14), "digest")


@pytest.fixture
def data(splits: Splits) -> FitData:
    return data_of(splits)


def run(
    data: FitData, small: ModelConfig, folder: Path, config: FitConfig = CONFIG, stop: Callable[[], bool] = never
) -> FitResult:
    return fit(data, lambda: SADGR(small), config, folder, stop, silent)


def same(one: Tensor | None, other: Tensor | None) -> bool:
    return other is None if one is None else other is not None and torch.equal(one, other)


def assert_same(one: FitResult, other: FitResult, folders: Sequence[Path]) -> None:
    """Equal to the bit."""
    assert one.history == other.history
    assert one.metrics == other.metrics
    for split, found in one.predicted.items():
        assert torch.equal(found.outputs, other.predicted[split].outputs)
        assert same(found.gate_mean, other.predicted[split].gate_mean)
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
@pytest.mark.parametrize("gate", ["audio", "attention"])
def test_interrupted_and_resumed_is_uninterrupted(
    stops: tuple[int, ...], gate: Gate, data: FitData, small: ModelConfig, tmp_path: Path, stop_after: StopAfter
) -> None:
    model, config = replace(small, gate=gate), replace(CONFIG, modality_dropout=0.3)
    whole = run(data, model, tmp_path / "whole", config)
    for stop in stops:
        with pytest.raises(Interrupted, match="start the same command again"):
            run(data, model, tmp_path / "parts", config, stop_after(stop))
    assert_same(whole, run(data, model, tmp_path / "parts", config), [tmp_path / "whole", tmp_path / "parts"])


def test_a_state_of_another_model_is_a_clear_error(
    data: FitData, small: ModelConfig, tmp_path: Path, stop_after: StopAfter
) -> None:
    """As a version of this package with other weights would have left it."""
    with pytest.raises(Interrupted):
        run(data, small, tmp_path, CONFIG, stop_after(1))
    with pytest.raises(TrainError, match=r"state.safetensors is of another model.*begin a new folder"):
        run(data, replace(small, d_model=small.d_model * 2), tmp_path)


def test_a_finished_run_started_again_trains_no_more(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    first = run(data, small, tmp_path)
    before = (tmp_path / "state.safetensors").stat().st_mtime_ns
    assert run(data, small, tmp_path).metrics == first.metrics
    assert (tmp_path / "state.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("gate", ["audio", "none", "attention", "frames"])
def test_eight_clips_are_learned_by_heart(gate: Gate, splits: Splits, small: ModelConfig, tmp_path: Path) -> None:
    eight = splits["train"][:8]
    model = replace(small, d_model=16, fusion_hidden=32, dropout=0.0, gate=gate)
    result = run(data_of({"train": eight, "valid": eight}), model, tmp_path, BY_HEART)
    assert result.metrics["valid"]["N"] == 8
    mae = result.metrics["valid"]["MAE"]
    assert mae is not None and mae < 0.05, mae


@pytest.mark.parametrize("target", [CLASSES, LABELS])
def test_eight_clips_classes_and_labels_are_learned_by_heart(
    target: Target, splits: Splits, small: ModelConfig, tmp_path: Path
) -> None:
    """Whatever they are: the classes are dealt out in turn, the labels drawn."""
    draws = torch.Generator().manual_seed(0)
    eight = [
        replace(
            clip,
            target=(float(i % 3),) if target is CLASSES else tuple(torch.randint(2, (3,), generator=draws).tolist()),
        )
        for i, clip in enumerate(splits["train"][:8])
    ]
    model = replace(small, d_model=16, fusion_hidden=32, dropout=0.0, n_outputs=3)
    result = run(data_of({"train": eight, "valid": eight}, target), model, tmp_path, BY_HEART)
    assert result.metrics["valid"]["accuracy"] == 1.0
    assert result.predicted["valid"].outputs.shape == (8, 3)


def test_epoch_is_chosen_on_valid_and_its_weights_are_kept(splits: Splits, small: ModelConfig, tmp_path: Path) -> None:
    result = run(data_of(splits), small, tmp_path, replace(CONFIG, learning_rate=3e-2))
    scores = [row["score"] for row in result.history]
    assert result.best_epoch == scores.index(min(scores)) + 1
    assert result.metrics["valid"]["MAE"] == pytest.approx(min(scores), abs=1e-6)
    turned = {**splits, "test": [replace(clip, target=(-clip.target[0],)) for clip in splits["test"]]}
    other = run(data_of(turned), small, tmp_path / "other", replace(CONFIG, learning_rate=3e-2))
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
        fit(data, lambda: SADGR(small), config, folder, never, silent, heads)
        kept, _ = read_tensors(folder / "model.safetensors")
        assert all(torch.equal(before[name], kept[f"heads.{name}"]) for name in before) is freeze


@pytest.mark.parametrize(
    ("setting", "parameters"),
    [
        ({"contrastive_weight": 0.5}, ["heads.log_scale"]),
        ({"modality_dropout": 0.5}, [f"missing.vectors.{modality}" for modality in range(3)]),
    ],
)
def test_a_setting_reaches_what_it_alone_can_move(
    setting: dict[str, float], parameters: list[str], data: FitData, small: ModelConfig, tmp_path: Path
) -> None:
    """Nothing but L_con moves the temperature, and nothing but a modality that a clip lost its stand-in."""
    config = replace(CONFIG, contrastive_weight=0.0, epochs=1)
    for moves, one in ((False, config), (True, replace(config, **setting))):  # type: ignore[arg-type]
        seed_epoch(one.seed, 0)
        before = SADGR(small).state_dict()
        run(data, small, tmp_path / str(moves), one)
        after, _ = read_tensors(tmp_path / str(moves) / "model.safetensors")
        assert [torch.equal(before[name], after[name]) for name in parameters] == [not moves] * len(parameters)
        assert not torch.equal(before["head.weight"], after["head.weight"])


def test_heads_of_other_widths_are_refused(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    heads = SADGR(replace(small, d_shared=5)).heads.state_dict()
    with pytest.raises(TrainError, match="pretrain on the same feature sets"):
        fit(data, lambda: SADGR(small), CONFIG, tmp_path, never, silent, heads)


def test_one_clip_batches_and_constant_labels_have_a_defined_result(
    splits: Splits, small: ModelConfig, tmp_path: Path
) -> None:
    constant = {split: [replace(clip, target=(1.0,)) for clip in clips] for split, clips in splits.items()}
    one = data_of({**constant, "train": constant["train"][:1]})
    result = run(one, small, tmp_path, replace(CONFIG, batch_size=1, epochs=2))
    assert result.metrics["test"]["Corr"] is None
    assert all(row["train_contrastive"] == 0 for row in result.history)


def test_divergence_is_named(data: FitData, small: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="lower --learning-rate"):
        run(data, small, tmp_path, replace(CONFIG, learning_rate=1e30))
