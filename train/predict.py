"""Outputs of a model, and the models of a run."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sadgr.train.checkpoint import read_json, read_tensors
from sadgr.train.config import ModelConfig
from sadgr.train.data import Clips
from sadgr.train.errors import TrainError
from sadgr.train.model import SADGR

BATCH_CLIPS = 128


@dataclass(frozen=True)
class Predicted:
    """What a model says of n clips.

    Attributes:
        outputs: (n, O) on the CPU.
        gate_mean: (n,) mean of each clip's gate; None where the model has none.
    """

    outputs: Tensor
    gate_mean: Tensor | None


@torch.no_grad()
def predict(model: SADGR, clips: Clips) -> Predicted:
    """Predict clips in their order. Leaves the model in evaluation mode."""
    model.eval()
    order = np.argsort(clips.words, kind="stable")  # like lengths together
    outputs, gates = [], []
    for start in range(0, len(clips), BATCH_CLIPS):
        batch = clips.batch(order[start : start + BATCH_CLIPS])
        output = model(batch)
        outputs.append(output.prediction.cpu())
        if output.gate is not None:
            means = output.gate.mean(dim=1, keepdim=True)
            gates.append((means if len(means) == len(batch.words) else batch.frames.mean(means))[:, 0].cpu())
    back = torch.from_numpy(np.argsort(order))
    if not outputs:
        return Predicted(torch.zeros(0, model.config.n_outputs), None)
    return Predicted(torch.cat(outputs)[back], torch.cat(gates)[back] if gates else None)


def load_run(folder: Path) -> tuple[list[SADGR], dict[str, Any]]:
    """Read a finished run: the best model of each seed, in evaluation mode, and its config.json.

    Raises:
        TrainError: No run there, one that is unfinished, or files that do not belong together.
    """
    config = read_json(folder / "config.json")
    if not (folder / "metrics.json").exists():
        raise TrainError(f"{folder} is unfinished: start the same sadgr-train fit again first")
    known = {field.name for field in fields(ModelConfig)}
    widths = config.get("model")
    if not isinstance(widths, dict) or set(widths) != known:
        raise TrainError(f"{folder / 'config.json'} does not describe a model of this version")
    return [_load(seed_folder(folder, seed), ModelConfig(**widths)) for seed in config["seeds"]], config


def seed_folder(run: Path, seed: int) -> Path:
    """Where a run keeps what belongs to one seed."""
    return run / f"seed-{seed}"


def _load(folder: Path, config: ModelConfig) -> SADGR:
    model = SADGR(config)
    tensors, _ = read_tensors(folder / "model.safetensors")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainError(f"{folder / 'model.safetensors'} does not fit its run's config.json: {error}") from error
    return model.eval()
