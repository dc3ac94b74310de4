"""The report on planted data: its figures against planted answers, and docs/planted.md against its numbers."""

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from sadgr.train.config import FitConfig, ModelConfig, PretrainConfig
from sadgr.train.retrieval import retrieval_metrics

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Scripts of benchmarks/ import one another as they do when they are run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_the_page_shows_its_numbers(load: Callable[[str], ModuleType]) -> None:
    report, document = load("planted_report"), (ROOT / "docs/planted.md").read_text(encoding="utf-8")
    numbers = json.loads((ROOT / "docs/planted.json").read_text(encoding="utf-8"))
    assert report.page(document, load("planted_table").told(numbers)) == document
    assert document.count(report.BEGIN) == document.count(report.END) == 1
    assert report.page(document, "other") != document  # what is compared lies between the markers


def test_the_numbers_are_of_the_held_out_seeds_and_frozen_settings(load: Callable[[str], ModuleType]) -> None:
    report, planted = load("planted_report"), load("planted")
    numbers = json.loads((ROOT / "docs/planted.json").read_text(encoding="utf-8"))
    assert [one["seed"] for one in numbers["worlds"]] == list(planted.HELD_OUT_SEEDS)
    assert numbers["training_seeds"] == list(report.TRAINING_SEEDS)
    assert numbers["settings"] == json.loads(json.dumps(report.asdict(report.SETTINGS)))
    assert numbers["planted"] == {name: getattr(planted.Planted(0), name) for name in numbers["planted"]}


def test_a_small_report_from_end_to_end(load: Callable[[str], ModuleType]) -> None:
    report, planted = load("planted_report"), load("planted")
    settings = report.Settings(
        PretrainConfig(d_shared=8, batch_size=32, epochs=1, learning_rate=1e-2),
        FitConfig(epochs=1, batch_size=32),
        ModelConfig(d_shared=8, d_model=8, d_key=4, gate_hidden=8, fusion_hidden=8),
    )
    lines: list[str] = []
    world = planted.Planted(1, train=32, valid=8, test=20, pairs=80)
    numbers = report.measure([world], (7, 8), settings, lines.append)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers and len(lines) == 4
    (found,) = numbers["worlds"]
    assert found["n_pairs"] == [76, 4] and found["n_clips"] == {"train": 32, "valid": 8, "test": 20}
    assert set(found["variants"]) == set(report.VARIANTS)
    has = {name: set(one) for name, one in found["variants"].items()}
    gated = {"MAE", "leak", "gate", "passed"}
    assert [has[name] for name in ("full model", "a gate for each frame", "without gate", "text alone")] == [
        gated,
        gated,
        {"MAE", "leak"},
        {"MAE"},
    ]
    with pytest.raises(ValueError, match="two at least"):
        report.measure([world], (7,), settings, lines.append)
    rows = [line.count("|") for line in load("planted_table").told(numbers).split("\n") if line.startswith("|")]
    assert rows == [3] * 6 + [3] * 6 + [5] * 11  # three tables: head, rule and 4, 4 and 9 rows


def test_variants_differ_in_what_they_say_alone(load: Callable[[str], ModuleType]) -> None:
    full, *others = load("planted_report").VARIANTS.values()
    for one in others:
        assert sum(getattr(one, name) != value for name, value in vars(full).items()) == 1, one


def _drawn(load: Callable[[str], ModuleType], **changes: Any) -> tuple[Any, list[Any]]:
    planted = load("planted")
    what = planted.Planted(3, **changes)
    rng = np.random.default_rng(what.seed)
    world = planted.World.draw(what, rng)
    return what, [planted.draw_clip(what, world, rng) for _ in range(300)]


def _means(load: Callable[[str], ModuleType], clips: list[Any]) -> Any:
    return load("planted_bounds").Means(
        *(np.stack([getattr(one, name).mean(axis=0) for one in clips]) for name in ("text", "audio", "video")),
        *(np.array([len(getattr(one, name)) for one in clips], float) for name in ("text", "video")),
    )


def test_who_knows_the_generator_is_right_where_there_is_next_to_no_noise(load: Callable[[str], ModuleType]) -> None:
    bounds = load("planted_bounds")
    errors = []
    for noise in (1e-3, 0.5):
        what, clips = _drawn(load, noise=noise, word_noise=noise)
        labels = np.array([one.label for one in clips])
        honest = np.array([one.honest for one in clips])
        found = bounds.knowing_labels(what, _means(load, clips))
        errors.append(np.abs(found - labels)[~honest].mean())
        assert np.corrcoef(found, labels)[0, 1] > 0.98
    # Lying clips have no error of the face: what is left is the label's own noise, of deviation 0.1.
    assert errors[0] == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.15) and errors[1] > errors[0]


def test_who_knows_the_generator_is_lost_with_anothers_voice(load: Callable[[str], ModuleType]) -> None:
    what, clips = _drawn(load)
    means, labels = _means(load, clips), np.array([one.label for one in clips])
    knowing = load("planted_bounds").knowing_labels
    own, others = (
        np.abs(knowing(what, one) - labels).mean() for one in (means, replace(means, audio=means.audio[::-1]))
    )
    assert others > 2 * own


def test_canonical_correlations_find_what_is_shared(load: Callable[[str], ModuleType]) -> None:
    rng = np.random.default_rng(5)
    shared, maps = rng.normal(size=(300, 4)), (rng.normal(size=(4, 9)), rng.normal(size=(4, 7)))
    text, audio = (shared @ one + 0.01 * rng.normal(size=(300, one.shape[1])) for one in maps)
    cca = load("planted_bounds").cca
    found = cca((text[:200], audio[:200]), (text[200:], audio[200:]), 4)
    assert all(np.corrcoef(one, other)[0, 1] > 0.99 for one, other in zip(found[0].T, found[1].T, strict=True))
    assert retrieval_metrics(*map(torch.from_numpy, found))["t2a_R@1"] > 0.95
    broken = cca((text[:200], audio[:200][::-1]), (text[200:], audio[200:]), 4)
    assert retrieval_metrics(*map(torch.from_numpy, broken))["t2a_R@1"] < 0.2


class _Told(torch.nn.Module):
    """A model whose gate is a share of honesty, and whose video is as it came."""

    def __init__(self, gate: torch.Tensor) -> None:
        super().__init__()
        self.given = gate

    def video_attention(self, video: torch.Tensor, frames: Any) -> torch.Tensor:
        return video

    def forward(self, batch: Any) -> Any:
        from sadgr.train.models.protocol import Output

        gate = self.given[batch.numbers][:, None].expand(-1, batch.video.shape[1])
        return Output((batch.frames.mean(batch.video) * gate).sum(dim=1, keepdim=True), {}, gate)


def test_gate_figures_of_a_gate_that_is_known(load: Callable[[str], ModuleType], make_clip: Any) -> None:
    from sadgr.train.data import Clips, clip_tensors

    widths = ModelConfig(10, 12, 14)
    clips = Clips([clip_tensors(make_clip(str(i), i, n_words=1 + (7 * i) % 5), widths) for i in range(40)])
    honest = np.arange(40) % 3 == 0  # no order by number of words is this one
    figures = load("planted_fit").gate_figures
    good = figures(_Told(torch.from_numpy(np.where(honest, 0.9, 0.1)).float()), clips, honest.astype(float))
    assert good["gate"] == pytest.approx(1) and good["passed"] == pytest.approx(1) and 0 < good["leak"] < 0.3
    shut = figures(_Told(torch.from_numpy(np.where(honest, 0.9, 0.0)).float()), clips, honest.astype(float))
    assert shut["leak"] == 0
    inverse = figures(_Told(torch.from_numpy(np.where(honest, 0.1, 0.9)).float()), clips, honest.astype(float))
    assert inverse["gate"] == pytest.approx(-1) and inverse["leak"] > 3


def test_clips_that_are_seen_in_part(load: Callable[[str], ModuleType], make_clip: Any) -> None:
    from sadgr.train.data import Clips, clip_tensors

    clips = Clips([clip_tensors(make_clip(str(i), i), ModelConfig(10, 12, 14)) for i in range(3)])
    seen = load("planted_fit").Seen(clips, (True, False, True))
    batch = seen.batch([2, 0])
    assert len(seen) == 3 and batch.present.tolist() == [[True, False, True]] * 2 and not batch.paired.any()
    assert clips.batch([2, 0]).present.all()


@pytest.mark.parametrize(
    ("full", "other", "beaten"),
    [
        ([0.10, 0.12], [0.20, 0.22], True),
        ([0.10, 0.12], [0.11, 0.13], False),  # less than the spread, 0.014
        ([0.10, 0.12], [0.00, 0.02], False),
        ([0.10, 0.10], [0.10, 0.30], False),  # the other's spread counts, too
    ],
)
def test_better_by_more_than_the_spread(
    load: Callable[[str], ModuleType], full: list[float], other: list[float], beaten: bool
) -> None:
    world = {"variants": {"full model": {"MAE": full}, "other": {"MAE": other}}}
    table = load("planted_table")
    assert table.beaten(world, "other") is beaten
    assert table.beaten(world, "full model", "other") is (full > other and not beaten)
