"""Ray for extraction: it keeps to files of its own, or speaks through `say`."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from textwrap import shorten

from click import unstyle

from sadgr.cache import ray_session as ray_of_both
from sadgr.extract.errors import EngineUnavailableError, StopRequested

MOST_CHARACTERS = 240
"""Of what Ray prints."""
NEEDED = ("ray", "pyarrow")
"""What its Data library imports."""


def check_engine_installed() -> None:
    """Raise `EngineUnavailableError` where Ray is missing, or what its Data library needs."""
    with _in_our_words():
        ray_of_both.check_installed(NEEDED)


def check_address(address: str | None) -> None:
    """Raise `EngineUnavailableError` for an address that is not a cluster's, as seen from a node of it."""
    with _in_our_words():
        ray_of_both.chosen_address(address)


@contextmanager
def ray_session(address: str | None, paths: Sequence[Path], say: Callable[[str], None]) -> Iterator[None]:
    """Join a cluster, or start Ray on this machine, for as long as the block lasts.

    Args:
        address: `HOST:PORT` of a running cluster, or `auto` for the one on this host; None for what `RAY_ADDRESS` names, or
            else a Ray of our own.
        paths: what every node of a cluster must see.
        say: told where Ray is, and what it has to say, such as that a process died.

    Raises:
        EngineUnavailableError: Ray is not installed, does not start, no cluster answers, or a node lacks a path.
        StopRequested: a signal came meanwhile.
    """
    check_engine_installed()
    # Results are printed to stdout, and Ray's threads print there, too.
    with (
        _in_our_words(),
        redirect_stdout(_Aside(say)),
        ray_of_both.joined(address, paths, "cache, media and models", say),
    ):
        yield


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except ray_of_both.RayUnavailableError as error:
        raise EngineUnavailableError(str(error)) from error
    except ray_of_both.RayStoppedError as error:
        raise StopRequested from error


class _Aside(io.TextIOBase):
    """Takes what is printed, and says the beginning of it; Ray's messages go on for a page."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._stdout = say, sys.stdout

    def write(self, text: str) -> int:
        """Say it, unless it is an end of line."""
        if text.strip():
            with redirect_stdout(self._stdout):  # saying may be printing
                self._say(shorten(unstyle(text), MOST_CHARACTERS, placeholder=" ..."))
        return len(text)
