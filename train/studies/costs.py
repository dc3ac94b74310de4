"""What a model costs: parameters, time of an epoch and of a clip, memory; each measured in a process of its own, one at a time.

Times are this machine's, and memory is the process's: libraries and features are part of it. What was measured stands in a
file, and is not measured again.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pebble import ProcessExpired, ProcessPool
from torch import nn

from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.data import Clips
from sadgr.train.errors import Interrupted
from sadgr.train.fit import fit
from sadgr.train.logs import Log
from sadgr.train.models.ridge import Ridge, fit_ridge
from sadgr.train.prepare import Prepared, prepare
from sadgr.train.request import FitRequest
from sadgr.train.rundir import machine
from sadgr.train.studies.processes import LOOK_SECONDS
from sadgr.train.studies.runner import Stop, silent, told
from sadgr.train.studies.variations import Variation

COSTS_FILE = "costs.json"
EPOCHS = 3
"""Measured after a first one, which also warms up."""
ENOUGH_SECONDS = 30.0
"""After so long, what was measured so far has to do."""
CLIPS = 100
"""Of which each is predicted alone; the median counts."""


@dataclass(frozen=True)
class Costs:
    """What one model costs.

    Attributes:
        parameters: Numbers that it learns.
        epoch_seconds: Median of an epoch as `fit` does it: learning, scoring the valid split, saving; what is solved instead
            of learned counts as one epoch.
        clip_milliseconds: Median of predicting one clip by itself, without reading it; what a model averages over the clip's rows
            it averages in this time, while an epoch finds means that were taken before.
        peak_bytes: Most memory that the process held while it learned and predicted; on a GPU, of the GPU's.
        machine: Where: device, processor, threads.
    """

    parameters: int
    epoch_seconds: float
    clip_milliseconds: float
    peak_bytes: int
    machine: Mapping[str, str | int]


def measured(
    cache: Path, study: Path, variations: Sequence[Variation], should_stop: Stop, log: Log
) -> dict[str, Costs]:
    """Measure what was not measured yet, and give the costs of all variations.

    Args:
        cache: Where the features are.
        study: Folder of the study; costs.json in it holds what was measured.
        variations: Whose costs.
        should_stop: Asked all the time.
        log: Takes a line for each.

    Returns:
        Variation -> costs; without those that could not be measured, whose reason is logged.

    Raises:
        Interrupted: `should_stop` said so; what was measured is kept.
    """
    file = study / COSTS_FILE
    found: dict[str, Any] = read_json(file) if file.exists() else {}
    for one in variations:
        if one.name in found:
            continue
        try:
            found[one.name] = asdict(_in_its_own_process(cache, one.request, should_stop))
        except Interrupted:
            raise
        except Exception as error:  # whatever it is: it is told, and the others go on
            log(f"costs of {one.title} cannot be measured: {told(error)}")
            continue
        write_json(file, found)
        log(f"costs of {one.title}: measured")
    return {one.name: Costs(**found[one.name]) for one in variations if one.name in found}


def measure(cache: Path, request: FitRequest, threads: int) -> Costs:
    """Measure one model in this process, whose memory until now counts, too.

    Args:
        cache: Where the features are.
        request: What is fitted; its first seed counts.
        threads: That torch computes with.
    """
    torch.set_num_threads(threads)
    prepared = prepare(cache, request, silent)
    model, seconds = _learned(prepared)
    splits = prepared.data.splits
    return Costs(
        parameters=sum(one.numel() for one in model.parameters()),
        epoch_seconds=seconds,
        clip_milliseconds=_clip_milliseconds(model, splits.get("test", splits["valid"])),
        peak_bytes=_peak_bytes(),
        machine=machine(),
    )


def _in_its_own_process(cache: Path, request: FitRequest, should_stop: Stop) -> Costs:
    pool = ProcessPool(1, max_tasks=1, context=multiprocessing.get_context("spawn"))
    try:
        future = pool.schedule(measure, args=(cache, request, torch.get_num_threads()))
        while not wait([future], LOOK_SECONDS).done:
            if should_stop():
                raise Interrupted("stopped while costs were measured; start the same command again to go on")
        return future.result()
    except ProcessExpired as error:
        raise RuntimeError(f"its process died ({error}); it may have run out of memory") from error
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble has no annotation there
        pool.join()


def _learned(prepared: Prepared) -> tuple[nn.Module, float]:
    """A model after a few epochs, and the seconds of one."""
    model, config = prepared.model.build(), prepared.request.config
    if isinstance(model, Ridge):
        begin = time.perf_counter()
        fit_ridge(prepared.data, model)
        return model, time.perf_counter() - begin
    ends: list[float] = []

    def enough() -> bool:
        ends.append(time.perf_counter())
        return len(ends) > EPOCHS or (len(ends) > 1 and ends[-1] - ends[0] > ENOUGH_SECONDS)

    more = EPOCHS + 2  # than are measured: it is always `enough` that ends it
    config = replace(config, seed=prepared.request.seeds[0], epochs=more, patience=more)
    heads = prepared.heads.tensors if prepared.heads else None
    with tempfile.TemporaryDirectory() as folder, suppress(Interrupted):
        fit(prepared.data, lambda: model, config, Path(folder), enough, silent, heads)
    return model, statistics.median(np.diff(ends).tolist())


@torch.no_grad()
def _clip_milliseconds(model: nn.Module, clips: Clips) -> float:
    model.eval()
    chosen = np.unique(np.linspace(0, len(clips) - 1, CLIPS).round().astype(np.int64))
    found = []
    for number in [*chosen[:3], *chosen]:  # the first ones warm up
        batch = clips.batch([number]).to(clips.device)  # its features gathered, whatever the model then reads of them
        begin = time.perf_counter()
        model(batch).prediction.cpu()  # waits for a GPU
        found.append(1000 * (time.perf_counter() - begin))
    return statistics.median(found[-len(chosen) :])


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
