"""What a pickle may name, answered by objects of ours: see `mmsa_pickle`."""

import math
import re
from typing import Any

import numpy as np

from sadgr.cache.errors import RefusedValueError
from sadgr.cache.schema import Array

_DTYPE = re.compile(r"[<>|=]?(?:[biuf](?:1|2|4|8)|[SU]\d{1,6}|O8?)")
PLAIN = (str, bytes, int, float, bool, type(None))


class _Sealed(type):
    """A class that a pickle's BUILD cannot alter."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise RefusedValueError(f"the pickle tries to change {name!r} of its reader; it is refused")


class _Dtype(metaclass=_Sealed):
    """A number or text type, from its short name and byte order alone."""

    __slots__ = ("text",)

    def __init__(self, text: object) -> None:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise RefusedValueError(f"the pickle holds an array of type {text!r}; only numbers and text are read")
        self.text = text.lstrip("<>|=")

    def __setstate__(self, state: Any) -> None:
        _, order, subtype, names, fields, *_ = state
        if order not in ("<", ">", "|", "=") or (subtype, names, fields) != (None, None, None):
            raise RefusedValueError("the pickle holds an array of records; only numbers and text are read")
        self.text = order + self.text

    def real(self) -> np.dtype[Any]:
        return np.dtype("O") if "O" in self.text else np.dtype(self.text)


class ArrayInTheMaking(metaclass=_Sealed):
    """An array in the making; `value` is the real one."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Array = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        self.value = _filled(content, dtype, shape, "F" if fortran else "C")


def _filled(content: Any, dtype: Any, shape: Any, order: Any) -> Array:
    if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
        raise RefusedValueError("the pickle describes an array as NumPy never does; it is refused")
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise RefusedValueError(f"the pickle holds an array of shape {shape!r}; it is refused")
    real = dtype.real()
    if real.hasobject:
        strange = [one for one in content if not isinstance(one, PLAIN)] if isinstance(content, list) else [content]
        if strange or len(content) != math.prod(shape):
            raise RefusedValueError("the pickle holds an array of objects that are neither text nor numbers; refused")
        flat = np.empty(len(content), dtype=object)
        flat[:] = content
        return flat.reshape(shape, order=order)
    if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * real.itemsize:
        raise RefusedValueError(f"the pickle holds an array of shape {shape} whose bytes do not fit; it is refused")
    return np.frombuffer(content, dtype=real).reshape(shape, order=order)


class _Marker(metaclass=_Sealed):
    """Stands for `numpy.ndarray`, which only ever appears as an argument."""

    __slots__ = ()


class _MakeDtype(_Marker):
    __slots__ = ()

    def __call__(self, text: object, *_: object) -> _Dtype:
        return _Dtype(text)


class _MakeArray(_Marker):
    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> ArrayInTheMaking:
        if kind is not _NDARRAY:
            raise RefusedValueError("the pickle holds a subclass of numpy.ndarray; only plain arrays are read")
        return ArrayInTheMaking()


class _FromBuffer(_Marker):
    __slots__ = ()

    def __call__(self, content: object, dtype: object, shape: object, order: object, *_: object) -> ArrayInTheMaking:
        made = ArrayInTheMaking()
        made.value = _filled(content, dtype, shape, order)
        return made


class _Scalar(_Marker):
    __slots__ = ()

    def __call__(self, dtype: object, content: object) -> Any:
        if isinstance(dtype, _Dtype) and dtype.real().hasobject:
            raise RefusedValueError("the pickle holds a NumPy scalar of objects; only numbers and text are read")
        return _filled(content, dtype, (), "C").item()


class _Latin1(_Marker):
    """`_codecs.encode`, which older pickles make bytes with."""

    __slots__ = ()

    def __call__(self, text: object, encoding: object = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise RefusedValueError(f"the pickle asks for the encoding {encoding!r}; only latin1 is NumPy's own")
        return text.encode("latin-1")


class _NoBytes(_Marker):
    """`bytes()`, which protocols before 3 write for empty ones, as in an array of no rows."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


_NDARRAY = _Marker()
KNOWN: dict[tuple[str, str], _Marker] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _MakeDtype(),
    ("_codecs", "encode"): _Latin1(),
    ("__builtin__", "bytes"): _NoBytes(),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _MakeArray() for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar() for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer() for core in ("core", "_core")},
}
