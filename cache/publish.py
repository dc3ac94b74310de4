"""Files appear whole or not at all: written beside their target, synced, then linked or renamed into place."""

import os
import re
import secrets
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Literal

from sadgr.cache.errors import NotWritableError

Method = Literal["link", "rename"]
TEMPORARY_PREFIX = ".tmp-"
FILE_BITS = 0o666
"""Whoever may read or write the folder may read or write its files; a writer's umask is no lab's policy."""
SHARED_FOLDER_BITS = stat.S_ISGID | 0o070
MERGED = "~"
"""Mark in the name of a shard that a compaction made."""
TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"
_OUR_TIME = re.compile(r"\d{8}T\d{6}\.\d{6}Z(?:z\d{6})?(?=-)")


def unique_stem() -> str:
    """Return `<time>-<host>-<pid>-<random>`: sorts by time, never meets another writer's."""
    host = "".join(c if c.isalnum() else "_" for c in socket.gethostname().split(".")[0])
    return f"{datetime.now(UTC):{TIME_FORMAT}}-{host}-{os.getpid()}-{secrets.token_hex(4)}"


def next_stem(names: Iterable[str]) -> str:
    """Return a `unique_stem` that sorts after all of these names that we made, whatever this host's clock says.

    A clock that was set back would otherwise file new work before old, and the old would count.
    """
    stem = unique_stem()
    latest = max((match[0] for name in names if (match := _OUR_TIME.match(name))), default="")
    if stem.split("-")[0] > latest:
        return stem
    time, _, count = latest.partition("z")
    try:
        after = datetime.strptime(time, TIME_FORMAT).replace(tzinfo=UTC) + timedelta(microseconds=1)
        following = f"{after:{TIME_FORMAT}}"
    except (ValueError, OverflowError):  # no such day, or nothing comes after the year 9999: count instead
        following = f"{time}z{int(count or 0) + 1:06}"
    return f"{following}-{stem.split('-', 1)[1]}"


def is_merged(name: str) -> bool:
    """Whether a compaction made the shard of this name."""
    return bool(_OUR_TIME.match(name)) and MERGED in name


def shard_names(folder: Path) -> list[str]:
    """Return the names of a folder's published shards, oldest first."""
    with suppress(FileNotFoundError), os.scandir(folder) as files:
        return sorted(file.name for file in files if file.name.endswith(".h5") and not file.name.startswith("."))
    return []


def size_of(path: Path) -> int | None:
    """Return a file's bytes; None when it vanished, as a shard does that is compacted meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, with the rights of the one it stands in, so that a group can share it.

    The group itself follows from the parent's setgid bit, as Linux does by itself.
    """
    if path.is_dir():
        return
    if not path.parent.exists():
        make_folder(path.parent)
    path.mkdir(exist_ok=True)
    with suppress(OSError):  # some network file systems keep rights of their own
        path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IMODE(path.parent.stat().st_mode) & SHARED_FOLDER_BITS)


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
        with _temporary(target) as (file, temporary):
            file.write(content)
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
    with replacing(target) as file:
        file.write(content)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write into, which takes the place of `target` at once when the block ends well."""
    with writable(target.parent):
        with _temporary(target) as (file, temporary):
            yield file
        try:
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Give a file beside `target`, on disk when the block ends well and gone when it does not."""
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{unique_stem()}")
    try:
        with temporary.open("xb") as file:
            yield file, temporary
            with suppress(OSError):  # some network file systems keep rights of their own
                os.fchmod(file.fileno(), stat.S_IMODE(target.parent.stat().st_mode) & FILE_BITS)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        # Some network file systems refuse to sync a directory; the file itself is already safe there.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
