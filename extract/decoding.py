"""Decoding in worker processes: what a broken file does to its decoder, it does to no run.

A worker that hangs past its deadline is killed, one that crashes or eats memory takes only itself along; another takes
its place, and the medium is tried once more.
"""

import os
import resource
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as DeadlineError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from sadgr.extract.clips import Medium
from sadgr.extract.media.audio import read_sound
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.sampling import Sampling
from sadgr.extract.media.video import VideoFrames, read_frames
from sadgr.extract.resizing import Resizing

DEADLINE_SECONDS = 120.0
"""Far more than decoding takes: a broken file may keep a decoder busy for ever."""
DEADLINE_PER_SECOND = 2.0
"""More for each second that is wanted of a recording, so that an hour is no hang."""
DEADLINE_PER_MEGABYTE = 2.0
"""More for the size of a file that is wanted whole, whose length nobody has told."""
MEMORY_BYTES = 4 * 2**30
"""A worker's own memory. An hour of sound takes a quarter of a gigabyte, sixteen pictures of 8K two."""
MOST_WORKERS = 32
"""An A100 in bfloat16 keeps some 60 cores busy with decoding, see docs/scaling.md; each worker takes about 100 MB."""
AHEAD_BYTES = 512 * 2**20
"""Sound that may wait, decoded, for an encoder; beyond it one clip at a time is decoded ahead."""

Item = TypeVar("Item")
Begun = TypeVar("Begun")


@dataclass(frozen=True)
class Wanted:
    """What is to be decoded.

    Attributes:
        medium: of what.
        sampling: which video frames; None for its sound.
        resizing: what is done with the frames before they leave the worker.
    """

    medium: Medium
    sampling: Sampling | None = None
    resizing: Resizing | None = None

    @property
    def bytes(self) -> int:
        """About the bytes of its sound: 16,000 samples of 4 bytes a second, or eight times a compressed file's."""
        if self.sampling is not None:
            return 0
        start, end = self.medium.span
        return 8 * _size(self.medium.path) if end is None else int(64_000 * (end - (start or 0.0)))


@dataclass(frozen=True)
class Sound:
    """Samples (n,) float32 at 16 kHz, and which stream they are of where the file has several."""

    samples: npt.NDArray[np.float32]
    remark: str


@dataclass(frozen=True)
class Decoded:
    """What came of it.

    Attributes:
        content: `Sound` or `VideoFrames`; or what else the workers give.
        trouble: what a first try came to that took its worker along; empty where none did.
    """

    content: Any
    trouble: str = ""


class Pending:
    """Decoding that was begun."""

    def __init__(self, wanted: Wanted, begin: Callable[[], "ProcessFuture[Any]"]) -> None:
        self._wanted, self._begin = wanted, begin
        self._future: ProcessFuture[Any] | None = begin()

    @property
    def bytes(self) -> int:
        """About what it will hold until it is taken."""
        return self._wanted.bytes if self._future is not None else 0

    def result(self) -> Decoded:
        """Wait for it.

        Raises:
            StreamAbsent: the file has no stream of this kind.
            MediaError: it cannot be decoded.
        """
        future, self._future = self._future, None  # what it holds is large
        assert future is not None  # noqa: S101  # it is taken once
        path = self._wanted.medium.path
        try:
            return Decoded(future.result())
        except MediaError:
            raise
        except Exception as error:
            if not _lost_its_worker(error):
                raise MediaError(f"{path}: {_in_words(error)}; make it anew") from error
            trouble = _in_words(error)
        try:
            return Decoded(self._begin().result(), f"{trouble}; a second try went well")
        except MediaError as error:
            raise MediaError(f"{error} (before, {trouble})") from error
        except Exception as error:
            again = _in_words(error)
            raise MediaError(f"{path}: {trouble}; on a second try, {again}; make it anew") from error


class Decoders:
    """Worker processes that decode, started when there is first something to do.

    Args:
        workers: how many; None for as many as this process may use, at most `MOST_WORKERS`.
        deadline_seconds: for a medium of no known length; None for `DEADLINE_SECONDS`.
        memory_bytes: of each worker; None for `MEMORY_BYTES`.
        decode: what a worker does, given what is wanted; `decode_medium` by default.
    """

    def __init__(
        self,
        workers: int | None = None,
        deadline_seconds: float | None = None,
        memory_bytes: int | None = None,
        decode: Callable[[Wanted], Any] | None = None,
    ) -> None:
        self.workers = workers or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
        self._deadline_seconds = deadline_seconds or DEADLINE_SECONDS
        self._memory_bytes = memory_bytes or MEMORY_BYTES
        self._decode = decode or decode_medium
        self._pool: ProcessPool | None = None
        self._begun: WeakSet[Pending] = WeakSet()

    def begin(self, wanted: Wanted) -> Pending:
        """Begin to decode."""
        pending = Pending(wanted, lambda: self._schedule(wanted))
        self._begun.add(pending)
        return pending

    def are_full(self) -> bool:
        """Whether so much waits to be taken that no more should be begun."""
        return sum(pending.bytes for pending in self._begun) > AHEAD_BYTES

    def _schedule(self, wanted: Wanted) -> "ProcessFuture[Any]":
        if self._pool is None:
            # A server that holds no model and no threads makes the workers: they begin in milliseconds, and no lock of
            # this process can be held in them for ever.
            context = get_context("forkserver")
            context.set_forkserver_preload([__name__])
            with _interrupts_ignored():
                ensure_running()
            self._pool = ProcessPool(self.workers, initializer=_enter, initargs=(self._memory_bytes,), context=context)
        return self._pool.schedule(self._decode, args=(wanted,), timeout=self.deadline_of(wanted))

    def deadline_of(self, wanted: Wanted) -> float:
        """Return the seconds after which a worker that still decodes this is killed."""
        start, end = wanted.medium.span
        if end is not None:
            return self._deadline_seconds + DEADLINE_PER_SECOND * (end - (start or 0.0))
        return self._deadline_seconds + DEADLINE_PER_MEGABYTE * _size(wanted.medium.path) / 1e6

    def ahead(self, items: Iterable[Item], begin: Callable[[Item], Begun]) -> Iterator[tuple[Item, Begun]]:
        """Begin work on items before it is asked for, so that it is done when it is; two of them a worker.

        Args:
            items: in order.
            begin: begins the work on one, without waiting for it.
        """
        waiting: deque[tuple[Item, Begun]] = deque()
        for item in items:
            while waiting and (len(waiting) > 2 * self.workers or self.are_full()):
                yield waiting.popleft()
            waiting.append((item, begin(item)))
        yield from waiting

    def __enter__(self) -> Self:
        """Return the decoders."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the workers, whatever they are at."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotation there
            self._pool.join()


def decode_medium(wanted: Wanted) -> Sound | VideoFrames:
    """Decode in this process.

    Raises:
        StreamAbsent: the file has no stream of this kind.
        MediaError: it cannot be decoded.
    """
    path, span = wanted.medium.path, wanted.medium.span
    if wanted.sampling is not None:
        frames = read_frames(path, wanted.sampling, *span)
        return replace(frames, pixels=wanted.resizing.apply(frames.pixels)) if wanted.resizing else frames
    samples, remark = read_sound(path, *span)
    if not np.isfinite(samples).all():
        raise MediaError(f"{path}: its sound holds a value that is no number; make the file anew")
    return Sound(samples, remark)


def _enter(memory_bytes: int) -> None:
    """Make a worker's settings: a Ctrl-C at the terminal is the main process's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start a process that a Ctrl-C at the terminal does not reach; it ends with this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lost_its_worker(error: Exception) -> bool:
    """Whether a worker was lost, or its memory used up, and another may do better."""
    # A file system's own time-out has a number; pebble's has words and the seconds.
    out_of_time = isinstance(error, DeadlineError) and not isinstance(error.errno, int)
    return out_of_time or isinstance(error, ProcessExpired | MemoryError)


def _in_words(error: Exception) -> str:
    if isinstance(error, ProcessExpired):
        code = error.exitcode
        return f"its decoder crashed ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"
    if isinstance(error, MemoryError):
        return "its decoder wanted more memory than a worker has"
    if _lost_its_worker(error):
        return f"its decoder hung and was killed after {error.args[1]:.0f} s"
    return f"its decoder failed ({type(error).__name__}: {error})"
