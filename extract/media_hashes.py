"""SHA-256 of media files, remembered on this machine, so that starting again does not read a terabyte again."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sadgr.cache import CacheError
from sadgr.cache.home import default_home
from sadgr.cache.publish import make_folder, replace
from sadgr.extract.errors import StopRequested
from sadgr.extract.media.container import check_readable
from sadgr.extract.media.errors import MediaError

SETTLED_SECONDS = 2.0
"""A file that changed so lately may change again without its times telling; it is hashed anew."""

SAVE_SECONDS = 30.0
BLOCK_BYTES = 16 * 2**20

State = tuple[int, int, int, int]


class MediaHashes:
    """Hashes of a source's files; each is read once, and again only when its size, inode or times are others.

    Args:
        source: where the data set lies; one file of hashes is kept for each, in the user's `SADGR_HOME`.
        stop: asked between blocks of a file.
    """

    def __init__(self, source: Path, stop: Callable[[], bool] = lambda: False) -> None:
        self._stop = stop
        self._saved = time.monotonic()
        name = hashlib.sha256(str(source.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._file = default_home() / "media" / f"{name}.json"
        self._known = self._read()
        self._begun = time.time()
        self._run: dict[Path, str | MediaError] = {}
        self._fresh: dict[str, tuple[State, str]] = {}

    def __getitem__(self, path: Path) -> str:
        """Return a file's SHA-256 (64 hex digits).

        Raises:
            MediaError: it cannot be read, or is no file.
            StopRequested: a signal came.
        """
        if path not in self._run:
            if self._stop():
                raise StopRequested
            try:
                self._run[path] = self._look_up(path)
            except MediaError as error:
                self._run[path] = error
            except OSError as error:
                self._run[path] = MediaError(f"{path}: cannot be read ({error.strerror or error})")
            if time.monotonic() - self._saved > SAVE_SECONDS:
                self.save()
        found = self._run[path]
        if isinstance(found, MediaError):
            raise found
        return found

    def _look_up(self, path: Path) -> str:
        check_readable(path)  # what is no file, such as a pipe, could keep a reader waiting for ever
        status = path.stat()
        state = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        name = str(path.absolute())
        if name in self._known and self._known[name][0] == state:
            return self._known[name][1]
        digest = self._hash(path)
        if max(status.st_mtime, status.st_ctime) < self._begun - SETTLED_SECONDS:
            self._known[name] = self._fresh[name] = (state, digest)
        return digest

    def _hash(self, path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                if self._stop():
                    self.save()
                    raise StopRequested
        return digest.hexdigest()

    def save(self) -> None:
        """Remember what was read; where that is not possible, it will be read again.

        What another process, at another part of the source, has remembered meanwhile stays.
        """
        self._saved = time.monotonic()
        if self._fresh:
            self._known = {**self._read(), **self._fresh}
            self._fresh = {}
            with suppress(OSError, CacheError, UnicodeEncodeError):
                make_folder(self._file.parent)
                replace(self._file, json.dumps(self._known).encode("utf-8"))

    def _read(self) -> dict[str, tuple[State, str]]:
        """Return what was remembered; what cannot be read is hashed anew, since it is derived."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return {path: ((*state,), digest) for path, (state, digest) in content.items()}
        return {}
