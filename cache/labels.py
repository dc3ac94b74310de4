"""A data set's `labels.csv`: ids, splits, transcripts, speakers and label columns, for people and pandas alike."""

import csv
import io
import warnings
from pathlib import Path

import pandas as pd

from sadgr.cache.errors import CacheError
from sadgr.cache.identity import file_sha256
from sadgr.cache.ids import normalise_id
from sadgr.cache.publish import replace

LABELS_FILE = "labels.csv"
SPLITS = ("train", "valid", "test")
TEXT_COLUMNS = ("id", "video_id", "clip_id", "text", "mode", "speaker", "annotation")
"""MMSA's names: `mode` is the split and `clip_id` the segment within a video; `id` is the cache's own clip id."""


def read_labels(dataset: Path) -> pd.DataFrame:
    """Read a data set's labels.

    Returns:
        One row a clip, indexed by `id`; text columns as text (empty where nothing stands), the others as numbers where
        all of a column's values are.

    Raises:
        CacheError: no such file, no `id` column, doubled ids, or an unknown split.
    """
    path = dataset / LABELS_FILE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            types = dict.fromkeys(TEXT_COLUMNS, str)
            table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values={}, index_col=False)
    except FileNotFoundError as error:
        raise CacheError(f"{path} is missing; run sadgr-extract on the data set's source again") from error
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        raise CacheError(f"{path} cannot be read as CSV: {error}") from error
    if "id" not in table:
        raise CacheError(f"{path} has no column `id`; its columns are {', '.join(table.columns)}")
    return _checked(table.set_index("id"), str(path))


def write_labels(dataset: Path, rows: pd.DataFrame) -> list[str]:
    """Add or replace rows by id, leaving all others as they stand.

    Args:
        dataset: the data set's folder.
        rows: indexed by `id`, as `read_labels` gives.

    Returns:
        Ids of rows that stood there with other values.
    """
    rows = _checked(rows, "the source's labels")
    path = dataset / LABELS_FILE
    changed: list[str] = []
    if path.exists():
        known = read_labels(dataset)
        shared = known.index.intersection(rows.index)
        columns = known.columns.intersection(rows.columns)
        before, after = (_as_text(table.loc[shared, columns]) for table in (known, rows))
        changed = list(shared[(before != after).any(axis=1)])
        rows = pd.concat([rows, known.loc[known.index.difference(rows.index, sort=False)]])
        extra = [column for column in known.columns if column not in columns]
        rows.loc[shared, extra] = known.loc[shared, extra]
    content = _csv(rows).encode("utf-8")
    if not path.exists() or path.read_bytes() != content:
        replace(path, content)
    return changed


def labels_hash(dataset: Path) -> str:
    """Return the SHA-256 (64 hex digits) of the file as it lies."""
    return file_sha256(dataset / LABELS_FILE)


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    table = table.copy()
    try:
        table.index = pd.Index([normalise_id(one) for one in table.index], dtype=table.index.dtype)
    except ValueError as error:
        raise CacheError(f"{where}: {error}") from error
    if table.index.has_duplicates:
        doubled = table.index[table.index.duplicated()][0]
        raise CacheError(f"{where}: clip id {doubled!r} stands there twice; ids must differ")
    for column in table.columns:
        if column in TEXT_COLUMNS:
            table[column] = table[column].fillna("").astype(str)
        elif not pd.api.types.is_numeric_dtype(table[column]):
            as_numbers = pd.to_numeric(table[column].replace("", None), errors="coerce")
            if (as_numbers.isna() == table[column].isin(["", None])).all():
                table[column] = as_numbers
    if "mode" in table and not (unknown := set(table["mode"]) - {*SPLITS, ""}) <= set():
        raise CacheError(f"{where}: unknown split {sorted(unknown)[0]!r} in `mode`; expected {', '.join(SPLITS)}")
    table.index.name = "id"
    return table


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Compare as the file would show it, so that 1 and 1.0 in another type are no change."""
    return pd.read_csv(io.StringIO(_csv(table)), dtype=str, keep_default_na=False).set_index("id")


def _csv(table: pd.DataFrame) -> str:
    text: str = table.to_csv(index_label="id", lineterminator="\n")
    # Python before 3.13 leaves a lone carriage return without quotes, and readers end the row there.
    return table.to_csv(index_label="id", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text
