"""Writing computational sequences of the CMU-MultimodalSDK (`.csd`), one file a modality."""

import json
import re
import uuid
from pathlib import Path

import h5py
import numpy as np

from sadgr.cache.doors.appear import appearing
from sadgr.cache.doors.csd_keys import ESCAPED, ESCAPED_KEY
from sadgr.cache.doors.pick import Chosen, arrays_of
from sadgr.cache.doors.report import Arrays, ExportReport
from sadgr.cache.errors import CacheError
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.labels import LABELS_FILE
from sadgr.cache.schema import Array

UNKNOWN = "not stated"


def export_csd(chosen: Chosen, path: Path) -> ExportReport:
    """Write a folder with `text.csd`, `audio.csd`, `video.csd` (those that are chosen) and a copy of labels.csv.

    Text and audio stand word by word, with the words' spans as intervals. Video stands frame by frame; an interval
    reaches half the smallest gap to both sides of a frame's time, so that its middle is that time; video that came
    aligned to words has the words' spans. Audio frames carry no times in a cache and are not written. A clip that lacks
    a modality is not in that file. Keys are clip ids with `%`, `/` and leading dots percent-encoded.

    Args:
        chosen: feature sets, and word times for what stands on words.
        path: the folder to make; must not exist.

    Raises:
        CacheError: a modality has no times, or `path` exists.
    """
    left_out: dict[str, str] = {}
    held: set[str] = set()
    with appearing(path) as folder:
        folder.mkdir()
        for modality, feature_set in chosen.feature_sets().items():
            if modality != "words":
                held |= _write(folder / f"{modality}.csd", chosen, feature_set, left_out)
        (folder / LABELS_FILE).write_bytes((chosen.data.path / LABELS_FILE).read_bytes())
    return ExportReport(path, len(held), left_out)


def _write(file_path: Path, chosen: Chosen, feature_set: FeatureSet, left_out: dict[str, str]) -> set[str]:
    written: set[str] = set()
    with h5py.File(file_path, "w", locking=False) as file:
        root = file.create_group(_root_name(chosen, feature_set))
        data = root.create_group("data")
        for clip_id in chosen.data.labels().index:
            arrays = arrays_of(feature_set, clip_id)
            if arrays is None:
                continue
            try:
                features, intervals = _timed(feature_set.modality, arrays, arrays_of(chosen.words, clip_id))
            except CacheError as error:
                left_out[f"{clip_id} ({feature_set.modality})"] = str(error)
                continue
            group = data.create_group(csd_key(clip_id))
            group.create_dataset("features", data=features.astype(np.float32))
            group.create_dataset("intervals", data=intervals)
            written.add(clip_id)
        if not written:
            reason = next(iter(left_out.values()), "no clip has it")
            raise CacheError(f"{feature_set.name}: nothing could be written as .csd: {reason}")
        _write_metadata(root, chosen, feature_set)
    return written


def csd_key(clip_id: str) -> str:
    """Return an id as a key of HDF5, where `/` parts groups and `.` is the group itself."""
    key = re.sub(r"[%/]", lambda match: f"%{ord(match[0]):02X}", clip_id)
    return re.sub(r"^\.+", lambda match: "%2E" * len(match[0]), key)


def _timed(modality: str, arrays: Arrays, words: Arrays | None) -> tuple[Array, Array]:
    """Return features (T, D) and intervals (T, 2), float64 seconds."""
    if modality == "video" and "frames" in arrays:
        if "seconds" not in arrays:
            raise CacheError("its video frames have no times, and .csd needs them")
        return arrays["frames"], frame_intervals(arrays["seconds"])
    if "words" not in arrays:
        raise CacheError(f"its {modality} features stand on no words (they have {', '.join(sorted(arrays))})")
    if words is None or len(words["start"]) != len(arrays["words"]):
        raise CacheError(
            f"it has no times for the {len(arrays['words'])} words of its {modality}; name a words feature set"
        )
    return arrays["words"], np.stack([words["start"], words["end"]], axis=1)


def frame_intervals(seconds: Array) -> Array:
    """Return spans (T, 2) with these middles (T,): half the smallest gap wide to both sides; one frame spans [0, 2 t]."""
    gaps = np.diff(np.sort(seconds))
    half = float(gaps.min()) / 2 if gaps.size else float(seconds.max(initial=0.0))
    return np.stack([seconds - half, seconds + half], axis=1)


def _root_name(chosen: Chosen, feature_set: FeatureSet) -> str:
    return csd_key(f"{chosen.data.name} {feature_set.name}")


def _write_metadata(root: h5py.Group, chosen: Chosen, feature_set: FeatureSet) -> None:
    first = next(iter(root["data"].values()))["features"]
    names = [f"{feature_set.modality} {place}" for place in range(first.shape[1])]
    version = feature_set.fingerprint
    metadata = {
        "root name": root.name.lstrip("/"),
        "computational sequence description": f"{feature_set.modality} features of {feature_set.spec.model}, by SADGR",
        "dimension names": names,
        "computational sequence version": version,
        # The SDK's validator asks for this key: two of its names stand side by side without a comma.
        "dimension namescomputational sequence version": version,
        "alignment compatible": True,
        "dataset name": chosen.data.name,
        "dataset version": UNKNOWN,
        "creator": UNKNOWN,
        "contact": UNKNOWN,
        "featureset bib citation": UNKNOWN,
        "dataset bib citation": UNKNOWN,
        "uuid": str(uuid.uuid4()),
        "md5": None,
        ESCAPED_KEY: ESCAPED,
    }
    group = root.create_group("metadata")
    for key, value in metadata.items():
        group.create_dataset(key, data=[json.dumps(value)], dtype=h5py.string_dtype())
