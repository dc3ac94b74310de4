"""A run as a folder of its own, that can be given away: safetensors, JSON and a card, and nothing of where it was trained."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sadgr.cache import file_sha256
from sadgr.cache.publish import TEMPORARY_PREFIX, make_folder, replace, unique_stem, writable
from sadgr.train.card import model_card
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError
from sadgr.train.predict import HEADS_FOLDER, load_run, seed_folder

CARD_FILE = "README.md"
_HERE_ALONE = ("cache", "files")
"""What a run's config.json says of the place where it stands."""


def export_run(run: Path, out: Path) -> None:
    """Write the models of all seeds, the heads they began with, settings, fingerprints, scores and a card into a new folder.

    The folder appears whole or not at all. Its config.json holds the SHA-256 of every other file; whoever reads it holds them
    against that.

    Args:
        run: A finished run, or a folder that was exported.
        out: A folder that does not exist, or is empty.

    Raises:
        TrainError: No finished run, or `out` holds other things.
    """
    _, _, config = load_run(run)
    metrics = read_json(run / "metrics.json")
    with _appearing(out) as folder:
        for seed in config["seeds"]:
            target = seed_folder(folder, seed)
            target.mkdir()
            for name in ("model.safetensors", "metrics.json"):
                _copy(seed_folder(run, seed) / name, target / name)
        if config["heads"]:
            _copy_heads(run / HEADS_FOLDER, folder / HEADS_FOLDER)
        write_json(folder / "metrics.json", metrics)
        told = {key: value for key, value in config.items() if key not in _HERE_ALONE}
        told["encoders"] = without_paths(told.get("encoders", {}))
        replace(folder / CARD_FILE, model_card(told, metrics).encode())
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
        write_json(folder / "config.json", {**told, "files": digests})


def without_paths(value: Any) -> Any:
    """Leave out of JSON what names a place on this machine: every value that is an absolute path."""
    if isinstance(value, Mapping):
        return {key: without_paths(one) for key, one in value.items() if not _is_path(one)}
    if isinstance(value, list):
        return [without_paths(one) for one in value if not _is_path(one)]
    return value


def _is_path(value: object) -> bool:
    return isinstance(value, str) and (value.startswith(("/", "~", "\\\\", "file:")) or value[1:3] == ":\\")


def _copy_heads(source: Path, target: Path) -> None:
    """Copy the heads that a run keeps; their JSON without what belongs to the place where they were pretrained."""
    target.mkdir()
    plan = read_json(source / "heads.json")
    told = {key: without_paths(value) for key, value in plan.items() if key not in _HERE_ALONE}
    write_json(target / "heads.json", told)
    _copy(source / "heads.safetensors", target / "heads.safetensors")


def _copy(source: Path, target: Path) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise TrainError(f"{source} cannot be read ({error.strerror}): the run is not whole") from error
    replace(target, content)


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Give a folder beside `out`, which takes its name when the block ends well, and is gone when it does not."""
    if out.exists() and any(out.iterdir()):
        raise TrainError(f"{out} is not empty: export into a new folder")
    parent = out.resolve().parent
    with writable(parent):
        make_folder(parent)
        aside = parent / f"{TEMPORARY_PREFIX}{unique_stem()}"
        aside.mkdir()
    try:
        yield aside
        with writable(parent):
            aside.rename(out.resolve())  # in the place of an empty folder, too
    finally:
        shutil.rmtree(aside, ignore_errors=True)
