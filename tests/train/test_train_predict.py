"""What a model says of clips, and what a run's folder holds of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from sadgr.cache import ClipFeatures
from sadgr.train.apply import run_predict
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.config import FitConfig, Gate, ModelConfig
from sadgr.train.data import Clips, clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.jobs import run_fit
from sadgr.train.models.sadgr import SADGR
from sadgr.train.opened import Source
from sadgr.train.predict import load_run, predict
from sadgr.train.request import FitRequest

pytestmark = pytest.mark.usefixtures("without_figures")

Make = Callable[..., ClipFeatures]
GATES: tuple[Gate, ...] = ("audio", "none", "attention", "frames")


@pytest.mark.parametrize("gate", GATES)
def test_predictions_come_in_the_clips_order_whatever_the_batches(
    gate: Gate, small: ModelConfig, make_clip: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = SADGR(replace(small, gate=gate, n_outputs=2))
    tensors = [clip_tensors(make_clip(str(i), i, 1 + 7 * i % 9, 1 + i % 4), small) for i in range(11)]
    alone = [predict(model, Clips([clip])) for clip in tensors]
    assert not model.training
    monkeypatch.setattr("sadgr.train.predict.BATCH_CLIPS", 3)
    found = predict(model, Clips(tensors))
    torch.testing.assert_close(found.outputs, torch.cat([one.outputs for one in alone]), atol=1e-6, rtol=0)
    if gate in ("none", "attention"):
        assert found.gate_mean is None
        return
    gates = [model(Clips([clip]).batch([0])).gate.mean() for clip in tensors]
    assert found.gate_mean is not None
    torch.testing.assert_close(found.gate_mean, torch.stack(gates).detach(), atol=1e-6, rtol=0)


def silent(_: str) -> None:
    """Take a log line."""


@pytest.fixture
def cache(labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]], write_cache: Callable[..., Path]) -> Path:
    return write_cache(*labelled(18))


def fitted(cache: Path, run: Path, model: ModelConfig, seeds: tuple[int, ...]) -> list[dict[str, torch.Tensor]]:
    """Outputs of each seed by split, as training left them."""
    request = FitRequest(FitConfig(epochs=1, batch_size=8), model, seeds)
    results = run_fit(cache, run, request, lambda: False, silent)
    return [{split: found.outputs[:, 0] for split, found in result.predicted.items()} for result in results]


@pytest.mark.parametrize(
    ("gate", "seeds"), [("audio", (1, 2, 3)), ("audio", (7,)), ("frames", (1, 2)), ("none", (1, 2))]
)
def test_a_run_predicts_what_training_saw(
    gate: Gate, seeds: tuple[int, ...], cache: Path, small: ModelConfig, tmp_path: Path
) -> None:
    trained = fitted(cache, tmp_path / "run", replace(small, gate=gate), seeds)
    rows, without = run_predict(tmp_path / "run", Source(cache), silent)
    assert len(rows) == 18 and not without
    columns = {"clip_id", "prediction", "class_7", "polarity"}
    columns |= {"low", "high"} if len(seeds) > 1 else set()
    columns |= {"gate_mean"} if gate != "none" else set()
    assert all(set(row) == columns for row in rows)
    by_id = {row["clip_id"]: row for row in rows}
    for split in ("train", "valid", "test"):
        seen = pd.read_csv(tmp_path / f"run/seed-{seeds[0]}/predictions.csv")
        ids = seen.loc[seen["split"] == split, "clip_id"]
        outputs = torch.stack([one[split] for one in trained])  # (seeds, n)
        for clip_id, values in zip(ids, outputs.T, strict=True):
            row = by_id[clip_id]
            assert row["prediction"] == pytest.approx(float(values.mean()), abs=1e-5)
            if len(seeds) > 1:
                assert row["low"] == pytest.approx(float(values.min()), abs=1e-5)
                assert row["high"] == pytest.approx(float(values.max()), abs=1e-5)
                assert float(row["low"]) < float(row["high"])
    assert all(0 < float(row.get("gate_mean", 0.5)) < 1 for row in rows)


def test_each_seed_s_model_is_read_back(cache: Path, small: ModelConfig, tmp_path: Path) -> None:
    trained = fitted(cache, tmp_path / "run", small, (5, 6))
    models, widths, config = load_run(tmp_path / "run")
    assert config["seeds"] == [5, 6] and not any(model.training for model in models)
    assert models[0].config == small and (widths.d_text, widths.n_outputs, widths.n_train) == (small.d_text, 1, 12)
    one, other = (dict(model.named_parameters()) for model in models)
    assert not torch.equal(one["head.weight"], other["head.weight"])
    assert not torch.equal(trained[0]["test"], trained[1]["test"])


def test_damaged_run_is_named(cache: Path, small: ModelConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fitted(cache, run, small, (5,))
    config, metrics = read_json(run / "config.json"), run / "metrics.json"
    metrics.rename(tmp_path / "kept")
    with pytest.raises(TrainError, match="is unfinished: start the same sadgr-train fit again"):
        load_run(run)
    (tmp_path / "kept").rename(metrics)
    write_json(
        run / "config.json",
        {**config, "model": {**config["model"], "settings": {**config["model"]["settings"], "d_model": 99}}},
    )
    with pytest.raises(TrainError, match=r"seed-5.model\.safetensors does not fit its run's config\.json"):
        load_run(run)
    write_json(run / "config.json", {**config, "model": {"name": "sadgr"}})
    with pytest.raises(TrainError, match="does not describe a model of this version"):
        load_run(run)
    write_json(run / "config.json", config)
    weights = run / "seed-5/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainError, match="no whole safetensors file"):
        load_run(run)
    weights.unlink()
    with pytest.raises(TrainError, match=r"model\.safetensors is missing"):
        load_run(run)
    with pytest.raises(TrainError, match=r"nowhere.config\.json is missing"):
        load_run(tmp_path / "nowhere")
