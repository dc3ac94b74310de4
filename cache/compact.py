"""Merging small shards into few large ones, while others read and write."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sadgr.cache.errors import CacheError, ShardGoneError
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.index import Index
from sadgr.cache.publish import MERGED, Method, publish, shard_names, size_of, writable
from sadgr.cache.schema import ClipRecord
from sadgr.cache.shard import check_content, encode_shard
from sadgr.cache.shard_reader import ShardReader

LARGE_BYTES = 128 * 2**20
LARGE_CLIPS = 65_536
"""A shard of this size, or of so many clips, is left as it is where nothing in it was superseded."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: shards and bytes before and after."""

    shards_before: int
    shards_after: int
    bytes_before: int
    bytes_after: int


def compact(one: FeatureSet, method: Method, progress: Callable[[str], None] = lambda _: None) -> Compacted:
    """Merge a feature set's small shards and drop records that later ones superseded.

    A merged shard holds only records that count today, and its name sorts right after that of its newest part: it takes
    precedence over all it replaces, and over nothing that is written meanwhile. Its parts are taken away only once it is
    on disk and was read back whole. Two compactions at once, or one that is killed, leave doubled records, never lost ones.

    Args:
        one: the feature set.
        method: how files are published here.
        progress: told of each merged shard.

    Raises:
        ShardInvalidError: a shard to be merged is damaged; repair the cache first.
        NotWritableError: the folder cannot be written.
    """
    before = _sizes(one)
    index = one.entries().index
    if one.invalid:
        raise CacheError(f"{one.name} has damaged shards ({next(iter(one.invalid))}); run `sadgr-cache repair` first")
    made = set(index.shards)
    for group in _groups(one, index, before):
        try:
            records = [record for name in group for record in _live(one, index, name)]
        except ShardGoneError:  # another compaction was here first
            continue
        merged = one.path / f"{group[-1].removesuffix('.h5').split(MERGED)[0]}{MERGED}{secrets.token_hex(4)}.h5"
        if records:
            publish(merged, encode_shard(one.spec, records), method)
            try:
                check_content(merged)
            except ShardGoneError:  # another compaction has merged it already, and takes the parts away
                continue
            made.add(merged.name)
            # A writer that named its shard before this one, and published it after the look at the folder, has newer
            # records than these: they must not supersede it. Writers look in the same way after they publish.
            if any(name < merged.name and name not in made for name in shard_names(one.path)):
                with writable(one.path):
                    merged.unlink(missing_ok=True)
                continue
            progress(f"{one.name}: {len(group)} shards -> {merged.name}, {len(records)} clips")
        with writable(one.path):
            for name in group:
                (one.path / name).unlink(missing_ok=True)
    after = _sizes(one)
    return Compacted(len(before), len(after), sum(before.values()), sum(after.values()))


def _sizes(one: FeatureSet) -> dict[str, int]:
    """Bytes of each shard; one that vanishes meanwhile counts nothing."""
    return {path.name: size for path in one.shards() if (size := size_of(path)) is not None}


def _groups(one: FeatureSet, index: Index, sizes: dict[str, int]) -> Iterator[Sequence[str]]:
    """Give runs of shards that are worth merging, in their order; a large one with superseded records is one itself."""
    live = np.bincount(index.shard, minlength=len(index.shards))
    group: list[str] = []
    group_bytes = group_clips = 0
    for number, name in enumerate(index.shards):
        size, clips = sizes.get(name, 0), int(live[number])
        full = size >= LARGE_BYTES // 2 or clips >= LARGE_CLIPS // 2
        if full or group_bytes + size > LARGE_BYTES or group_clips + clips > LARGE_CLIPS:
            if len(group) > 1:
                yield group
            group, group_bytes, group_clips = [], 0, 0
        if full and clips < _rows(one, name):
            yield [name]
        if not full:
            group.append(name)
            group_bytes, group_clips = group_bytes + size, group_clips + clips
    if len(group) > 1:
        yield group


def _rows(one: FeatureSet, name: str) -> int:
    try:
        with ShardReader(one.path / name, one.fingerprint, one.modality) as shard:
            return len(shard.present)
    except ShardGoneError:
        return 0


def _live(one: FeatureSet, index: Index, name: str) -> Iterator[ClipRecord]:
    """Give the records of a shard that count."""
    rows = np.sort(index.row[index.shard == index.shards.index(name)]).tolist()
    with ShardReader(one.path / name, one.fingerprint, one.modality) as shard:
        yield from shard.records(rows)
