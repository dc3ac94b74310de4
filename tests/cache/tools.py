"""What tests of a cache's upkeep share: commands, and what is in shards, seen from outside."""

import hashlib

import numpy as np
import pandas as pd
from click.testing import CliRunner

from sadgr.cache import (
    FeatureSet,
)
from sadgr.cache.cli import main
from sadgr.cache.shard_reader import ShardReader


def labels(ids, **columns):
    return pd.DataFrame({"mode": "train", "text": "so it goes", **columns}, index=pd.Index(list(ids), name="id"))


def run(*arguments, answer=None):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def logical(feature_set) -> str:
    """SHA-256 over ids, sources, keys, shapes and bytes, whatever the shards."""
    one, digest = FeatureSet(feature_set.path), hashlib.sha256()
    for clip_id in sorted(one.entries()):
        digest.update(f"{clip_id!r} {one.entries()[clip_id].source}".encode())
        for name, array in sorted((one.read(clip_id) or {"absent": np.zeros(0)}).items()):
            digest.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()


def ids_in(feature_set) -> list[str]:
    """Every record's id, superseded ones as well."""
    found = []
    for path in feature_set.shards():
        with ShardReader(path, feature_set.fingerprint, feature_set.modality) as shard:
            found += shard.ids
    return found


def flip(path, place, bit=1):
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


def place_of_data(path, record, name="words"):
    return path.read_bytes().index(record.arrays[name].astype(np.float16).tobytes())
