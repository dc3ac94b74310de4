"""Reads the weights in a CTranslate2 `model.bin`.

The layout, all numbers little endian: u32 version; string spec name; u32 revision; u32 number of variables; each of them
a string name, u8 rank, u32 sizes, u8 type, u32 number of bytes, and the bytes; u32 number of aliases, each of them two
strings: alias and variable. A string is a u16 length and that many bytes, the last of them zero.
"""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from sadgr.extract.offline.registry import OfflineModelError

# Versions before 4 state item sizes in place of types; 6 is the newest there is.
_VERSIONS = range(4, 7)
_DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}


class _Reader:
    """Numbers and strings off a stream, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def take(self, count: int) -> bytes:
        block = self._stream.read(count)
        if len(block) != count:
            raise OfflineModelError(
                f"the CTranslate2 file ends at byte {self._stream.tell()}, {count - len(block)} bytes too early; "
                "expected a whole model.bin"
            )
        return block

    def number(self, code: str) -> int:
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return int(value)

    def string(self) -> str:
        return self.take(self.number("H")).rstrip(b"\0").decode()


def read_ctranslate2(content: bytes, spec: str) -> dict[str, npt.NDArray[Any]]:
    """The variables of a CTranslate2 model, aliases among them.

    Args:
        content: The whole `model.bin`.
        spec: Spec name that the file must have, e.g. "WhisperSpec".

    Returns:
        Variable name -> array in its stored shape and type.

    Raises:
        OfflineModelError: The file is cut short, is of another kind or version, or holds a type unknown here.
    """
    reader = _Reader(content)
    version = reader.number("I")
    if version not in _VERSIONS:
        raise OfflineModelError(
            f"CTranslate2 file of version {version}; expected {_VERSIONS.start} to {_VERSIONS.stop - 1}"
        )
    found = reader.string()
    if found != spec:
        raise OfflineModelError(f"CTranslate2 file holds a {found}; expected a {spec}")
    reader.number("I")  # the spec's revision adds and drops variables, and those are looked up by name
    variables = dict(_read_variable(reader) for _ in range(reader.number("I")))
    for _ in range(reader.number("I")):
        alias, name = reader.string(), reader.string()
        variables[alias] = variables[name]
    return variables


def _read_variable(reader: _Reader) -> tuple[str, npt.NDArray[Any]]:
    name = reader.string()
    shape = [reader.number("I") for _ in range(reader.number("B"))]
    code = reader.number("B")
    if code not in _DTYPES:
        raise OfflineModelError(f"CTranslate2 variable {name} has the type {code}; expected one of {sorted(_DTYPES)}")
    return name, np.frombuffer(reader.take(reader.number("I")), dtype=_DTYPES[code]).reshape(shape)
