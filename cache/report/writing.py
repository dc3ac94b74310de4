"""Putting a site on disk: whole or not at all, and never over a folder that is not a report."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sadgr.cache.errors import NotWritableError
from sadgr.cache.publish import TEMPORARY_PREFIX, make_folder, unique_stem, writable
from sadgr.cache.report.site import File

MARK_FILE = "sadgr-report.json"
"""Says that a folder is a report, and may be replaced by another."""
_MARK = {"format": "sadgr-report", "version": 1}


def write_site(folder: Path, files: Iterable[File]) -> int:
    """Write a site into a folder, which appears at once when all of it is there.

    Args:
        folder: must not exist, be empty, or hold an earlier report, which is replaced.
        files: taken one at a time, so that a site may be larger than memory.

    Returns:
        How many files were written.

    Raises:
        NotWritableError: the folder holds something else, or cannot be written; it is left as it was.
        ValueError: two files have one path.
    """
    folder = folder.absolute()
    check_replaceable(folder)
    with writable(folder.parent), _beside(folder) as temporary:
        seen: set[str] = set()
        for file in files:
            if file.path in seen:
                raise ValueError(f"a site holds {file.path} twice; two of its pages or files have one name")
            seen.add(file.path)
            _write(temporary, file)
        _write(temporary, File(MARK_FILE, json.dumps(_MARK).encode() + b"\n"))
        check_replaceable(folder)  # somebody may have put something there meanwhile
        _put_in_place(temporary, folder)
    return len(seen)


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything other than a report; called before the work begins, too.

    Raises:
        NotWritableError: it does.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise NotWritableError(f"{folder} is no folder; name another one for the report")
    with writable(folder):
        strangers = any(folder.iterdir()) and not _is_report(folder)
    if strangers:
        raise NotWritableError(
            f"{folder} is not empty and no report of ours (it has no {MARK_FILE}); name another folder"
        )


def _is_report(folder: Path) -> bool:
    try:
        content = json.loads((folder / MARK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == _MARK["format"]


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Give an empty folder on the same file system, and leave nothing of it behind."""
    make_folder(folder.parent)
    temporary = folder.parent / f"{TEMPORARY_PREFIX}{unique_stem()}"
    make_folder(temporary)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, file: File) -> None:
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file.content, Path):
        shutil.copyfile(file.content, target)
    else:
        target.write_bytes(file.content)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename the new folder to its place; an earlier one steps aside for it, and comes back where that fails."""
    # A link to a folder stays one: what it leads to is replaced.
    folder = folder.resolve() if folder.is_symlink() else folder
    if not folder.exists():
        temporary.rename(folder)
        return
    aside = folder.with_name(f"{TEMPORARY_PREFIX}{unique_stem()}")
    folder.rename(aside)
    try:
        temporary.rename(folder)
    except BaseException:
        with suppress(OSError):
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
