"""Variations of a study: each differs from the full model in one thing, and really does."""

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sadgr.cache.settings_diff import differences
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.errors import TrainError
from sadgr.train.models.sadgr import SADGR
from sadgr.train.request import FitRequest
from sadgr.train.studies import variations as module
from sadgr.train.studies.variations import ablations, sweep, units


@pytest.fixture
def full(small: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> FitRequest:
    """Heads of another width than the settings say, which read the other mean."""
    heads = SimpleNamespace(plan={"settings": {"audio_mean": "mean_words", "d_shared": 6}})
    monkeypatch.setattr(module, "load_heads", lambda _: heads)
    return FitRequest(FitConfig(), small, (1, 2), heads=Path("heads"))


def changed(full: FitRequest, other: FitRequest) -> list[str]:
    return sorted(line.split(":")[0] for line in differences(_json(full), _json(other)))


def _json(request: FitRequest) -> dict[str, Any]:
    return {**asdict(request), "heads": str(request.heads)}


def parameters(request: FitRequest) -> int:
    return sum(parameter.numel() for parameter in SADGR(request.model).parameters())


def test_each_ablation_changes_one_thing(full: FitRequest) -> None:
    found = {one.name: changed(full, one.request) for one in ablations(full)}
    assert found == {
        "full": [],
        # Width and mean are the heads', so that the full model has them as well: what differs is where its heads begin.
        "no-pretraining": ["audio_mean", "heads", "model.d_shared"],
        "no-contrastive": ["config.contrastive_weight"],
        "no-gate": ["model.gate"],
        "cross-attention": ["model.gate"],
        "frame-gate": ["model.gate"],
    }
    by_name = {one.name: one.request for one in ablations(full)}
    assert by_name["no-pretraining"].heads is None
    assert (by_name["no-pretraining"].audio_mean, by_name["no-pretraining"].model.d_shared) == ("mean_words", 6)
    assert by_name["no-contrastive"].config.contrastive_weight == 0
    gates = [by_name[name].model.gate for name in ("full", "no-gate", "cross-attention", "frame-gate")]
    assert gates == ["audio", "none", "attention", "frames"]


def test_parameters_are_those_of_the_parts(full: FitRequest, small: ModelConfig) -> None:
    count = {one.name: parameters(one.request) for one in ablations(full)}
    gate = (small.d_audio + 1) * small.gate_hidden + (small.gate_hidden + 1) * small.d_video
    attention = 2 * (small.d_video + 1) * small.d_video + 2 * (small.d_audio + 1) * small.d_video
    assert count["full"] - count["no-gate"] == gate
    assert count["cross-attention"] - count["no-gate"] == attention
    assert count["frame-gate"] == count["full"] == count["no-contrastive"]


def test_frozen_heads_are_learned_where_they_begin_at_random(full: FitRequest) -> None:
    frozen = {
        one.name: one.request.config.freeze_heads
        for one in ablations(replace(full, config=FitConfig(freeze_heads=True)))
    }
    assert frozen.pop("no-pretraining") is False and all(frozen.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": None}, "without pretrained heads .* run `sadgr-train pretrain CACHE OUT` first"),
        ({"config": FitConfig(contrastive_weight=0)}, "no contrastive loss to take away"),
        ({"model": ModelConfig(gate="none")}, "the full model has the audio gate, got none"),
    ],
)
def test_what_cannot_be_taken_away_is_refused(full: FitRequest, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        ablations(replace(full, **change))


def test_sweep_covers_the_figure_and_the_grid_and_runs_nothing_twice(full: FitRequest) -> None:
    variations, points = sweep(full)
    lambdas = [point.value for point in points if point.axis == "lambda"]
    assert (
        (min(lambdas), max(lambdas)) == (0.01, 1.0) and {0.1, 0.3, 0.5} <= set(lambdas) and lambdas == sorted(lambdas)
    )
    assert [point.value for point in points if point.axis == "gate layers"] == [1, 2, 3, 4]
    settings = [(one.request.config.contrastive_weight, one.request.model.gate_layers) for one in variations]
    assert len(set(settings)) == len(settings) == len({one.name for one in variations}) == len(points) - 1
    shared = [point.name for point in points if point.name == "lambda-0.1-layers-2"]
    assert len(shared) == 2  # lambda 0.1 and 2 layers are one run
    for one in variations:
        assert set(changed(full, one.request)) <= {"config.contrastive_weight", "model.gate_layers"}
    counts = [parameters(one.request) for one in sweep(full, (), (1, 2, 3, 4))[0]]
    hidden = full.model.gate_hidden * (full.model.gate_hidden + 1)
    assert counts[2] - counts[1] == counts[3] - counts[2] == hidden and counts[1] != counts[0]


@pytest.mark.parametrize("gate", ["none", "attention"])
def test_no_layers_to_vary_is_told(full: FitRequest, gate: str) -> None:
    with pytest.raises(TrainError, match=f"--gate {gate} has no layers to vary"):
        sweep(replace(full, model=replace(full.model, gate=gate)))


def test_units_come_seed_by_seed(full: FitRequest, tmp_path: Path) -> None:
    found = units(tmp_path, tmp_path / "study", ablations(full))
    assert [unit.seed for unit in found] == [1] * 6 + [2] * 6
    assert len(set(found)) == 12 and found[0].run == tmp_path / "study" / "full"
    assert str(found[6]) == "full, seed 2"
