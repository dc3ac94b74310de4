"""Pretraining on synthetic pairs whose text and audio share a planted latent."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sadgr.train.config import PretrainConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.pairs import Pairs
from sadgr.train.pretrain import learning_rate_factor, load_heads, pretrain
from sadgr.train.retrieval import retrieval_metrics

CONFIG = PretrainConfig(epochs=8, batch_size=64, learning_rate=1e-2, d_shared=16)


def synthetic_pairs(n: int, seed: int, shared: bool = True) -> Pairs:
    """Two linear views, 24 and 20 wide, of an 8-wide latent; a control's views are of different latents."""
    views = np.random.default_rng(0)
    to_text, to_audio = views.standard_normal((8, 24)), views.standard_normal((8, 20))
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, 8))
    other = latent if shared else rng.standard_normal((n, 8))
    text = latent @ to_text + 0.1 * rng.standard_normal((n, 24)) + 1
    audio = other @ to_audio + 0.1 * rng.standard_normal((n, 20)) - 1
    return Pairs(torch.from_numpy(text).float(), torch.from_numpy(audio).float())


def run(folder: Path, stop: Callable[[], bool] = lambda: False, shared: bool = True) -> dict[str, Any]:
    train, held_out = synthetic_pairs(512, 1, shared), synthetic_pairs(100, 2, shared)
    return pretrain(train, held_out, CONFIG, {"dataset": "synthetic"}, folder, stop, lambda _: None)


def test_retrieval_rises_where_a_latent_is_shared_and_only_there(tmp_path: Path) -> None:
    metrics = run(tmp_path / "shared")
    assert metrics["before"]["t2a_R@1"] < 0.1
    assert metrics["after"]["t2a_R@1"] > 0.9 and metrics["after"]["a2t_R@1"] > 0.9
    assert metrics["after"]["loss"] < metrics["before"]["loss"]
    assert (metrics["n_train"], metrics["n_held_out"]) == (512, 100)
    control = run(tmp_path / "control", shared=False)
    assert control["after"]["t2a_R@1"] < 0.1


def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "parts", stop=lambda: True)
    with pytest.raises(TrainError, match="pretraining is unfinished"):
        load_heads(tmp_path / "parts")
    assert run(tmp_path / "parts") == whole
    first, second = load_heads(tmp_path / "whole"), load_heads(tmp_path / "parts")
    assert first.sha256 == second.sha256
    assert first.tensors["text.weight"].shape == (16, 24) and first.tensors["audio.weight"].shape == (16, 20)


def test_too_few_pairs_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="1 held-out clips have both text and audio means"):
        pretrain(synthetic_pairs(9, 1), synthetic_pairs(1, 2), CONFIG, {}, tmp_path, lambda: False, print)


def test_learning_rate_rises_then_falls_along_half_a_cosine() -> None:
    factors = [learning_rate_factor(step, 20, 0.25) for step in range(20)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0
    assert factors[12] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 15)))
    assert all(one > other > 0 for one, other in pairwise(factors[5:]))
    assert learning_rate_factor(0, 1, 0.0) == 1.0


def test_retrieval_of_planted_ranks() -> None:
    """Audio is text turned by one place, so that each text's own audio is nowhere near; then it is exactly its own."""
    basis = torch.eye(12)
    assert retrieval_metrics(basis, 3 * basis)["t2a_R@1"] == 1.0
    assert retrieval_metrics(basis, basis.roll(1, dims=0))["a2t_R@5"] == 0.0
    mixed = basis + 2 * basis.roll(1, dims=0)  # one other is nearer than the own one
    scores = retrieval_metrics(basis, mixed)
    assert (scores["t2a_R@1"], scores["t2a_R@5"]) == (0.0, 1.0)


def test_embeddings_that_are_all_alike_find_nothing() -> None:
    scores = retrieval_metrics(torch.ones(30, 4), torch.ones(30, 4))
    assert scores["t2a_R@10"] == 0.0 and scores["modality_gap"] == pytest.approx(0.0, abs=1e-6)


def test_modality_gap_is_the_distance_of_the_means() -> None:
    text, audio = torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([[-1.0, 0.0], [0.0, 0.5]])
    assert retrieval_metrics(text, audio)["modality_gap"] == pytest.approx(1.0)  # (0.5, 0.5) to (-0.5, 0.5)


def test_retrieval_in_chunks_equals_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text, audio = torch.randn(50, 6), torch.randn(50, 6)
    expected = retrieval_metrics(text, audio)
    monkeypatch.setattr("sadgr.train.retrieval.CHUNK_ROWS", 7)
    assert retrieval_metrics(text, audio) == expected


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 1}, {"warmup_fraction": 1.0}, {"valid_fraction": 0.0}, {"audio_mean": "median"}]
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PretrainConfig(**wrong)
