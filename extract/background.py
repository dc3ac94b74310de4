"""Work that goes on in a thread while its results are used: decoding, encoding and writing overlap."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

_LOOK_SECONDS = 0.1
GRACE_SECONDS = 2.0
"""What a thread gets to end when nobody wants its results any more; a forward pass cannot be broken off."""


class _End:
    """Marks the end of the results; carries the error that ended them, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Background(Generic[Item]):
    """Gives what an iterator gives, made ahead of its use in a thread of its own.

    Use it as a context manager. On leaving, the thread ends with the item that it is at; one that takes longer than
    `GRACE_SECONDS` is left to itself (see `abandoned`).

    Args:
        items: makes them.
        waiting: so many at most wait to be taken; the thread waits then.
        stop: asked while its user waits; ends the items early.
    """

    def __init__(self, items: Iterable[Item], waiting: int, stop: Callable[[], bool] = lambda: False) -> None:
        self._items = items
        self._stop = stop
        self._queue: Queue[Item | _End] = Queue(waiting)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name=_NAME, daemon=True)

    def __iter__(self) -> Iterator[Item]:
        """Give the items in order; ends early when this is closed meanwhile, or a stop is asked for."""
        while True:
            item = self._next()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return

    def _next(self) -> Item | _End:
        while not (self._closed.is_set() or self._stop()):
            try:
                return self._queue.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue
        return _End(None)

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._give(item):
                    return
        except BaseException as raised:  # its user's thread raises it
            error = raised
        self._give(_End(error))

    def _give(self, item: Item | _End) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join(GRACE_SECONDS)


_NAME = "sadgr-background"


def abandoned() -> bool:
    """Whether a thread still works at what nobody wants any more; an orderly end of the process would wait for it."""
    return any(thread.name == _NAME for thread in threading.enumerate())
