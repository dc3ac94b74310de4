"""Reading MMSA's pickles into a cache."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sadgr.cache.doors.mmsa_pickle import load_plain
from sadgr.cache.doors.report import Arrays, Content, Part
from sadgr.cache.errors import CacheError, RefusedValueError
from sadgr.cache.identity import file_sha256
from sadgr.cache.labels import SPLITS
from sadgr.cache.schema import Array

KEYS = {"text": "text", "audio": "audio", "video": "vision"}
"""The cache's modalities and MMSA's keys."""


@dataclass(frozen=True)
class _Split:
    """One split of the file: `keys` as they are there, the ids, and whether its modalities share one axis."""

    keys: Mapping[str, Any]
    ids: list[str]
    aligned: bool


def read_mmsa(path: Path, modality: str | None = None) -> Content:
    """Read a pickle of MMSA's, aligned or unaligned; nothing in it is run (see `mmsa_pickle`).

    Unaligned (it has `audio_lengths`, or its modalities differ in length): audio and vision become `frames`, text
    `tokens` with `input_ids` where `text_bert` is there, else `words`. Lengths are authoritative; rows past them are
    dropped, whatever they hold. Aligned: all three become `words`, on one axis, with `input_ids` where they are there.

    Without lengths, padding is what `text_bert`'s attention mask leaves out, else the rows at the end that are zero (in
    an aligned file: zero in all three modalities). A modality that is zero all through a clip is one that it lacks.

    Args:
        path: the pickle.
        modality: read this one alone; None reads all that are there.

    Raises:
        CacheError: not such a file; the message says what is missing or which class it named.
    """
    data = load_plain(path)
    if not isinstance(data, dict) or not any(split in data for split in SPLITS):
        raise CacheError(f"{path} is no MMSA pickle: expected a dict of {', '.join(SPLITS)}")
    splits = {split: _split(path, split, data[split]) for split in SPLITS if split in data}
    aligned = all(one.aligned for one in splits.values())
    present = [m for m, key in KEYS.items() if any(key in one.keys for one in splits.values())]
    wanted = [m for m in present if modality in (None, m)]
    if not wanted:
        raise CacheError(
            f"{path} has no {KEYS.get(modality or '', 'text, audio or vision')!r}; it has {', '.join(present)}"
        )
    for name, one in splits.items():
        _check(path, name, one, present)
    labels = pd.concat([_labels(path, name, one) for name, one in splits.items()])
    about = {"layout": "aligned" if aligned else "unaligned", "padding_found_by": _padding_rule(splits, aligned)}
    parts = tuple(Part(m, KEYS[m], list(_clips(splits, m, aligned)), about) for m in wanted)
    return Content("mmsa", file_sha256(path), path.name, labels, parts)


def _split(path: Path, name: str, keys: Any) -> _Split:
    if not isinstance(keys, dict) or "id" not in keys:
        raise CacheError(f"{path}: {name!r} is no dict with a list `id`")
    ids = [_text(one) for one in _list(keys["id"])]
    lengths = {np.shape(keys[key])[1] for key in KEYS.values() if key in keys and np.ndim(keys[key]) == 3}
    return _Split(keys, ids, not {"audio_lengths", "vision_lengths"} & keys.keys() and len(lengths) <= 1)


def _list(value: Any) -> list[Any]:
    return list(value.tolist()) if isinstance(value, np.ndarray) else list(value)


def _text(value: Any) -> str:
    """Old files hold an id or a text as a list of one, or as bytes."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if not isinstance(value, str | int):
        raise CacheError(f"{value!r} where an id or a text was expected")
    return str(value)


def _check(path: Path, name: str, split: _Split, present: list[str]) -> None:
    """Make sure that every array has one row a clip and the number of dimensions that MMSA gives it."""
    ndim = {KEYS[m]: 3 for m in present} | {"text_bert": 3, "audio_lengths": 1, "vision_lengths": 1}
    for key, expected in ndim.items():
        if key not in split.keys:
            if key in KEYS.values():
                raise CacheError(f"{path}: {name!r} has no {key!r}, which the other splits have")
            continue
        array = np.asarray(split.keys[key])
        if array.ndim != expected or len(array) != len(split.ids) or array.dtype.kind not in "biuf":
            raise CacheError(
                f"{path}: {name}/{key} is {array.dtype} {array.shape}; expected numbers, {expected} dimension(s), "
                f"{len(split.ids)} rows (one an id)"
            )


def _padding_rule(splits: Mapping[str, _Split], aligned: bool) -> str:
    rules = "the text_bert mask" if all("text_bert" in one.keys for one in splits.values()) else "zero rows at the end"
    return rules if aligned else f"lengths for audio and vision where given, {rules} for text"


def _clips(
    splits: Mapping[str, _Split], modality: str, aligned: bool
) -> Iterator[tuple[str, Arrays | CacheError | None]]:
    for split in splits.values():
        lengths = _lengths(split, modality, aligned)
        block = np.asarray(split.keys[KEYS[modality]])
        for place, clip_id in enumerate(split.ids):
            yield clip_id, _clip(split, modality, aligned, place, block[place], lengths[place])


def _clip(
    split: _Split, modality: str, aligned: bool, place: int, rows: Array, length: int
) -> Arrays | CacheError | None:
    if not 0 <= length <= len(rows):
        return RefusedValueError(
            f"clip {split.ids[place]!r}: {KEYS[modality]} length {length}, but {len(rows)} rows stand there"
        )
    kept = rows[:length]
    # What is not finite is not absent; the cache refuses it by name.
    if not kept.any():
        return None
    bert = modality == "text" and "text_bert" in split.keys
    name = "words" if aligned or (modality == "text" and not bert) else "tokens" if modality == "text" else "frames"
    ids = np.asarray(split.keys["text_bert"])[place, 0, :length].astype(np.int32) if bert else None
    return {name: kept} if ids is None else {name: kept, "input_ids": ids}


def _lengths(split: _Split, modality: str, aligned: bool) -> list[int]:
    """Return how many rows of each clip are real."""
    key = f"{KEYS[modality]}_lengths"
    if key in split.keys:
        return [int(one) for one in _list(split.keys[key])]
    if "text_bert" in split.keys and (aligned or modality == "text"):
        return [int(one) for one in np.asarray(split.keys["text_bert"])[:, 1].sum(axis=1)]
    sharing = [key for key in KEYS.values() if key in split.keys] if aligned else [KEYS[modality]]
    found = np.max([_without_zeros(np.asarray(split.keys[key])) for key in sharing], axis=0)
    return [int(one) for one in found]


def _without_zeros(block: Array) -> Array:
    """Return how many rows stand before the zeros at the end: (n, L, D) -> (n,)."""
    filled = (block != 0).any(axis=2)  # (n, L)
    return np.where(filled.any(axis=1), block.shape[1] - np.argmax(filled[:, ::-1], axis=1), 0)


def _labels(path: Path, split: str, one: _Split) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {
        "video_id": [clip_id.rpartition("$_$")[0] or clip_id for clip_id in one.ids],
        "clip_id": [clip_id.rpartition("$_$")[2] if "$_$" in clip_id else "" for clip_id in one.ids],
        "text": [_text(text) for text in _list(one.keys.get("raw_text", [""] * len(one.ids)))],
        "mode": [split] * len(one.ids),
    }
    names = {"label": ("regression_labels", "labels")} | {f"label_{x}": (f"regression_labels_{x}",) for x in "TAV"}
    for column, keys in names.items():
        found = [one.keys[key] for key in keys if key in one.keys]
        if found:
            columns[column] = np.asarray(found[0]).reshape(len(one.ids), -1)[:, 0].astype(float).tolist()
    if "annotations" in one.keys:
        columns["annotation"] = [_text(text) for text in _list(one.keys["annotations"])]
    wrong = [column for column, values in columns.items() if len(values) != len(one.ids)]
    if wrong:
        raise CacheError(
            f"{path}: {split!r} has {len(one.ids)} ids, but {len(columns[wrong[0]])} values for {wrong[0]!r}"
        )
    return pd.DataFrame(columns, index=pd.Index(one.ids, name="id"))
