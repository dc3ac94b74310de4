"""Data on their way into a page: a script beside it hands each value over, since a browser lets no page read files."""

import json
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from sadgr.cache.ids import escape


def as_json(value: Any) -> str:
    """Return JSON of a value that numpy's arrays and numbers may be part of; what is not finite becomes null.

    Raises:
        ValueError: it holds something that JSON cannot.
    """
    try:
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"a page's data must be what JSON can hold: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def data_path(page: str, name: str) -> str:
    """Return where a page's data of this name lie; no escaped name holds the mark between, so that no two paths agree."""
    return f"data/{PurePosixPath(page).with_suffix('')}!{escape(name)}.js"


def taking(name: str, value: Any) -> bytes:
    """Return a script that hands a value over; JSON.parse is quicker than a literal, and takes `__proto__` for a name."""
    arguments = ", ".join(json.dumps(text).replace("<", "\\u003c") for text in (name, as_json(value)))
    return f"SADGR.take({arguments});\n".encode()
