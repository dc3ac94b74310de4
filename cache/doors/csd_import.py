"""Reading a computational sequence of the CMU-MultimodalSDK (`.csd`)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import h5py
import numpy as np
import pandas as pd

from sadgr.cache.doors.csd_keys import ESCAPED, ESCAPED_KEY
from sadgr.cache.doors.hdf5_guard import child, opened, read
from sadgr.cache.doors.report import Arrays, Content, Part
from sadgr.cache.errors import CacheError, RefusedValueError
from sadgr.cache.identity import file_sha256
from sadgr.cache.schema import Array

Axis = Literal["words", "frames"]


def read_csd(path: Path, modality: str | None, axis: Axis) -> Content:
    """Read a `.csd` file.

    A key (a whole video, or `video[i]` after the SDK's own alignment) becomes the clip's id as it stands: which segment
    `[i]` is depends on the labels that were aligned to, so no other id is guessed. Times stay those of the file. A clip
    with a value that is not finite, as COVAREP has them, is refused by name; the others come in.

    Args:
        path: the file.
        modality: text, audio or video; the file does not say.
        axis: `words` for a sequence that has one row a word (GloVe), else `frames`. Text has no frames: always `words`.

    Raises:
        CacheError: no such file, no computational sequence, or one that points outside itself.
    """
    if modality not in ("text", "audio", "video"):
        raise CacheError(f"{path}: a .csd file does not say what it holds; name text, audio or video as its modality")
    with opened(path) as file:
        roots = list(file.keys())
        if len(roots) != 1:
            raise CacheError(f"{path} is no computational sequence: one root group was expected, it has {len(roots)}")
        root = child(file, roots[0], h5py.Group)
        metadata = _metadata(root)
        data = child(root, "data", h5py.Group)
        escaped = metadata.get(ESCAPED_KEY) == ESCAPED
        name = "words" if modality == "text" else axis
        clips = list(_clips(data, modality, name, escaped))
    about = {"times": "the file's own", "metadata": metadata}
    return Content(
        "csd",
        file_sha256(path),
        path.name,
        _labels([one for one, _ in clips]),
        (Part(modality, roots[0], clips, about),),
    )


def _clips(
    data: h5py.Group, modality: str, name: str, escaped: bool
) -> Iterator[tuple[str, Arrays | CacheError | None]]:
    for key in data:
        clip_id = unquote(key) if escaped else key
        try:
            group = child(data, key, h5py.Group)
            features, intervals = _checked(clip_id, read(group, "features"), read(group, "intervals"))
        except RefusedValueError as error:
            yield clip_id, error
            continue
        arrays = {name: features}
        if modality == "video" and name == "frames":
            arrays["seconds"] = intervals.mean(axis=1)
        yield clip_id, arrays


def _checked(clip_id: str, features: Array, intervals: Array) -> tuple[Array, Array]:
    """Return features (T, D) and intervals (T, 2) float64."""
    if features.ndim < 2 or features.dtype.kind not in "biuf":
        raise RefusedValueError(
            f"clip {clip_id!r}: features are {features.dtype} {features.shape}, expected (T, D) numbers"
        )
    if intervals.shape != (len(features), 2) or intervals.dtype.kind not in "biuf":
        raise RefusedValueError(f"clip {clip_id!r}: intervals are {intervals.shape}, expected ({len(features)}, 2)")
    if not len(features):
        raise RefusedValueError(f"clip {clip_id!r}: it has no row")
    times = intervals.astype(np.float64)
    if not np.isfinite(times).all() or (times[:, 1] < times[:, 0]).any():
        raise RefusedValueError(f"clip {clip_id!r}: an interval is not finite or ends before it starts")
    return features.reshape(len(features), -1), times  # (T, D)


def _metadata(root: h5py.Group) -> dict[str, Any]:
    """Return the metadata; a value that is no JSON stays text, as the SDK itself reads it."""
    found: dict[str, Any] = {}
    if "metadata" not in root:
        return found
    group = child(root, "metadata", h5py.Group)
    for key in group:
        values = read(group, key).reshape(-1)
        text = values[0].decode("utf-8", "replace") if len(values) and isinstance(values[0], bytes) else ""
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _labels(ids: list[str]) -> pd.DataFrame:
    """A sequence has no labels: rows with ids alone, `video_id` where `video[i]` or the id itself says it."""
    video = [clip_id.rpartition("[")[0] if clip_id.endswith("]") and "[" in clip_id else clip_id for clip_id in ids]
    return pd.DataFrame({"video_id": video, "mode": ""}, index=pd.Index(ids, name="id", dtype=str))
