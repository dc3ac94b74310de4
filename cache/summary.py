"""What a cache holds, in numbers: for `sadgr-cache` and for scripts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sadgr.cache.errors import SelectionError
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.labels import SPLITS
from sadgr.cache.publish import size_of
from sadgr.cache.schema import Array
from sadgr.cache.store import Dataset


def describe_feature_set(one: FeatureSet) -> dict[str, Any]:
    """Return name, modality, clips with and without the modality, shards and bytes of a feature set."""
    entries = one.entries()
    return {
        "name": one.name,
        "modality": one.modality,
        "model": one.spec.model,
        "fingerprint": one.fingerprint,
        "clips": len(entries),
        "absent": len(entries) - entries.present_count(),
        "shards": len(one.shards()),
        "invalid_shards": dict(one.invalid),
        "bytes": sum(size_of(path) or 0 for path in one.shards()),
        "about": dict(one.spec.about),
        "settings": dict(one.spec.settings),
    }


def describe_dataset(data: Dataset) -> dict[str, Any]:
    """Return clips a split, hours of speech that word times cover, and every feature set of a data set."""
    labels = data.labels()
    splits: Mapping[str, int] = dict(labels["mode"].value_counts()) if "mode" in labels else {"": len(labels)}
    return {
        "name": data.name,
        "clips": len(labels),
        "splits": {split: int(splits.get(split, 0)) for split in (*SPLITS, "")},
        "speech_hours": _speech_seconds(data) / 3600,
        "feature_sets": [describe_feature_set(one) for one in data.feature_sets()],
    }


def describe_clip(data: Dataset, clip_id: str) -> dict[str, Any]:
    """Return a clip's labels, words with times, and shape, norm and range of each of its arrays.

    Raises:
        SelectionError: neither the labels nor any feature set know the clip.
    """
    labels = data.labels()
    holding = [one for one in data.feature_sets() if clip_id in one.entries()]
    if clip_id not in labels.index and not holding:
        raise SelectionError(f"{data.name} has no clip {clip_id!r}; `sadgr-cache ls CACHE --clips` lists them")
    row = labels.loc[clip_id].to_dict() if clip_id in labels.index else {}
    return {
        "id": clip_id,
        "dataset": data.name,
        "labels": {key: value for key, value in row.items() if value == value},  # NaN differs from itself
        "feature_sets": {one.name: _describe_arrays(one, clip_id) for one in holding},
    }


def _describe_arrays(one: FeatureSet, clip_id: str) -> dict[str, Any]:
    entry = one.entries()[clip_id]
    arrays = one.read(clip_id)
    about: dict[str, Any] = {"present": entry.present, "source": entry.source, "shard": entry.shard}
    if arrays is not None and one.modality == "words":
        about["words"] = _words(arrays)
    elif arrays is not None:
        about["arrays"] = {name: _statistics(array) for name, array in arrays.items()}
    return about


def _words(arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    columns = {name: array.tolist() for name, array in arrays.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _statistics(array: Array) -> dict[str, Any]:
    about: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.size:
        numbers = array.astype(np.float64)
        about |= {"min": float(numbers.min()), "max": float(numbers.max())}
        about["rms"] = float(np.sqrt(np.mean(numbers**2)))
    return about


def _speech_seconds(data: Dataset) -> float:
    sets = data.feature_sets("words")
    if not sets:
        return 0.0
    latest = [one.read(clip_id) for one in sets[:1] for clip_id in one.entries()]
    return float(sum(arrays["end"].max() for arrays in latest if arrays is not None and arrays["end"].size))
