"""Files and folders that appear whole or not at all, for content too large to hold twice in memory."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sadgr.cache.errors import CacheError
from sadgr.cache.publish import TEMPORARY_PREFIX, unique_stem, writable


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write a file or folder at; it takes its name when the block ends well.

    `publish.replace` takes the whole content as bytes; an export may be gigabytes, so it is written to disk as it comes.

    Args:
        target: must not exist; an export never overwrites.

    Raises:
        CacheError: something stands at `target` already.
        NotWritableError: the folder cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise CacheError(f"{target} exists already; an export overwrites nothing: name another path or remove it")
    with writable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{unique_stem()}")
    try:
        with writable(target.parent):
            yield temporary
            _sync(temporary)
            if target.exists():
                raise CacheError(f"{target} appeared while it was being written; nothing was overwritten")
            temporary.rename(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    for file in [path] if path.is_file() else (one for one in path.rglob("*") if one.is_file()):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
