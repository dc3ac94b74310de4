"""Stopping at a good moment when a scheduler or a person asks."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests(log: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Turn the first SIGTERM or SIGINT into a flag; a second one acts as it always does.

    Yields:
        A function that says whether a stop was asked for.
    """
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        restore()
        log(f"{signal.Signals(number).name}: stopping after this epoch; once more stops at once")

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        restore()
