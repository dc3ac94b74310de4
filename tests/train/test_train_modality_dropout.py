"""A clip loses a modality now and then, never its last one."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from sadgr.cache import ClipFeatures
from sadgr.train.batch import Batch
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.data import Clips, clip_tensors
from sadgr.train.fit import lose_modalities

Make = Callable[..., ClipFeatures]
N_CLIPS = 6000


def many(small: ModelConfig, make_clip: Make, without: str = "") -> Batch:
    """The same clip over and over."""
    clip = clip_tensors(make_clip("a", 0, n_words=1, n_frames=1, without=without), small)
    return Clips([clip]).batch([0] * N_CLIPS)


def lose(batch: Batch, chance: float, seed: int = 0) -> Batch:
    return lose_modalities(batch, chance, torch.Generator().manual_seed(seed))


def margin(share: float) -> float:
    """Four standard deviations of a share of all clips."""
    return float(4 * (share * (1 - share) / N_CLIPS) ** 0.5)


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_as_many_clips_lose_one_as_asked_and_each_is_as_likely(
    chance: float, small: ModelConfig, make_clip: Make
) -> None:
    present = lose(many(small, make_clip), chance).present
    assert set(present.sum(dim=1).tolist()) == {2, 3}  # one at most
    assert float((present.sum(dim=1) == 2).float().mean()) == pytest.approx(chance, abs=margin(chance))
    shares = 1 - present.float().mean(dim=0)
    assert shares.tolist() == pytest.approx([chance / 3] * 3, abs=margin(chance / 3))


def test_a_clip_with_two_loses_one_of_its_own(small: ModelConfig, make_clip: Make) -> None:
    present = lose(many(small, make_clip, without="audio"), 0.4).present
    assert not present[:, 1].any()
    shares = 1 - present.float().mean(dim=0)
    assert shares[[0, 2]].tolist() == pytest.approx([0.2, 0.2], abs=margin(0.2))
    assert present.any(dim=1).all()


@pytest.mark.parametrize("without", ["text audio", "audio video", "text audio video"])
def test_the_last_one_stays(without: str, small: ModelConfig, make_clip: Make) -> None:
    batch = many(small, make_clip, without)
    assert torch.equal(lose(batch, 0.9).present, batch.present)


def test_same_seed_takes_the_same_and_another_does_not(small: ModelConfig, make_clip: Make) -> None:
    batch = many(small, make_clip)
    assert torch.equal(lose(batch, 0.5, seed=1).present, lose(batch, 0.5, seed=1).present)
    assert not torch.equal(lose(batch, 0.5, seed=1).present, lose(batch, 0.5, seed=2).present)


def test_nothing_else_changes(small: ModelConfig, make_clip: Make) -> None:
    batch = many(small, make_clip)
    lost = lose(batch, 0.5)
    assert torch.equal(lost.paired, lost.present[:, 0] & lost.present[:, 1])  # what is left of pairs
    assert torch.equal(lost.complete, lost.present.all(dim=0))
    for field in fields(batch):
        if field.name not in ("present", "complete", "paired"):
            assert getattr(lost, field.name) is getattr(batch, field.name)


def test_no_chance_draws_no_number(small: ModelConfig, make_clip: Make) -> None:
    batch, generator = many(small, make_clip), torch.Generator().manual_seed(0)
    before: Tensor = generator.get_state()
    assert lose_modalities(batch, 0.0, generator) is batch
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("chance", [-0.1, 1.0])
def test_an_impossible_chance_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="modality_dropout"):
        FitConfig(modality_dropout=chance)
