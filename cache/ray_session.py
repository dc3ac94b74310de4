"""Ray, started on this machine or joined where it runs already: what extraction and training need of it alike."""

import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from importlib.util import find_spec
from pathlib import Path

INSTALL = 'pip install "sadgr[ray]"'
ADDRESS = "RAY_ADDRESS"
"""Variable that names the cluster, as Ray itself reads it."""
HERE = "local"


class RayUnavailableError(Exception):
    """Ray is not installed, does not start, no cluster answers, or a node lacks something; the message says what to do."""


class RayStoppedError(Exception):
    """A signal came while Ray started; this process's own handler was told of it."""


def check_installed(needed: Sequence[str]) -> None:
    """Raise `RayUnavailableError` where a package that Ray needs for the work in hand is missing."""
    for name in needed:
        if find_spec(name) is None:
            raise RayUnavailableError(f"--engine ray needs {name}, which is not installed: {INSTALL}")


def chosen_address(address: str | None) -> str:
    """Give the address asked for, else what `RAY_ADDRESS` names, else `HERE`.

    Raises:
        RayUnavailableError: It is one for Ray's client, which works from outside a cluster.
    """
    named = address or os.environ.get(ADDRESS) or HERE
    if "://" in named:
        raise RayUnavailableError(f"{named}: name a cluster by HOST:PORT, and run this on a node of it")
    return named


@contextmanager
def joined(
    address: str | None, paths: Sequence[Path], shared: str, say: Callable[[str], None]
) -> Iterator[dict[str, float]]:
    """Join a cluster, or start Ray on this machine, for as long as the block lasts; give its resources by name.

    A Ray that this process has joined already is used, and stays.

    Args:
        address: `HOST:PORT` of a running cluster, or `auto` for the one on this host; None for what `RAY_ADDRESS` names, or
            else a Ray of our own.
        paths: What every node of a cluster must see.
        shared: What lies there, in words.
        say: Told where Ray is.

    Raises:
        RayUnavailableError: Ray does not start, no cluster answers, or a node lacks a path.
        RayStoppedError: A signal came meanwhile.
    """
    address = chosen_address(address)
    _prepare_environment(address)
    import ray

    if ray.is_initialized():
        yield dict(ray.cluster_resources())
        return
    try:
        _join(address)
        if address != HERE:
            check_nodes(paths, shared)
        has = dict(ray.cluster_resources())
        where = "started on this machine" if address == HERE else f"at {address}"
        say(f"Ray {where}: {has.get('CPU', 0):.0f} CPUs, {has.get('GPU', 0):.0f} GPUs")
        yield has
    finally:
        ray.shutdown()


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
        with own_handlers(), _own_stderr():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except SystemExit as end:  # by Ray's handler, which ends the process with nothing published and another exit code
        signal.raise_signal(signal.SIGTERM)
        raise RayStoppedError from end
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        told = str(error).strip().splitlines()[0]
        if address == HERE:
            raise RayUnavailableError(f"Ray does not start on this machine: {told}") from error
        raise RayUnavailableError(
            f"no Ray cluster answers at {address}: {told}; this command must run on a node of it (`ray status` there says "
            "whether it is one). Without --address and RAY_ADDRESS, Ray is started on this machine"
        ) from error


@contextmanager
def own_handlers() -> Iterator[None]:
    """Set this process's handlers of signals again, however Ray sets its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        with suppress(ValueError):  # handlers are the main thread's to set, and Ray sets none elsewhere
            for number, handler in before.items():
                signal.signal(number, handler)


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


def check_nodes(paths: Sequence[Path], shared: str) -> None:
    """Ask each node of a cluster whether it sees what it must, before work is lost to one that does not.

    Args:
        paths: What every node must see.
        shared: What lies there, in words.

    Raises:
        RayUnavailableError: One does not, or sadgr is not installed there.
    """
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
            raise RayUnavailableError(
                f"node {nodes[name]} of the cluster cannot run sadgr: {told}; it must be installed there, too: {INSTALL}"
            ) from error
        if unseen:
            raise RayUnavailableError(
                f"node {nodes[name]} of the cluster does not see {unseen[0]}: {shared} must lie on storage that all nodes "
                "share, under the same path"
            )


def _unseen(paths: Sequence[Path]) -> list[Path]:
    """Return those that do not exist, as seen from here."""
    return [path for path in paths if not path.exists()]
