"""NumPy `.npz`: one file a data set, for people who want arrays and nothing else."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sadgr.cache.doors.appear import appearing
from sadgr.cache.doors.pick import Chosen, arrays_of
from sadgr.cache.doors.report import Arrays, Content, ExportReport, Part
from sadgr.cache.doors.specs import described
from sadgr.cache.errors import CacheError, RefusedValueError
from sadgr.cache.identity import file_sha256
from sadgr.cache.ids import escape, unescape
from sadgr.cache.schema import ARRAYS, MODALITIES, Array

Axis = Literal["words", "frames"]


def export_npz(chosen: Chosen, path: Path) -> ExportReport:
    """Write a data set's chosen feature sets as they are stored.

    Keys: `ids` (n,), `labels/<column>` (n,) for each column of labels.csv, `<escaped id>/<modality>/<array>`,
    `absent/<modality>` (ids that lack it) and `featuresets`, a JSON text that tells what made them. No pickled objects.

    Args:
        chosen: feature sets.
        path: the file; must not exist.
    """
    labels = chosen.data.labels()
    with appearing(path) as temporary, zipfile.ZipFile(temporary, "x", zipfile.ZIP_STORED) as file:
        _add(file, "ids", _text(list(labels.index)))
        _add(file, "featuresets", np.array(json.dumps(described(chosen), ensure_ascii=False)))
        for column in labels.columns:
            numbers = pd.api.types.is_numeric_dtype(labels[column])
            values = labels[column].to_numpy(np.float64) if numbers else _text(list(labels[column].fillna("")))
            _add(file, f"labels/{escape(column)}", values)
        for modality, feature_set in chosen.feature_sets().items():
            entries = feature_set.known_entries()
            for clip_id in labels.index:
                for name, array in (arrays_of(feature_set, clip_id) or {}).items():
                    _add(file, f"{escape(clip_id)}/{modality}/{name}", array)
            _add(
                file, f"absent/{modality}", _text([i for i in labels.index if i in entries and not entries[i].present])
            )
    return ExportReport(path, len(labels))


def _text(values: list[Any]) -> Array:
    return np.array([str(value) for value in values], dtype=str)


def _add(file: zipfile.ZipFile, key: str, array: Array) -> None:
    # ZipInfo's own date instead of today's: the same content gives the same file.
    with file.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def read_npz(path: Path, modality: str | None, axis: Axis) -> Content:
    """Read such a file, or one from elsewhere whose keys are clip ids and whose arrays are features (T, D).

    Args:
        path: the file.
        modality: reads this one alone; needed for a file from elsewhere, which does not say.
        axis: for a file from elsewhere, whether rows are words or frames. Text has no frames: always words.

    Raises:
        CacheError: no such file, it holds pickled objects, or what it holds cannot be told.
    """
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise CacheError(f"{path} is no .npz file (an archive with an array a clip)")
        with np.load(path, allow_pickle=False) as file:
            content = _own(file, modality) if "featuresets" in file else _foreign(path, file, modality, axis)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CacheError(f"{path} cannot be read as .npz of plain arrays: {error}") from error
    labels, parts = content
    return Content("npz", file_sha256(path), path.name, labels, parts)


def _own(file: Mapping[str, Array], modality: str | None) -> tuple[pd.DataFrame, tuple[Part, ...]]:
    ids = [str(one) for one in file["ids"]]
    made: dict[str, Any] = json.loads(str(file["featuresets"]))
    columns = {one: file[f"labels/{escape(one)}"] for one in _columns(file)}
    labels = pd.DataFrame(columns, index=pd.Index(ids, name="id", dtype=str))
    wanted = [one for one in MODALITIES if one in made and modality in (None, one)]
    parts = [Part(one, one, list(_clips(file, ids, one)), {"made_with": made[one]}) for one in wanted]
    if not parts:
        raise CacheError(f"it holds no {modality} features; it has {', '.join(made)}")
    return labels, tuple(parts)


def _columns(file: Mapping[str, Array]) -> list[str]:
    parts = [key.split("/") for key in file]
    return [unescape(names[1]) for names in parts if len(names) == 2 and names[0] == "labels"]


def _clips(
    file: Mapping[str, Array], ids: list[str], modality: str
) -> Iterator[tuple[str, Arrays | CacheError | None]]:
    keys, absent = set(file), set(file[f"absent/{modality}"].tolist())
    for clip_id in ids:
        names = {name: f"{escape(clip_id)}/{modality}/{name}" for name in ARRAYS[modality]}
        arrays = {name: file[key] for name, key in names.items() if key in keys}
        if arrays or clip_id in absent:
            yield clip_id, arrays or None


def _foreign(
    path: Path, file: Mapping[str, Array], modality: str | None, axis: Axis
) -> tuple[pd.DataFrame, tuple[Part, ...]]:
    if modality not in ("text", "audio", "video"):
        raise CacheError(f"{path} was not written by SADGR and does not say what it holds; name text, audio or video")
    name = "words" if modality == "text" else axis
    clips: list[tuple[str, Arrays | CacheError | None]] = []
    for key in file:
        array = file[key]
        fits = array.ndim == 2 and array.dtype.kind in "biuf" and len(array)
        wrong = RefusedValueError(f"clip {key!r}: {array.dtype} {array.shape}, expected features (T, D)")
        clips.append((key, {name: array} if fits else wrong))
    labels = pd.DataFrame({"mode": ""}, index=pd.Index([key for key, _ in clips], name="id", dtype=str))
    return labels, (Part(modality, "arrays by clip id", clips),)
