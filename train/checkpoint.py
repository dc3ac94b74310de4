"""Files that training writes: safetensors and JSON, each replaced as a whole or not at all, never a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sadgr.cache.publish import replace
from sadgr.train.errors import TrainError


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON that people can read; NaN is refused."""
    replace(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        TrainError: No such file, or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TrainError(f"{path} is missing: give the folder that sadgr-train wrote") from error
    except (OSError, ValueError) as error:
        raise TrainError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise TrainError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    return value


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors, and text metadata in the same file so that both are always of one moment."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace(path, safetensors.torch.save(held, dict(metadata or {})))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata.

    Raises:
        TrainError: No such file, or not a whole safetensors file.
    """
    if not path.exists():
        raise TrainError(f"{path} is missing: give the folder that sadgr-train wrote")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise TrainError(f"{path} is no whole safetensors file: {error}") from error
