"""Clip ids and their escaped names.

An id is any non-empty Unicode text in NFC without NUL. It never becomes an HDF5 or file name as it is: `escape` turns it
into ASCII letters, digits and a few marks, reversibly and one-to-one. The test vectors in tests/cache are part of the
format.
"""

import re
import string
import unicodedata

_PLAIN = frozenset((string.ascii_letters + string.digits + "_-.$=+,@~ ").encode())
# A leading dot hides a file or names a parent, a leading hyphen reads as an option, a space at an edge gets lost.
_NEVER_FIRST = frozenset(b".- ")
_NEVER_LAST = frozenset(b". ")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")


def normalise_id(clip_id: str) -> str:
    """Return the id in Unicode's NFC form, the only one that a cache stores.

    Raises:
        ValueError: the id is empty, holds NUL, or is no encodable text.
    """
    normal = unicodedata.normalize("NFC", clip_id)
    if not normal:
        raise ValueError("a clip id is empty; every clip needs a name")
    if "\0" in normal:
        raise ValueError(f"clip id {clip_id!r} holds a NUL character; rename the clip")
    try:
        normal.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"clip id {clip_id!r} is no valid Unicode text; rename the clip") from error
    return normal


def escape(clip_id: str) -> str:
    """Return the name under which a clip stands in an HDF5 file or a folder.

    Every byte of the id's UTF-8 form outside ASCII letters, digits and `_-.$=+,@~` and inner spaces becomes `%XX`.
    """
    raw = normalise_id(clip_id).encode("utf-8")
    last = len(raw) - 1
    return "".join(
        chr(byte)
        if byte in _PLAIN and not (place == 0 and byte in _NEVER_FIRST) and not (place == last and byte in _NEVER_LAST)
        else f"%{byte:02X}"
        for place, byte in enumerate(raw)
    )


def unescape(name: str) -> str:
    """Return the id that `escape` made this name from.

    Raises:
        ValueError: no id has this name.
    """
    try:
        raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name).encode("latin-1")
        clip_id = raw.decode("utf-8")
        canonical = escape(clip_id) == name
    except (UnicodeError, ValueError):
        canonical = False
    if not canonical:
        raise ValueError(f"{name!r} is not the escaped name of any clip id")
    return clip_id


def is_escaped(name: str) -> bool:
    """Whether `escape` makes this name of any id."""
    try:
        return bool(unescape(name))
    except ValueError:
        return False
