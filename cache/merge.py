"""Two labs' caches become one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pandas as pd

from sadgr.cache.errors import ShardInvalidError
from sadgr.cache.feature_set import FeatureSet, create_feature_set
from sadgr.cache.labels import write_labels
from sadgr.cache.media_paths import SUFFIX as MEDIA
from sadgr.cache.publish import Method, make_folder, publish, writable
from sadgr.cache.runlog import RUNS
from sadgr.cache.store import Dataset, FeatureCache
from sadgr.cache.upkeep import fault_of


@dataclass(frozen=True)
class Merged:
    """What came over: shards, bytes, and ids whose labels differ in the two, where those of the target were kept."""

    shards: int
    bytes: int
    kept_labels: Sequence[str]


def merge(
    target: FeatureCache,
    other: FeatureCache,
    method: Method,
    select: Sequence[str] = ("*",),
    say: Callable[[str], None] = lambda _: None,
) -> Merged:
    """Bring another cache's feature sets, labels, run logs and paths of media into this one; the other is only read.

    Shards keep their names, so merging twice brings nothing twice; where both have a clip, the later record counts.

    Args:
        target: takes everything.
        other: is read.
        method: how files are published in the target.
        select: patterns of `DATASET/FEATURE_SET`, such as `mosi/*` or `*/audio-*`.
        say: told of each feature set.

    Raises:
        ShardInvalidError: a shard of the other cache is damaged; nothing of that shard is taken.
        NotWritableError: the target cannot be written.
    """
    shards = size = 0
    kept: list[str] = []
    for data in other.datasets():
        chosen = [one for one in data.feature_sets() if _matches(f"{data.name}/{one.name}", select)]
        if not chosen:
            continue
        here = target.create_dataset(data.name)
        kept += _merge_labels(here, data)
        for one in chosen:
            count, bytes_ = _merge_shards(create_feature_set(here.path, one.spec), one, method)
            shards, size = shards + count, size + bytes_
            say(f"{data.name}/{one.name}: {count} shards, {bytes_ / 1e6:.1f} MB")
    if shards:
        _merge_logs(target, other, method)
    return Merged(shards, size, kept)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) or pattern == "*" for pattern in patterns)


def _merge_labels(here: Dataset, data: Dataset) -> list[str]:
    """Add rows that this data set lacks; gives the ids of rows that differ, which stay as they are here."""
    theirs = data.labels()
    if not (here.path / "labels.csv").exists():
        write_labels(here.path, theirs)
        return []
    ours = here.labels()
    shared = ours.index.intersection(theirs.index)
    columns = ours.columns.intersection(theirs.columns)
    differing = pd.Series(False, index=shared)
    for column in columns:
        differing |= _differ(ours.loc[shared, column], theirs.loc[shared, column])
    write_labels(here.path, theirs.loc[theirs.index.difference(ours.index, sort=False)])
    return list(shared[differing])


def _differ(left: pd.Series, right: pd.Series) -> pd.Series:
    """Compare a column; 1 and 1.0 are the same number, and so are two missing ones."""
    if pd.api.types.is_numeric_dtype(left) and pd.api.types.is_numeric_dtype(right):
        return (left != right) & ~(left.isna() & right.isna())
    return left.astype(str) != right.astype(str)


def _merge_shards(here: FeatureSet, one: FeatureSet, method: Method) -> tuple[int, int]:
    known = {path.name for path in here.shards()}
    count = size = 0
    for path in one.shards():
        if path.name not in known:
            if fault := fault_of(one, path):
                raise ShardInvalidError(f"{path} is not taken: {fault}; repair the other cache first")
            content = path.read_bytes()
            publish(here.path / path.name, content, method)
            count, size = count + 1, size + len(content)
    return count, size


def _merge_logs(target: FeatureCache, other: FeatureCache, method: Method) -> None:
    folder = target.path / RUNS
    with writable(folder):
        make_folder(folder)
    for log in sorted(path for kind in ("*.jsonl", f"*{MEDIA}") for path in (other.path / RUNS).glob(kind)):
        if not (folder / log.name).exists():
            publish(folder / log.name, log.read_bytes(), method)
