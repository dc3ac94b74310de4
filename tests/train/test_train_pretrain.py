"""Pretraining on synthetic pairs whose text and audio share a planted latent."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from sadgr.cache import ClipFeatures, Dataset, FeatureCache, SelectionError
from sadgr.train.cli import main
from sadgr.train.config import PretrainConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.heads import ProjectionHeads
from sadgr.train.loop import adamw
from sadgr.train.pairs import Pairs, read_pairs, transcript_numbers
from sadgr.train.pretrain import learning_rate_factor, load_heads, pretrain, train_step
from sadgr.train.retrieval import retrieval_metrics

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
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
    return Pairs(torch.from_numpy(text).half(), torch.from_numpy(audio).half())


def repeated(pairs: Pairs, transcripts: Tensor) -> Pairs:
    """Clips that say what the first of their transcript says: the same text, and nearly the same audio."""
    first = torch.tensor([transcripts.tolist().index(one) for one in transcripts.tolist()])
    audio = pairs.audio[first] + 0.05 * torch.randn(pairs.audio.shape, generator=torch.Generator().manual_seed(0))
    return Pairs(pairs.text[first], audio.half(), transcripts)


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


def test_history_has_a_row_an_epoch(tmp_path: Path) -> None:
    metrics = run(tmp_path)
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history) == [
        "epoch",
        "train_loss",
        "held_out_loss",
        "temperature",
        "t2a_R@1",
        "a2t_R@1",
        "modality_gap",
    ]
    assert list(history["epoch"]) == list(range(1, metrics["epochs"] + 1))
    best = history.loc[history["held_out_loss"].idxmin()]
    assert best["epoch"] == metrics["best_epoch"]
    assert best["held_out_loss"] == pytest.approx(metrics["after"]["loss"], abs=1e-9)
    assert best["t2a_R@1"] == metrics["after"]["t2a_R@1"] and best["temperature"] == metrics["temperature"]


def test_the_same_seed_gives_the_same_heads_and_another_does_not(tmp_path: Path) -> None:
    train, held_out = synthetic_pairs(128, 1), synthetic_pairs(32, 2)
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        config = replace(CONFIG, epochs=2, seed=seed)
        pretrain(train, held_out, config, {}, tmp_path / name, lambda: False, lambda _: None)
    one, same, other = (load_heads(tmp_path / name).sha256 for name in ("one", "same", "other"))
    assert one == same != other
    assert (tmp_path / "one/history.csv").read_bytes() == (tmp_path / "same/history.csv").read_bytes()


def test_training_stops_early_where_nothing_is_shared(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=50, patience=2)
    train, held_out = synthetic_pairs(512, 1, shared=False), synthetic_pairs(100, 2, shared=False)
    metrics = pretrain(train, held_out, config, {}, tmp_path, lambda: False, lambda _: None)
    assert metrics["epochs"] == metrics["best_epoch"] + 2 < 50


def test_other_pairs_do_not_continue_a_training(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, stop=lambda: True)
    with pytest.raises(TrainError, match="begun with other settings or data"):
        run(tmp_path, shared=False)


def test_digest_tells_each_part() -> None:
    pairs = repeated(synthetic_pairs(64, 1), torch.arange(64))
    assert pairs.transcripts is not None and pairs.digest() == replace(pairs).digest()
    parts = {"text": pairs.text + 1, "audio": pairs.audio + 1, "transcripts": pairs.transcripts + 1}
    others = [replace(pairs, **{name: values}) for name, values in parts.items()]  # type: ignore[arg-type]
    others += [replace(pairs, transcripts=None), replace(pairs, text=pairs.audio, audio=pairs.text)]
    assert len({one.digest() for one in (pairs, *others)}) == 6


def test_duplicates_are_found_where_they_are_masked(tmp_path: Path) -> None:
    """Every transcript is there four times, so that no text can tell its own audio from three others."""
    found = {}
    for name, masked in (("masked", True), ("plain", False)):
        train = repeated(synthetic_pairs(256, 1), torch.arange(256) // 4)
        held_out = repeated(synthetic_pairs(80, 2), torch.arange(80) // 4)
        if not masked:
            train, held_out = replace(train, transcripts=None), replace(held_out, transcripts=None)
        config = replace(CONFIG, mask_duplicates=masked)
        found[name] = pretrain(train, held_out, config, {}, tmp_path / name, lambda: False, lambda _: None)["after"]
    assert found["masked"]["t2a_R@1"] > 0.9
    assert found["plain"]["t2a_R@1"] < 0.5
    assert found["masked"]["loss"] < math.log(2) < found["plain"]["loss"]  # alike ones cost log 4 at least, unmasked


def test_a_step_contrasts_no_duplicates_where_they_are_masked() -> None:
    pairs, moved = synthetic_pairs(8, 1), []
    for transcripts in (None, torch.zeros(8, dtype=torch.int64)):
        heads = ProjectionHeads(24, 20, 16)
        before = heads.text.weight.detach().clone()
        loss = train_step(heads, adamw(heads, 1e-3, 0.0), replace(pairs, transcripts=transcripts), 0.1)
        moved.append((float(loss), float((heads.text.weight.detach() - before).abs().max())))
    assert moved[0][0] > 0.1 and moved[0][1] == pytest.approx(0.1, rel=1e-2)  # Adam's first step is the rate given
    assert moved[1][0] == pytest.approx(0.0, abs=1e-6)


def test_equal_transcripts_alone_are_refused_only_where_masked(tmp_path: Path) -> None:
    train, held_out = synthetic_pairs(16, 1), synthetic_pairs(4, 2)
    alike = replace(train, transcripts=torch.zeros(16, dtype=torch.int64))
    with pytest.raises(TrainError, match="all 16 train clips have one and the same transcript"):
        pretrain(alike, held_out, CONFIG, {}, tmp_path / "masked", lambda: False, print)
    assert not (tmp_path / "masked").exists()
    same_text = replace(train, text=train.text[:1].expand(16, -1))
    config = replace(CONFIG, epochs=2, batch_size=16)
    metrics = pretrain(same_text, held_out, config, {}, tmp_path / "plain", lambda: False, lambda _: None)
    assert metrics["history"][0]["train_loss"] >= math.log(16)  # texts that are alike tell nothing: log N at least


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


def test_retrieval_passes_over_duplicates() -> None:
    """Text 0 is nearest to audio 1, of its transcript; text 2 to audio 3, of another; text 3 to its own."""
    angles = torch.tensor([[0.0, 20.0, 90.0, 130.0], [8.0, 2.0, 125.0, 131.0]]).deg2rad()
    text, audio = torch.stack([angles.cos(), angles.sin()], dim=-1)
    audio[2] = torch.tensor([-1.0, 0.0])
    plain, masked = retrieval_metrics(text, audio), retrieval_metrics(text, audio, torch.tensor([5, 5, 6, 7]))
    assert (plain["t2a_R@1"], masked["t2a_R@1"]) == (0.25, 0.75)
    assert plain["modality_gap"] == masked["modality_gap"]
    apart = retrieval_metrics(text, audio, torch.arange(4))
    assert apart == plain


def test_embeddings_that_are_all_alike_find_nothing() -> None:
    scores = retrieval_metrics(torch.ones(30, 4), torch.ones(30, 4))
    nearly = torch.ones(30, 4, dtype=torch.float64)
    nearly[:, 0] += torch.arange(30) * 1e-9  # no more than rounding may do
    for transcripts in (None, torch.arange(30)):
        told = retrieval_metrics(nearly, nearly.flip(0), transcripts)
        assert told["t2a_R@10"] == told["a2t_R@10"] == 0.0
    assert scores["t2a_R@10"] == 0.0 and scores["modality_gap"] == pytest.approx(0.0, abs=1e-6)


def test_modality_gap_is_the_distance_of_the_means() -> None:
    text, audio = torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([[-1.0, 0.0], [0.0, 0.5]])
    assert retrieval_metrics(text, audio)["modality_gap"] == pytest.approx(1.0)  # (0.5, 0.5) to (-0.5, 0.5)


def test_retrieval_in_chunks_equals_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text, audio = torch.randn(50, 6), torch.randn(50, 6)
    expected = retrieval_metrics(text, audio)
    transcripts = torch.arange(50) % 20
    masked = retrieval_metrics(text, audio, transcripts)
    monkeypatch.setattr("sadgr.train.retrieval.CHUNK_ROWS", 7)
    assert retrieval_metrics(text, audio) == expected
    assert retrieval_metrics(text, audio, transcripts) == masked


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 1}, {"warmup_fraction": 1.0}, {"valid_fraction": 0.0}, {"audio_mean": "median"}]
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PretrainConfig(**wrong)


def read(cache: Path, **settings: Any) -> tuple[tuple[Pairs, Pairs], list[str]]:
    """The pairs of a cache with one data set, and what was said."""
    data = FeatureCache(cache).dataset()
    said: list[str] = []
    return read_pairs(data, data.select(), PretrainConfig(**settings), said.append), said


def test_vectors_stay_float16_and_clips_without_audio_are_no_pairs(
    labelled: Labelled, write_cache: Callable[..., Path]
) -> None:
    clips, labels = labelled(12)
    clips[0] = replace(clips[0], audio_words=None, audio_mean=None, audio_mean_words=None)
    (train, held_out), said = read(write_cache(clips, labels))
    assert said == ["12 clips, 11 with both means: 7 to learn from, 2 held out"]
    assert train.text.dtype == train.audio.dtype == torch.float16 and train.transcripts is None
    mean = clips[2].text_mean
    assert mean is not None
    np.testing.assert_array_equal(held_out.text[0].numpy(), mean.astype(np.float16))


def test_transcripts_are_compared_as_words(labelled: Labelled, write_cache: Callable[..., Path]) -> None:
    clips, labels = labelled(12)
    labels["text"] = [f"clip {i}" for i in range(12)]
    labels.iloc[[0, 2, 3], labels.columns.get_loc("text")] = ["Caf\u00e9  time", "cafe\u0301 time ", "CAF\u00c9 TIME"]
    (train, held_out), said = read(write_cache(clips, labels), mask_duplicates=True)
    assert train.transcripts is not None and held_out.transcripts is not None
    same = train.transcripts == held_out.transcripts[0]  # clip 2 is the first of the valid split
    assert same.sum() == 2 and len(train.transcripts.unique()) == 7
    assert said[-1] == "2 of 8 clips to learn from share their transcript with another"


def test_missing_transcripts_are_named(labelled: Labelled, write_cache: Callable[..., Path]) -> None:
    clips, labels = labelled(12)
    with pytest.raises(TrainError, match=r"synthetic has no transcripts.*fill column `text`"):
        read(write_cache(clips, labels, name="without"), mask_duplicates=True)
    labels["text"] = "hello"
    labels.iloc[[3, 5], labels.columns.get_loc("text")] = " "  # clip 5 is a test clip, which is not read
    with pytest.raises(TrainError, match=r"1 of 10 clips of synthetic have no transcript.*'v1\$_\$3'"):
        read(write_cache(clips, labels, name="empty"), mask_duplicates=True)
    read(write_cache(clips, labels, name="unasked"))


def test_a_clip_of_no_label_row_has_no_transcript() -> None:
    labels = pd.DataFrame({"text": ["yes", "no"]}, index=["a", "b"])
    assert transcript_numbers(labels, ["b", "a", "b"], "x").tolist() == [0, 1, 0]
    with pytest.raises(TrainError, match="the first is 'c'"):
        transcript_numbers(labels, ["a", "c"], "x")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_mean_that_is_not_finite_is_named(
    labelled: Labelled, write_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    cache = write_cache(*labelled(12))
    honest = Dataset.means

    def broken(*args: Any, **named: Any) -> Any:
        ids, text, audio = honest(*args, **named)
        audio[7, 3] = value
        return ids, text, audio

    monkeypatch.setattr(Dataset, "means", broken)
    monkeypatch.setattr("sadgr.train.pairs.CHUNK_ROWS", 5)
    with pytest.raises(TrainError, match=r"clip 'v2\$_\$7': its audio mean is not finite; extract"):
        read(cache)


def test_no_audio_at_all_and_one_pair_have_one_clear_error(
    labelled: Labelled, write_cache: Callable[..., Path]
) -> None:
    clips, labels = labelled(3)
    mute = [replace(clip, audio_words=None, audio_mean=None, audio_mean_words=None) for clip in clips]
    with pytest.raises(SelectionError, match="holds no 'mean' vectors"):
        read(write_cache(mute, labels, name="mute"))
    unsplit = labels.drop(columns="mode")
    with pytest.raises(TrainError, match="no clip to learn from: of 1 with both text and audio means, 1 are held out"):
        read(write_cache([clips[0], *mute[1:]], unsplit, name="one"))


def test_the_command_masks_duplicates(labelled: Labelled, write_cache: Callable[..., Path], tmp_path: Path) -> None:
    clips, labels = labelled(12)
    small = ("--mask-duplicates", "--epochs", "2", "--d-shared", "5")
    refused = CliRunner().invoke(main, ["pretrain", str(write_cache(clips, labels)), str(tmp_path / "none"), *small])
    assert refused.exit_code == 2 and "synthetic has no transcripts" in refused.output
    assert not (tmp_path / "none").exists()
    labels["text"] = [f"words {i // 2}" for i in range(12)]
    cache = write_cache(clips, labels, name="told")
    done = CliRunner().invoke(main, ["pretrain", str(cache), str(tmp_path / "heads"), *small])
    assert done.exit_code == 0, done.output
    assert "4 of 8 clips to learn from share their transcript with another" in done.output  # 0 and 1, 6 and 7
    assert load_heads(tmp_path / "heads").plan["settings"]["mask_duplicates"] is True
    assert {path.name for path in (tmp_path / "heads").iterdir()} >= {"heads.json", "heads.safetensors", "history.csv"}
