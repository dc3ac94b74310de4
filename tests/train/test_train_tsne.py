"""Fig. 4: the separability number on planted answers, and the picture's files."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from sadgr.cache import FeatureCache
from sadgr.cache.labels import read_labels
from sadgr.train import cli
from sadgr.train.checkpoint import read_json
from sadgr.train.config import PretrainConfig
from sadgr.train.heads import ProjectionHeads
from sadgr.train.pairs import Pairs
from sadgr.train.pretrain import load_heads
from sadgr.train.retrieval import retrieval_metrics
from sadgr.train.studies.separability import separability
from sadgr.train.studies.tsne import draw_panel, held_out_pairs, untrained_heads


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clusters(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Points around one far centre."""
    return 4 * np.eye(width)[0] + rng.standard_normal((count, width))


def test_two_clusters_that_a_rotation_aligns_are_told_apart_before_it_and_not_after() -> None:
    rng = np.random.default_rng(3)
    text = clusters(rng, 60, 6)
    rotation = np.roll(np.eye(6), 1, axis=1)  # takes the first axis to the second
    audio = text @ rotation
    before, after = separability(unit(text), unit(audio)), separability(unit(text), unit(audio @ rotation.T))
    assert before.accuracy > 0.95 and before.pair_cosine < 0.5
    assert after.accuracy == 0.5 and after.pair_cosine == pytest.approx(1)


def test_heads_that_undo_the_rotation_align_the_panel() -> None:
    rng = np.random.default_rng(3)
    text = torch.from_numpy(clusters(rng, 20, 6)).float()
    rotation = torch.eye(6).roll(1, dims=1)
    pairs = Pairs(text, text @ rotation)
    heads = ProjectionHeads(6, 6, 6)
    with torch.no_grad():
        for layer in (heads.text, heads.audio):
            layer.bias.zero_()
            layer.weight.copy_(torch.eye(6))
        apart = draw_panel(heads, pairs)
        heads.audio.weight.copy_(rotation)  # x -> x @ rotation.T
        together = draw_panel(heads, pairs)
    assert apart.found.accuracy > 0.9 and together.found.accuracy == 0.5
    assert together.text.shape == together.audio.shape == (20, 2)


def test_clouds_drawn_alike_are_hardly_told_apart() -> None:
    rng = np.random.default_rng(5)
    text, audio = (unit(rng.standard_normal((400, 5))) for _ in range(2))
    assert abs(separability(text, audio).accuracy - 0.5) < 0.06


def test_cosines_are_those_of_the_closed_form() -> None:
    found = separability(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32))
    assert found.pair_cosine == 1 and found.other_cosine == 0


def test_a_modality_gap_shows_however_well_pairs_are_found() -> None:
    rng = np.random.default_rng(7)
    base = unit(rng.standard_normal((50, 8)))
    text, audio = (unit(np.column_stack([np.full(50, side), base])) for side in (1, -1))
    assert retrieval_metrics(torch.from_numpy(text), torch.from_numpy(audio))["t2a_R@1"] > 0.9
    assert separability(text, audio).accuracy > 0.95


@pytest.fixture
def folders(labelled: Callable, write_cache: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    cache, heads = write_cache(*labelled(48)), tmp_path / "heads"
    result = call("pretrain", cache, heads, "--epochs", 2, "--d-shared", 9, "--batch-size", 8)
    assert result.exit_code == 0, result.output
    return {"cache": cache, "heads": heads, "out": tmp_path / "deep" / "out"}


def test_before_are_the_heads_that_pretraining_began_with(folders: dict[str, Path]) -> None:
    pretrained = load_heads(folders["heads"])
    data = FeatureCache(folders["cache"]).dataset()
    ids, pairs = held_out_pairs(data, data.select(), pretrained, lambda _: None)
    assert list(ids) == sorted(read_labels(data.path).query("mode == 'valid'").index)
    with torch.no_grad():
        heads = untrained_heads(PretrainConfig(**pretrained.plan["settings"]), pairs)
        found = retrieval_metrics(*heads(pairs.text, pairs.audio))
    before = pretrained.plan["metrics"]["before"]
    assert {name: before[name] for name in found} == pytest.approx(found)


def test_the_command_writes_what_it_prints_and_the_same_each_time(folders: dict[str, Path]) -> None:
    cache, heads, out = folders["cache"], folders["heads"], folders["out"]
    result = call("tsne", cache, out, "--heads", heads, "--clips", 5)
    assert result.exit_code == 0, result.output
    told = read_json(out / "tsne.json")
    assert told["clips"] == 5 and told["held_out_clips"] == 8
    for panel in ("before", "after"):
        assert 0 <= told[panel]["accuracy"] <= 1 and f"{told[panel]['accuracy']:.4f}" in result.stdout
    with (out / "tsne.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 5
    held_out = set(read_labels(FeatureCache(cache).dataset().path).query("mode == 'valid'").index)
    assert {row["clip_id"] for row in rows} < held_out
    assert call("tsne", cache, out.with_name("again"), "--heads", heads, "--clips", 5).exit_code == 0
    for name in ("tsne.json", "tsne.csv", "tsne.png", "tsne.svg"):
        assert (out / name).read_bytes() == (out.with_name("again") / name).read_bytes(), name


def test_a_cache_that_changed_under_the_heads_is_refused(
    folders: dict[str, Path], labelled: Callable, write_cache: Callable[..., Path]
) -> None:
    clips, labels = labelled(54)
    grown = write_cache(clips, labels, name="grown")
    result = call("tsne", grown, folders["out"], "--heads", folders["heads"])
    assert result.exit_code == 2 and "no longer what the heads learned from" in " ".join(result.output.split())
    assert not folders["out"].exists()


def test_heads_of_another_encoder_are_refused(
    folders: dict[str, Path], labelled: Callable, write_cache: Callable[..., Path]
) -> None:
    other = write_cache(*labelled(48), name="other", layer=9)
    result = call("tsne", other, folders["out"], "--heads", folders["heads"])
    assert result.exit_code == 2 and "another encoder" in result.output
