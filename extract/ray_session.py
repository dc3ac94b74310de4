"""Ray, started on this machine or joined where it runs already; it keeps to files of its own, or speaks through `say`."""

import io
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten

from click import unstyle

from sadgr.extract.errors import EngineUnavailableError, StopRequested

INSTALL = 'pip install "sadgr[ray]"'
ADDRESS = "RAY_ADDRESS"
"""Variable that names the cluster, as Ray itself reads it."""
HERE = "local"
MOST_CHARACTERS = 240
"""Of what Ray prints."""


def check_installed() -> None:
    """Raise `EngineUnavailableError` where Ray is missing, or what its Data library needs."""
    for name in ("ray", "pyarrow"):
        if find_spec(name) is None:
            raise EngineUnavailableError(f"--engine ray needs {name}, which is not installed: {INSTALL}")


@contextmanager
def ray_session(address: str | None, paths: Sequence[Path], say: Callable[[str], None]) -> Iterator[None]:
    """Join a cluster, or start Ray on this machine, for as long as the block lasts.

    A Ray that this process has joined already is used, and stays.

    Args:
        address: `HOST:PORT` of a running cluster, or `auto` for the one on this host; None for what `RAY_ADDRESS` names, or
            else a Ray of our own.
        paths: what every node of a cluster must see.
        say: told where Ray is, and what it has to say, such as that a process died.

    Raises:
        EngineUnavailableError: Ray is not installed, does not start, no cluster answers, or a node lacks a path.
        StopRequested: a signal came meanwhile.
    """
    check_installed()
    address = address or os.environ.get(ADDRESS) or HERE
    _prepare_environment(address)
    import ray

    with redirect_stdout(_Aside(say)):  # results are printed there, and Ray's threads print, too
        if ray.is_initialized():
            yield
            return
        try:
            _join(address)
            if address != HERE:
                _check_nodes(paths)
            has = ray.cluster_resources()
            where = "started on this machine" if address == HERE else f"at {address}"
            say(f"Ray {where}: {has.get('CPU', 0):.0f} CPUs, {has.get('GPU', 0):.0f} GPUs")
            yield
        finally:
            ray.shutdown()


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


def _prepare_environment(address: str) -> None:
    """Let a Ray that is started here listen to this host alone, and to nobody without the token; and report to nobody."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # below that, its core writes into this terminal, too
    # A thread that is still at work when Ray is shut down would start another one.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    if address != HERE:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" not in sys.modules:  # its processes would disagree with what this one read when it imported it
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # makes it take the loopback address, anywhere
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _join(address: str) -> None:
    import ray
    from ray.exceptions import RayError

    here = {"num_cpus": len(os.sched_getaffinity(0)), "include_dashboard": False} if address == HERE else {}
    try:
        with _own_signals(), _own_stderr():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        told = str(error).strip().splitlines()[0]
        if address == HERE:
            raise EngineUnavailableError(f"Ray does not start on this machine: {told}") from error
        raise EngineUnavailableError(
            f"no Ray cluster answers at {address}: {told}; this command must run on a node of it (`ray status` there says "
            "whether it is one). Without --address and RAY_ADDRESS, Ray is started on this machine"
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers: Ray's own ends the process, with nothing published, and with another exit code.

    Raises:
        StopRequested: that was about to happen.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    ended = False
    try:
        yield
    except SystemExit:  # by Ray's handler
        ended = True
    finally:
        with suppress(ValueError):  # handlers are the main thread's to set, and Ray sets none elsewhere
            for number, handler in before.items():
                signal.signal(number, handler)
    if ended:
        signal.raise_signal(signal.SIGTERM)
        raise StopRequested


@contextmanager
def _own_stderr() -> Iterator[None]:
    """Keep stderr for this process's Python: Ray's core writes past it, and the processes that it starts inherit it."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with os.fdopen(os.dup(kept), "w", buffering=1) as ours, redirect_stderr(ours):
            os.dup2(nowhere, 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_nodes(paths: Sequence[Path]) -> None:
    """Ask each node of a cluster whether it sees what it must, before work is lost to one that does not."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0)(_unseen)
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    looking = {
        name: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)).remote(list(paths))
        for name in nodes
    }
    for name, answer in looking.items():
        try:
            unseen = ray.get(answer)
        except RayError as error:
            told = str(error).strip().splitlines()[-1]
            raise EngineUnavailableError(
                f"node {nodes[name]} of the cluster cannot run sadgr: {told}; it must be installed there, too: {INSTALL}"
            ) from error
        if unseen:
            raise EngineUnavailableError(
                f"node {nodes[name]} of the cluster does not see {unseen[0]}: cache, media and models must lie on storage "
                "that all nodes share, under the same path"
            )


def _unseen(paths: Sequence[Path]) -> list[Path]:
    """Return those that do not exist, as seen from here."""
    return [path for path in paths if not path.exists()]
