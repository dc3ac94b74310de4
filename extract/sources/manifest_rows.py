"""Rows of a manifest, out of CSV, JSON lines or Parquet."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sadgr.extract.errors import SourceError
from sadgr.extract.sources.tables import read_table

Value = str | int | float
"""A cell; empty cells are ""."""
Row = Mapping[str, Value]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Read a manifest, whose ending says what it is.

    Returns:
        Its columns, and its rows, each with every column.

    Raises:
        SourceError: it cannot be read, or has a column twice.
    """
    found = [{str(name): _plain(value) for name, value in row.items()} for row in _READERS[path.suffix.lower()](path)]
    if not found:
        raise SourceError(f"{path} holds no row: a manifest has a clip a row, below its names of columns")
    columns = list(dict.fromkeys(name for row in found for name in row))
    return columns, [{name: row.get(name, "") for name in columns} for row in found]


def _csv(path: Path) -> Iterable[Mapping[Any, Any]]:
    return read_table(path).to_dict("records")


def _jsonl(path: Path) -> Iterable[Mapping[Any, Any]]:
    try:
        # Only "\n" ends a line: what else `splitlines` takes for an end may stand in a transcript.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode("utf-8")  # half a surrogate pair can be written, and is no text
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path}, line {number}, is no JSON: {error}; expected one object a line") from error
        if not isinstance(row, dict):
            raise SourceError(
                f'{path}, line {number}: expected one object a line, such as {{"id": "a"}}, found {line[:60]!r}'
            )
        yield row


def _parquet(path: Path) -> Iterable[Mapping[Any, Any]]:
    try:
        # With nullable types: an integer column with gaps must not become decimals.
        table = pd.read_parquet(path, engine="pyarrow", dtype_backend="numpy_nullable")
    except ImportError as error:
        raise SourceError(
            f'{path}: Parquet needs pyarrow; run pip install "sadgr[parquet]", or save the table as .csv or .jsonl'
        ) from error
    # pyarrow's errors are ValueError, OSError, NotImplementedError and others, by what is damaged.
    except Exception as error:
        raise SourceError(f"{path} cannot be read as Parquet: {error}") from error
    return (table if table.index.name is None else table.reset_index()).to_dict("records")


_READERS: Mapping[str, Callable[[Path], Iterable[Mapping[Any, Any]]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
ENDINGS = tuple(_READERS)


def _plain(value: Any) -> Value:
    """Return a cell as text or a number; lists and the like become JSON."""
    if isinstance(value, str):
        return value
    if hasattr(value, "tolist"):  # a NumPy array or number
        value = value.tolist()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if pd.isna(value):
        return ""
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | float) else str(value)
