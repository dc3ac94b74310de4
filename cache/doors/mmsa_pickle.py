"""Reading a pickle without letting it run anything.

A pickle is a little program: it may name any function of any module and call it. This reader knows a handful of names,
those by which NumPy writes an array, and answers each with an object of `pickle_arrays` instead of NumPy's. So nothing that a
pickle says reaches NumPy's `__setstate__`, which trusts what it is told about memory, and no class or function of this
process can be changed from within a pickle.
"""

import pickle
from pathlib import Path
from typing import IO, Any

from sadgr.cache.doors.pickle_arrays import KNOWN, PLAIN, ArrayInTheMaking
from sadgr.cache.errors import RefusedValueError


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        known = KNOWN.get((module_name, global_name))
        if known is None:
            raise RefusedValueError(
                f"the pickle names {module_name}.{global_name}; only NumPy arrays and plain containers are read, "
                "since anything else could run code"
            )
        return known


def load_plain(path: Path) -> Any:
    """Read a pickle of arrays and plain containers; nothing in it is ever run.

    Args:
        path: the file. It can still be made to claim more memory than there is, as any file can.

    Returns:
        The content: dicts and lists (tuples become lists) of arrays, text and numbers, no deeper than MMSA nests them.

    Raises:
        RefusedValueError: it names a class or function that is not NumPy's for an array (the name is told), or is no
            intact pickle.
    """
    try:
        with path.open("rb") as file:
            return _unwrapped(_load(file))
    except RefusedValueError as error:
        raise RefusedValueError(f"{path}: {error}") from error
    except OSError as error:
        raise RefusedValueError(f"{path} cannot be read: {error.strerror}") from error


def _load(file: IO[bytes]) -> Any:
    try:
        return _Unpickler(file).load()
    except RefusedValueError:
        raise
    # A broken pickle can end in nearly any error; none of them says more than that it is broken.
    except Exception as error:
        raise RefusedValueError(f"no intact pickle of arrays ({type(error).__name__}: {error})") from error


def _unwrapped(value: Any, depth: int = 0) -> Any:
    """Put real arrays in place of those in the making, in dicts and lists down to MMSA's depth."""
    if isinstance(value, ArrayInTheMaking):
        return value.value
    if isinstance(value, dict) and depth < 3:
        return {key: _unwrapped(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple) and depth < 4:
        return [_unwrapped(inner, depth + 1) for inner in value]
    if not isinstance(value, PLAIN):
        raise RefusedValueError(f"a {type(value).__name__} where arrays, text or numbers were expected")
    return value
