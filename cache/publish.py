"""Files appear whole or not at all: written beside their target, synced, then linked or renamed into place."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sadgr.cache.errors import NotWritableError

Method = Literal["link", "rename"]
TEMPORARY_PREFIX = ".tmp-"


def unique_stem() -> str:
    """Return `<time>-<host>-<pid>-<random>`: sorts by time, never meets another writer's."""
    host = "".join(c if c.isalnum() else "_" for c in socket.gethostname().split(".")[0])
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{host}-{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def writable(directory: Path) -> Iterator[None]:
    """Turn a refused write into an error that names the folder and the remedy."""
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise NotWritableError(
            f"{directory} cannot be written ({error.strerror}); choose a folder you may write, or ask its owner"
        ) from error
    except OSError as error:
        raise NotWritableError(f"writing in {directory} failed: {error.strerror}") from error


def publishing_method(directory: Path) -> Method:
    """Try on the real directory whether hard links work; `rename` where they do not (some network file systems).

    A link never replaces a file that stands there already; a rename would, so shard names are unique as well.
    """
    with writable(directory):
        probe, target = (directory / f"{TEMPORARY_PREFIX}{unique_stem()}{end}" for end in ("", "-link"))
        probe.touch()
        try:
            os.link(probe, target)
        except OSError:
            return "rename"
        else:
            target.unlink()
            return "link"
        finally:
            probe.unlink()


def publish(target: Path, content: bytes, method: Method) -> None:
    """Make `target` appear with this content, whole, and only if no such file exists.

    Raises:
        NotWritableError: the folder is read-only, full, or already holds the target; nothing is left behind.
    """
    with writable(target.parent):
        temporary = _write_temporary(target, content)
        try:
            if method == "link":
                os.link(temporary, target)
                temporary.unlink()
            elif target.exists():
                raise FileExistsError(17, "file exists", str(target))
            else:
                temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)


def replace(target: Path, content: bytes) -> None:
    """Put this content in the place of `target` at once, for the few small files that people edit."""
    with writable(target.parent):
        temporary = _write_temporary(target, content)
        try:
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)


def _write_temporary(target: Path, content: bytes) -> Path:
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{unique_stem()}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        # Some network file systems refuse to sync a directory; the file itself is already safe there.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
