"""A folder that belongs to one training: what it was made of, and that nothing else is mixed in."""

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import sadgr.cache
from sadgr.cache.settings_diff import differences
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError


def versions() -> dict[str, str]:
    """Versions that numbers may depend on."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("sadgr", "torch", "numpy", "safetensors")
    }


def computing_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def machine() -> dict[str, str | int]:
    """What else the last digits of numbers may depend on: the device and the threads that share a sum."""
    device = computing_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": device.type, "processor": name, "threads": torch.get_num_threads()}


@cache
def git_state() -> dict[str, str | bool] | None:
    """Commit of the code and whether it was changed since; None where it is no git checkout."""
    git, code = shutil.which("git"), Path(__file__).resolve().parent
    folders = [str(code), str(Path(sadgr.cache.__file__).resolve().parent)]

    def ask(*arguments: str) -> str | None:
        told = subprocess.run([str(git), "-C", str(code), *arguments], capture_output=True, text=True, check=False)
        return told.stdout.strip() if told.returncode == 0 else None

    # Installed somewhere below another project's checkout, the code is none of that project's files.
    if git is None or ask("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit, changed = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "--", *folders)
    return None if commit is None else {"commit": commit, "dirty": changed != ""}


def claim(file: Path, plan: Mapping[str, Any], information: Mapping[str, Any] | None = None) -> None:
    """Write what a training is made of into its folder, or hold it against what stands there.

    Args:
        file: JSON file in the folder; further keys in it are left out of the comparison.
        plan: JSON-able; settings, data and their fingerprints.
        information: JSON-able; kept beside it, with versions, machine and git's state, and never compared.

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
        told = {**(information or {}), "versions": versions(), "machine": machine(), "git": git_state()}
        write_json(file, {**plan, **told})
    except OSError as error:
        raise TrainError(f"{folder} cannot be written: {error.strerror}") from error
