"""Outputs of a model, and the models of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sadgr.cache import file_sha256
from sadgr.cache.publish import replace
from sadgr.train.batch import Batch
from sadgr.train.checkpoint import read_json, read_tensors
from sadgr.train.config import Widths
from sadgr.train.data import Clips
from sadgr.train.errors import TrainError
from sadgr.train.models.registry import Described, from_json

BATCH_CLIPS = 128
HEADS_FOLDER = "heads"
"""Of a run: the pretrained heads that it began with, so that it can be trained again where they are gone."""
_HEADS_FILES = ("heads.safetensors", "heads.json")


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
def predict(model: nn.Module, clips: Clips, change: Callable[[Batch], Batch] | None = None) -> Predicted:
    """Predict clips in their order. Leaves the model in evaluation mode.

    Args:
        model: A model of this package.
        clips: At least one.
        change: What is done to each batch before the model sees it; None for nothing.
    """
    model.eval()
    order = np.argsort(clips.words, kind="stable")  # like lengths together
    outputs, gates = [], []
    for start in range(0, len(clips), BATCH_CLIPS):
        batch = clips.batch(order[start : start + BATCH_CLIPS])
        output = model(batch if change is None else change(batch))
        outputs.append(output.prediction.cpu())
        if output.gate is not None:
            means = output.gate.mean(dim=1, keepdim=True)
            gates.append((means if len(means) == len(batch.words) else batch.frames.mean(means))[:, 0].cpu())
    back = torch.from_numpy(np.argsort(order))
    return Predicted(torch.cat(outputs)[back], torch.cat(gates)[back] if gates else None)


def load_run(folder: Path) -> tuple[list[nn.Module], Widths, dict[str, Any]]:
    """Read a finished run: the best model of each seed, in evaluation mode, what its data decided, and its config.json.

    Args:
        folder: Of sadgr-train fit, or of sadgr-train export.

    Raises:
        TrainError: No run there, one that is unfinished, or files that do not belong together.
    """
    config = read_json(folder / "config.json")
    if not (folder / "metrics.json").exists():
        raise TrainError(f"{folder} is unfinished: start the same sadgr-train fit again first")
    require_unchanged(folder, config.get("files", {}))
    model = from_json(config.get("model"), str(folder / "config.json"))
    return [_load(seed_folder(folder, seed), model) for seed in config["seeds"]], model.widths, config


def require_unchanged(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a folder whose files are no longer what its export wrote; a damaged weight would else be read silently.

    Args:
        folder: The exported one.
        files: Path within it -> SHA-256, as its config.json says; a run that is still where it was trained has none.

    Raises:
        TrainError: A file is missing or was changed.
    """
    for name, digest in files.items():
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise TrainError(f"{folder / name} is missing: copy the exported folder as a whole") from error
        if found != digest:
            raise TrainError(f"{folder / name} is not what was exported: copy it again, or export it anew")


def keep_heads(source: Path, target: Path) -> None:
    """Copy pretrained heads into a run."""
    try:
        target.mkdir(exist_ok=True)
        for name in _HEADS_FILES:
            replace(target / name, (source / name).read_bytes())
    except OSError as error:
        raise TrainError(f"heads cannot be copied from {source} to {target}: {error.strerror}") from error


def seed_folder(run: Path, seed: int) -> Path:
    """Where a run keeps what belongs to one seed."""
    return run / f"seed-{seed}"


def _load(folder: Path, described: Described) -> nn.Module:
    model = described.build()
    tensors, _ = read_tensors(folder / "model.safetensors")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainError(f"{folder / 'model.safetensors'} does not fit its run's config.json: {error}") from error
    return model.eval()
