"""Finding and removing what should not be there: damaged shards, leftovers of writers that died."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sadgr.cache.errors import ShardGoneError, ShardInvalidError
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.publish import TEMPORARY_PREFIX, make_folder, unique_stem, writable
from sadgr.cache.shard import check_content, read_header
from sadgr.cache.shard_reader import ShardReader
from sadgr.cache.store import FeatureCache

QUARANTINE = "quarantine"
SNAPSHOTS = ".snapshots"
ABANDONED_HOURS = 24.0
"""Age from which a temporary file belongs to nobody: a shard is written in seconds."""


@dataclass(frozen=True)
class Checked:
    """One shard, its path below the cache, its size, and what is wrong with it: empty where nothing is."""

    shard: str
    size_bytes: int
    fault: str


def verify(cache: FeatureCache, workers: int = 4) -> Iterator[Checked]:
    """Hold every shard against its SHA-256 and its feature set; gives them as they are done.

    Args:
        cache: the cache.
        workers: threads that read at once.
    """
    work = [(one, path) for data in cache.datasets() for one in data.feature_sets() for path in one.shards()]

    def look(job: tuple[FeatureSet, Path]) -> Checked | None:
        one, path = job
        try:
            return Checked(str(path.relative_to(cache.path)), path.stat().st_size, fault_of(one, path))
        except FileNotFoundError:
            return None  # compacted away meanwhile

    with ThreadPoolExecutor(workers) as pool:
        yield from (checked for checked in pool.map(look, work) if checked is not None)


def fault_of(one: FeatureSet, path: Path) -> str:
    """Say what is wrong with a shard; empty where nothing is."""
    try:
        if read_header(path).featureset != one.fingerprint:
            return "belongs to another feature set"
        check_content(path)
        with ShardReader(path, one.fingerprint, one.modality) as shard:
            if not len(shard.ids) == len(shard.sources) == len(shard.present):
                return "its tables differ in length"
            for _ in shard.records(range(len(shard.ids))):  # whatever a reader would refuse, this refuses, too
                pass
    except ShardGoneError:
        return ""
    except (ShardInvalidError, ValueError) as error:
        return str(error)
    return ""


def repair(cache: FeatureCache, say: Callable[[str], None] = lambda _: None) -> list[Checked]:
    """Move damaged shards into their feature set's quarantine; the next extraction does what is then missing.

    Nothing is deleted: what a damaged file still holds may be wanted some day.

    Args:
        cache: the cache.
        say: told of each shard that is moved.

    Returns:
        The damaged shards.

    Raises:
        NotWritableError: a folder cannot be written.
    """
    damaged = []
    for checked in [checked for checked in verify(cache) if checked.fault]:
        path = cache.path / checked.shard
        if not os.access(path, os.R_OK):
            say(f"{checked.shard}: may not be read by you (permission denied), and stays where it is; ask its owner")
            continue
        damaged.append(checked)
        folder = path.parent / QUARANTINE
        with writable(folder):
            make_folder(folder)
            target = folder / path.name
            path.rename(target if not target.exists() else target.with_suffix(f".{secrets.token_hex(4)}.h5"))
        say(f"{checked.shard}: {checked.fault}; moved to {folder.relative_to(cache.path)}")
    return damaged


def leftovers(cache: FeatureCache, older_than_hours: float = ABANDONED_HOURS) -> list[Path]:
    """Return temporary files that no living writer can own, and snapshots of the trainer that nobody used; oldest first.

    Args:
        cache: the cache.
        older_than_hours: younger ones may be in use on some host.
    """
    limit = time.time() - 3600 * older_than_hours
    found: list[tuple[float, Path]] = []
    for path in (*cache.path.rglob(f"{TEMPORARY_PREFIX}*"), *cache.path.glob(f"*/{SNAPSHOTS}/*")):
        try:
            changed = path.lstat().st_mtime
        except FileNotFoundError:
            continue
        if changed < limit:
            found.append((changed, path))
    return [path for _, path in sorted(found)]


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_feature_set(one: FeatureSet) -> None:
    """Delete a feature set: it vanishes at once, then its files are removed.

    Raises:
        NotWritableError: the data set's folder cannot be written.
    """
    aside = one.path.with_name(f"{TEMPORARY_PREFIX}{unique_stem()}")
    with writable(one.path.parent):
        one.path.rename(aside)
        shutil.rmtree(aside)
