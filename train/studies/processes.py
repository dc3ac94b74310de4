"""A study's units in several processes of this machine."""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TypeAlias

import torch
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from sadgr.cache.allocator import keep_freed_memory
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.logs import Log
from sadgr.train.prepare import HeldData
from sadgr.train.studies.runner import (
    THREADS,
    Engine,
    Failures,
    Stop,
    one_after_another,
    silent,
    stopped,
    told,
    train_unit,
)
from sadgr.train.studies.variations import Unit

LOOK_SECONDS = 0.2
"""How long a request to stop may go unseen."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux holds it
SPARED_BYTES = 16 * 2**20
"""Of shared memory, left to others."""

Running: TypeAlias = "ProcessFuture[None]"

_held: HeldData = {}
_stop: list[Event] = []
"""What a process keeps from unit to unit."""


def local_engine(jobs: int) -> Engine:
    """Do units in this process, or, where there are to be several jobs, in so many others."""
    return one_after_another if jobs == 1 else partial(_side_by_side, jobs)


def _side_by_side(jobs: int, wanted: Sequence[Unit], held: HeldData, should_stop: Stop, log: Log) -> Failures:
    """Do units in processes, all over one copy of the data.

    Processes are started anew instead of forked, since torch's threads do not survive a fork. One that dies costs its unit
    alone. On request, each stops after its epoch.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    waiting, running, failures = list(wanted), dict[Running, Unit](), Failures()
    jobs = min(jobs, len(waiting))
    pool = ProcessPool(jobs, initializer=_begin, initargs=(stop, _shared(held, log)), context=context)
    ended, interrupted = 0, False
    try:
        while running or (waiting and not stop.is_set()):
            while waiting and len(running) < jobs and not stop.is_set():
                unit = waiting.pop(0)
                running[pool.schedule(_work, args=(unit, os.getpid()))] = unit
            for future in wait(running, LOOK_SECONDS, FIRST_COMPLETED).done:
                unit, reason = running.pop(future), _outcome(future)  # type: ignore[arg-type, call-overload]
                if isinstance(reason, Interrupted):
                    interrupted = True
                    continue
                ended += 1
                if reason is not None:
                    failures[unit] = told(reason)
                log(f"{ended}/{len(wanted)} {unit}: {'done' if reason is None else f'failed: {failures[unit]}'}")
            if should_stop():
                stop.set()
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotation there
        pool.join()
    if waiting or interrupted:
        raise Interrupted(stopped(ended, len(wanted)))
    return failures


def _outcome(future: Running) -> BaseException | None:
    error = future.exception()
    if isinstance(error, ProcessExpired):
        return TrainError(
            f"its process died ({error}); it may have run out of memory: start the same command again with fewer --jobs"
        )
    return error


def _shared(held: HeldData, log: Log) -> HeldData:
    """Move data to memory that processes share, where there is room; otherwise, and on a GPU, let go of them: each reads its own."""
    columns = [column for data in held.values() for clips in data.splits.values() for column in clips.columns]
    size = sum(column.nbytes for column in columns)
    if any(column.is_cuda for column in columns):
        held.clear()
        return held
    if SHARED_MEMORY.exists() and (free := shutil.disk_usage(SHARED_MEMORY).free) < size + SPARED_BYTES:
        log(
            f"features take {size / 2**20:.0f} MiB, and {SHARED_MEMORY}, by which processes share memory, has {free / 2**20:.0f} MiB left: "
            "each process reads a copy of its own (in a container, a larger --shm-size lets them share)"
        )
        held.clear()
        return held
    for column in columns:
        column.share_memory_()  # type: ignore[no-untyped-call]
    return held


def _begin(stop: Event, held: HeldData) -> None:
    keep_freed_memory()
    torch.set_num_threads(THREADS)
    _stop.append(stop)
    _held.update(held)


def _work(unit: Unit, parent: int) -> None:
    train_unit(unit, partial(_must_stop, _stop[0].is_set, parent), silent, _held)


def _must_stop(asked: Callable[[], bool], parent: int) -> bool:
    """Whether to stop: also where the process that wants the result is no more."""
    return asked() or os.getppid() != parent
