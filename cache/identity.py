"""What identifies a feature set and a clip's source: SHA-256 over canonical JSON."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no white space, UTF-8, finite numbers only.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value that JSON does not have, or a key that is no text.
    """
    _refuse_other_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fingerprint(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 (64 hex digits) of a specification's canonical JSON."""
    return hashlib.sha256(canonical_json(spec)).hexdigest()


def source_digest(**fields: Any) -> str:
    """Return the digest of what a clip's features were made from, such as its transcript, media hash and time span."""
    return fingerprint(fields)


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 (64 hex digits)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_other_keys(value: Any) -> None:
    """`json.dumps` would turn the keys 1 and "1" into the same text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} of a specification is a {type(key).__name__}, expected text")
            _refuse_other_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_other_keys(inner)
