"""What others wrote, in a process of its own: what ours sets of malloc and of arithmetic would change that, too."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Self

import torch

_held: list[Any] = []


class Elsewhere:
    """An object that lives in another process.

    Args:
        build: makes it there.
        given: what `build` is called with.
    """

    def __init__(self, build: Callable[..., Any], *given: Any) -> None:
        threads = torch.get_num_threads()
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _build, (threads, build, given))

    def seconds(self, method: str, *given: Any) -> float:
        """Return what a method takes there."""
        return self._process.submit(_seconds, method, given).result()

    def value(self, name: str) -> Any:
        """Return an attribute."""
        return self._process.submit(_value, name).result()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.shutdown()


def _build(threads: int, build: Callable[..., Any], given: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    _held.append(build(*given))


def _seconds(method: str, given: tuple[Any, ...]) -> float:
    begun = time.perf_counter()
    getattr(_held[0], method)(*given)
    return time.perf_counter() - begun


def _value(name: str) -> Any:
    return getattr(_held[0], name)
