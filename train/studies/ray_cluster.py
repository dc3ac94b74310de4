"""Ray, started on this machine or joined where it runs already, for as long as a study needs it."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from sadgr.cache import ray_session
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.logs import Log

NEEDED = ("ray", "pyarrow", "pandas", "fsspec")
"""What `ray.tune` imports; sadgr[ray] brings all of it."""


def check_engine(address: str | None) -> None:
    """Raise `TrainError` where Ray is missing, or what its Tune library needs, or where the address is no cluster's."""
    with _in_our_words():
        ray_session.chosen_address(address)
        ray_session.check_installed(NEEDED)


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
        Interrupted: A signal came while Ray started.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # each seed's history.csv holds the same
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # a stop is asked for by the study's own
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    with redirect_stdout(sys.stderr), warnings.catch_warnings(), _in_our_words():
        warnings.simplefilter("ignore", category=FutureWarning)
        with (
            ray_session.joined(address, paths, "CACHE, RUN and --heads", log) as has,
            ray_session.own_handlers(),
        ):
            yield has


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except ray_session.RayUnavailableError as error:
        raise TrainError(str(error)) from error
    except ray_session.RayStoppedError as error:
        raise Interrupted("stopped while Ray started; start the same command again") from error
