"""A folder that belongs to one training: what it was made of, and that nothing else is mixed in."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sadgr.cache.settings_diff import differences
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError


def versions() -> dict[str, str]:
    """Versions that numbers may depend on."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("sadgr", "torch", "numpy", "safetensors")
    }


def claim(file: Path, plan: Mapping[str, Any]) -> None:
    """Write what a training is made of into its folder, or hold it against what stands there.

    Args:
        file: JSON file in the folder; further keys in it are left out of the comparison.
        plan: JSON-able; settings, data and their fingerprints.

    Raises:
        TrainError: The folder belongs to another training, or to something else altogether.
    """
    folder = file.parent
    plan = json.loads(json.dumps(plan))  # as it comes back: tuples are lists by then
    if file.exists():
        before = read_json(file)
        changed = differences({key: before.get(key) for key in plan}, plan)
        if changed:
            listed = "\n  ".join(changed)
            raise TrainError(f"{folder} was begun with other settings or data; choose another folder\n  {listed}")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise TrainError(f"{folder} is not empty and holds no {file.name}: choose a new folder")
        write_json(file, {**plan, "versions": versions()})
    except OSError as error:
        raise TrainError(f"{folder} cannot be written: {error.strerror}") from error
