"""A Hugging Face `datasets` folder (`save_to_disk`), out and in."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sadgr.cache.doors.appear import appearing
from sadgr.cache.doors.pick import Chosen, arrays_of
from sadgr.cache.doors.report import Arrays, Content, ExportReport, Part
from sadgr.cache.doors.specs import described
from sadgr.cache.errors import CacheError
from sadgr.cache.identity import file_sha256
from sadgr.cache.labels import SPLITS
from sadgr.cache.schema import ARRAYS, MODALITIES, ArrayRule

WITHOUT_SPLIT = "unsplit"
"""The split of clips whose `mode` is empty."""
REMEDY = "pip install 'sadgr[doors]'"


def export_hf(chosen: Chosen, path: Path) -> ExportReport:
    """Write a `DatasetDict` that `datasets.load_from_disk` reads.

    One row a clip: `id`, the columns of labels.csv, and `<modality>.<array>` for each array of the chosen feature sets,
    features as float32; None where the clip lacks it. `info.description` is the JSON of what made them.

    Args:
        chosen: feature sets.
        path: the folder to make; must not exist.

    Raises:
        CacheError: `datasets` is not installed, or `path` exists.
    """
    datasets = _datasets()
    labels = chosen.data.labels()
    splits = labels["mode"] if "mode" in labels else pd.Series("", index=labels.index)
    columns = _array_columns(chosen)
    features = _features(datasets, labels, columns)
    with appearing(path) as folder:
        scratch = folder.with_name(f"{folder.name}-cache")
        try:
            made = datasets.DatasetDict()
            for split in [one for one in (*SPLITS, "") if (splits == one).any()]:
                table = labels[splits == split]
                made[split or WITHOUT_SPLIT] = datasets.Dataset.from_generator(
                    _Rows(chosen, table, columns),
                    features=features,
                    cache_dir=str(scratch),
                )
                made[split or WITHOUT_SPLIT].info.description = json.dumps(described(chosen), ensure_ascii=False)
            made.save_to_disk(str(folder))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return ExportReport(path, len(labels))


class _Rows:
    """Gives the rows of one split; a class, for `datasets` wants to call it and may want to copy it."""

    def __init__(self, chosen: Chosen, table: pd.DataFrame, columns: dict[str, ArrayRule]) -> None:
        self._chosen, self._table, self._columns = chosen, table, columns

    def __call__(self) -> Iterator[dict[str, Any]]:
        sets = self._chosen.feature_sets()
        for clip_id, row in zip(self._table.index, self._table.to_dict("records"), strict=True):
            found: dict[str, Any] = {"id": clip_id, **{str(key): _plain(value) for key, value in row.items()}}
            for modality, feature_set in sets.items():
                arrays = arrays_of(feature_set, clip_id) or {}
                names = [column for column in self._columns if column.startswith(f"{modality}.")]
                found |= {column: _listed(arrays, column.partition(".")[2]) for column in names}
            yield found


def _plain(value: Any) -> Any:
    """An empty number becomes None, which every reader knows."""
    return None if isinstance(value, float) and np.isnan(value) else value


def _listed(arrays: Arrays, name: str) -> Any:
    if name not in arrays:
        return None
    array = arrays[name]
    return array.tolist() if array.dtype.kind != "f" else array.astype(np.float64 if array.itemsize > 4 else np.float32)


def _array_columns(chosen: Chosen) -> dict[str, ArrayRule]:
    """Return the arrays that at least one clip has."""
    found: dict[str, ArrayRule] = {}
    for modality, feature_set in chosen.feature_sets().items():
        for clip_id in chosen.data.labels().index:
            for name in arrays_of(feature_set, clip_id) or {}:
                found[f"{modality}.{name}"] = ARRAYS[modality][name]
    return found


def _features(datasets: Any, labels: pd.DataFrame, columns: dict[str, ArrayRule]) -> Any:
    kinds = {"id": "string"}
    for column in labels.columns:
        kinds[column] = "float64" if pd.api.types.is_numeric_dtype(labels[column]) else "string"
    found = {name: datasets.Value(kind) for name, kind in kinds.items()}
    for name, rule in columns.items():
        value: Any = datasets.Value({"str": "string", "float16": "float32"}.get(rule.dtype, rule.dtype))
        for _ in range(rule.ndim):
            value = datasets.Sequence(value)
        found[name] = value
    return datasets.Features(found)


def read_hf(path: Path, modality: str | None = None) -> Content:
    """Read a folder with the columns that `export_hf` writes; nothing is downloaded and no code in it is run.

    Args:
        path: the folder.
        modality: read this one alone; None reads all that are there.

    Raises:
        CacheError: no such folder, no `id` column, or no column of features.
    """
    datasets = _datasets()
    if not path.is_dir():
        raise CacheError(f"{path} is no folder; a data set saved by save_to_disk is one")
    try:
        loaded = datasets.load_from_disk(str(path.resolve()))
    except Exception as error:
        # Whatever `datasets` and Arrow raise over a broken folder, it means the same to the caller.
        raise CacheError(f"{path} cannot be read by datasets.load_from_disk: {error}") from error
    tables = list(loaded.values()) if isinstance(loaded, datasets.DatasetDict) else [loaded]
    names = tables[0].column_names
    columns = [f"{m}.{a}" for m in MODALITIES if modality in (None, m) for a in ARRAYS[m] if f"{m}.{a}" in names]
    if "id" not in names or not columns:
        raise CacheError(
            f"{path} needs a column `id` and columns like `text.words` or `audio.frames`; it has {', '.join(names)}"
        )
    labels = pd.concat([_labels(one) for one in tables])
    made = _made_with(tables[0])
    parts = [
        Part(
            m, m, _clips(tables, m, [one for one in columns if one.startswith(f"{m}.")]), {"made_with": made.get(m, {})}
        )
        for m in MODALITIES
        if any(one.startswith(f"{m}.") for one in columns)
    ]
    return Content("hf", _folder_sha256(path), path.name, labels, tuple(parts))


def _clips(tables: list[Any], modality: str, columns: list[str]) -> Iterator[tuple[str, Arrays | CacheError | None]]:
    for table in tables:
        for row in table.select_columns(["id", *columns]).with_format(None):
            arrays = {}
            for column in columns:
                name = column.partition(".")[2]
                rule = ARRAYS[modality][name]
                if row[column] is not None:
                    arrays[name] = np.array(row[column], dtype=str if rule.dtype == "str" else None)
            yield row["id"], arrays or None


def _labels(table: Any) -> pd.DataFrame:
    arrays = {f"{modality}.{name}" for modality in MODALITIES for name in ARRAYS[modality]}
    kept = [name for name in table.column_names if name not in arrays]
    frame: pd.DataFrame = table.select_columns(kept).to_pandas()
    return frame.set_index("id")


def _made_with(table: Any) -> dict[str, Any]:
    """Return what the exporter said, or nothing where somebody else wrote the folder."""
    try:
        made = json.loads(table.info.description)
    except (TypeError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _folder_sha256(path: Path) -> str:
    """Return the SHA-256 over names and hashes of the Arrow files: where the numbers are."""
    files = sorted(path.rglob("*.arrow"))
    listed = "".join(f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def _datasets() -> Any:
    try:
        # By name, for `datasets` carries no types that a checker could read.
        return import_module("datasets")
    except ImportError as error:
        raise CacheError(f"Hugging Face's `datasets` is not installed; {REMEDY}") from error
