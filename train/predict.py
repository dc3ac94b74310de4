"""Scores from a model, and a model from a run."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sadgr.train.checkpoint import read_json, read_tensors
from sadgr.train.config import ModelConfig
from sadgr.train.data import ClipTensors, collate
from sadgr.train.errors import TrainError
from sadgr.train.model import SADGR

BATCH_CLIPS = 128


@torch.no_grad()
def predict(model: SADGR, clips: Sequence[ClipTensors]) -> Tensor:
    """Predict clips in their order: (n,) float32 on the CPU. Leaves the model in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    parts = [
        model(collate(clips[start : start + BATCH_CLIPS]).to(device)).prediction.squeeze(-1).cpu()
        for start in range(0, len(clips), BATCH_CLIPS)
    ]
    return torch.cat(parts) if parts else torch.zeros(0)


def load_run(folder: Path) -> tuple[SADGR, dict[str, Any]]:
    """Read a finished run: its best model, in evaluation mode, and its config.json.

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
    model = SADGR(ModelConfig(**widths))
    tensors, _ = read_tensors(folder / "model.safetensors")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainError(f"{folder / 'model.safetensors'} does not fit its config.json: {error}") from error
    return model.eval(), config
