"""SHA-256 of media files, remembered on this machine, so that starting again does not read a terabyte again."""

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from sadgr.cache import CacheError, file_sha256
from sadgr.cache.home import default_home
from sadgr.cache.publish import make_folder, replace

SETTLED_SECONDS = 2.0
"""A file that changed so lately may change again without its times telling; it is hashed anew."""

State = tuple[int, int, int, int]


class MediaHashes:
    """Hashes of a source's files; each is read once, and again only when its size, inode or times are others.

    Args:
        source: where the data set lies; one file of hashes is kept for each, in the user's `SADGR_HOME`.
    """

    def __init__(self, source: Path) -> None:
        name = hashlib.sha256(str(source.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._file = default_home() / "media" / f"{name}.json"
        self._known: dict[str, tuple[State, str]] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):  # derived: what cannot be read is hashed anew
            content = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = {path: ((*state,), digest) for path, (state, digest) in content.items()}
        self._begun = time.time()
        self._run: dict[Path, str] = {}
        self._fresh = False

    def __getitem__(self, path: Path) -> str:
        """Return a file's SHA-256 (64 hex digits).

        Raises:
            OSError: it cannot be read.
        """
        if path not in self._run:
            self._run[path] = self._look_up(path)
        return self._run[path]

    def _look_up(self, path: Path) -> str:
        status = path.stat()
        state = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        name = str(path.absolute())
        if name in self._known and self._known[name][0] == state:
            return self._known[name][1]
        digest = file_sha256(path)
        if max(status.st_mtime, status.st_ctime) < self._begun - SETTLED_SECONDS:
            self._known[name] = (state, digest)
            self._fresh = True
        return digest

    def save(self) -> None:
        """Remember what was read; where that is not possible, it will be read again."""
        if self._fresh:
            with suppress(OSError, CacheError, UnicodeEncodeError):
                make_folder(self._file.parent)
                replace(self._file, json.dumps(self._known).encode("utf-8"))
