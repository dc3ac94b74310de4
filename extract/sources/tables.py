"""Tables that lie beside the media: CSV as text, numbers, and names of splits."""

import warnings
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import pandas as pd

from sadgr.extract.errors import SourceError

_SPLITS = {"dev": "valid", "val": "valid", "validation": "valid"}
SPLITS = ("train", "valid", "test")


def read_table(path: Path, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a CSV file in which every cell is text and empty cells are "".

    Args:
        path: the file.
        names: of the columns, where the file has no header.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            table = pd.read_csv(
                path,
                header=0 if names is None else None,
                names=None if names is None else list(names),
                index_col=False,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
            )
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise SourceError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    return table.fillna("")


def number(value: str | float, what: str) -> float | None:
    """Return a cell as a number; None where it is empty.

    Args:
        value: the cell.
        what: its column's name, for the message.

    Raises:
        ValueError: it is no finite number.
    """
    if value == "":
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise ValueError(f"{what} {value!r} is no finite number")
    return found


def split_name(value: str) -> str:
    """Return a split's one name: train, valid (also written dev, val, validation) or test; "" for none.

    Raises:
        ValueError: it is none of these.
    """
    plain = value.strip().lower()
    name = _SPLITS.get(plain, plain)
    if name not in (*SPLITS, ""):
        raise ValueError(f"split {value!r} is unknown; expected train, valid (dev, val, validation) or test")
    return name


def span_fault(start_seconds: float | None, end_seconds: float | None) -> str:
    """Return why two times are no span; empty where they are one."""
    if start_seconds is not None and start_seconds < 0:
        return f"it begins before its recording, at {start_seconds:g} s"
    if end_seconds is not None and end_seconds <= (start_seconds or 0.0):
        return f"it ends at {end_seconds:g} s, not after its beginning at {start_seconds or 0.0:g} s"
    return ""
