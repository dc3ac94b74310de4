"""Ray, started on this machine or joined where it runs already, for as long as a study needs it."""

import logging
import os
import secrets
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from sadgr.train.errors import TrainError
from sadgr.train.loop import Log

ADDRESS = "RAY_ADDRESS"
HERE = "local"


@contextmanager
def joined(address: str | None, paths: Sequence[Path], log: Log) -> Iterator[dict[str, float]]:
    """Join a cluster, or start Ray on this machine; give its resources by name.

    What Ray prints goes to stderr: results are printed to stdout. Handlers of signals stay this process's own: Ray's would end
    it with nothing finished.

    Args:
        address: HOST:PORT of a running cluster, or `auto`; None for what RAY_ADDRESS names, or else a Ray of our own.
        paths: What every node of a cluster must see.
        log: Told where Ray is.

    Raises:
        TrainError: Ray does not start, no cluster answers, or a node lacks a path.
    """
    address = address or os.environ.get(ADDRESS) or HERE
    _prepare_environment(address)
    import ray

    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)
        if ray.is_initialized():  # by whoever called: it is used, and stays
            yield dict(ray.cluster_resources())
            return
        try:
            _join(address)
            if address != HERE:
                _check_nodes(paths)
            has = dict(ray.cluster_resources())
            where = "started on this machine" if address == HERE else f"at {address}"
            log(f"Ray {where}: {has.get('CPU', 0):.0f} CPUs, {has.get('GPU', 0):.0f} GPUs")
            with _own_signals():
                yield has
        finally:
            ray.shutdown()


def _prepare_environment(address: str) -> None:
    """Let a Ray that is started here listen to this host alone, and to nobody without the token; and report to nobody."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # below that, its core writes into this terminal, too
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # each seed's history.csv holds the same
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # a stop is asked for by the study's own
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
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
        with _own_signals():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        told = str(error).strip().splitlines()[0]
        where = "does not start on this machine" if address == HERE else f"does not answer at {address}"
        raise TrainError(
            f"Ray {where}: {told}; --address names a cluster of which this machine is a node (`ray status` says so), and "
            "without it and RAY_ADDRESS Ray is started on this machine"
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Set this process's handlers again, however Ray sets its own."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_nodes(paths: Sequence[Path]) -> None:
    """Ask each node whether it sees what it must, before work is lost to one that does not."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0)(_unseen)
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        try:
            unseen = ray.get(look.options(scheduling_strategy=strategy).remote(list(paths)))
        except RayError as error:
            told = str(error).strip().splitlines()[-1]
            raise TrainError(
                f"node {node['NodeManagerAddress']} cannot run sadgr: {told}; install it there, too"
            ) from error
        if unseen:
            raise TrainError(
                f"node {node['NodeManagerAddress']} of the cluster does not see {unseen[0]}: CACHE, RUN and --heads must lie "
                "on storage that all nodes share, under the same path"
            )


def _unseen(paths: Sequence[Path]) -> list[Path]:
    """Return those that do not exist, as seen from here."""
    return [path for path in paths if not path.exists()]
