"""A study's units as the trials of Ray Tune, on a cluster or on this machine.

What a trial leaves is what the unit leaves anywhere, in the study's own folder; of Tune it needs the scheduling. It reports
after each epoch, which is where Tune may end it.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sadgr.cache.allocator import keep_freed_memory
from sadgr.train.errors import Interrupted
from sadgr.train.logs import Log
from sadgr.train.prepare import HeldData
from sadgr.train.studies.ray_cluster import check_engine, joined
from sadgr.train.studies.runner import THREADS, Engine, Failures, Stop, is_done, silent, stopped, told, train_unit
from sadgr.train.studies.variations import Unit

TUNE_FOLDER = ".ray-tune"
EPOCH = "epoch"


def ray_engine(address: str | None, paths: Sequence[Path], most: int | None) -> Engine:
    """Do units by Ray Tune.

    Args:
        address: HOST:PORT of a running cluster, or `auto`; None for what RAY_ADDRESS names, or else a Ray of our own.
        paths: What every node must see.
        most: Trials at a time; None for as many as there are CPUs, or GPUs where there are any.

    Raises:
        TrainError: Ray is not installed, or the address is none of a cluster's node.
    """
    check_engine(address)
    return partial(_tuned, address, [path.resolve() for path in paths], most)


def _tuned(
    address: str | None,
    paths: Sequence[Path],
    most: int | None,
    wanted: Sequence[Unit],
    held: HeldData,
    should_stop: Stop,
    log: Log,
) -> Failures:
    held.clear()  # nodes read their own
    study = wanted[0].run.parent
    with joined(address, paths, log) as resources, _own_folder(study / TUNE_FOLDER) as folder:
        errors = _run_trials(wanted, folder, most, resources, should_stop, log)
    failures = {}
    for unit in wanted:
        if not is_done(unit) and unit in errors:
            failures[unit] = errors[unit]
    left = [unit for unit in wanted if not is_done(unit) and unit not in failures]
    if left and should_stop():
        raise Interrupted(stopped(len(wanted) - len(left), len(wanted)))
    return failures | dict.fromkeys(left, "Ray Tune ended it without a result; start the same command again")


def _run_trials(
    wanted: Sequence[Unit],
    folder: Path,
    most: int | None,
    resources: dict[str, float],
    should_stop: Stop,
    log: Log,
) -> dict[Unit, str]:
    """Run a trial for each unit and give the errors of those that failed."""
    from ray import tune

    ended: list[int] = []

    class Told(tune.Callback):  # type: ignore[misc]  # Ray has no types here
        """Says which trials ended."""

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            unit = wanted[trial.config["unit"]]
            if is_done(unit):
                ended.append(trial.config["unit"])
                log(f"{len(ended)}/{len(wanted)} {unit}: done")

    class OnRequest(tune.Stopper):  # type: ignore[misc]  # likewise
        """Ends all trials once a stop was asked for."""

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return should_stop()

        def stop_all(self) -> bool:
            return should_stop()

    gpu = 1 if resources.get("GPU") else 0
    work = tune.with_resources(tune.with_parameters(_trial, units=list(wanted)), {"cpu": THREADS, "gpu": gpu})
    tuner = tune.Tuner(
        work,
        param_space={"unit": tune.grid_search(list(range(len(wanted))))},
        tune_config=tune.TuneConfig(max_concurrent_trials=most),
        run_config=tune.RunConfig(
            name="trials", storage_path=str(folder.resolve()), callbacks=[Told()], stop=OnRequest(), verbose=0
        ),
    )
    found = tuner.fit()
    return {
        wanted[result.config["unit"]]: told(getattr(result.error, "cause", None) or result.error)
        for result in found
        if result.error is not None
    }


def _trial(config: dict[str, Any], units: Sequence[Unit]) -> None:
    """Do a unit, in a process of Ray's."""
    import torch
    from ray import tune

    keep_freed_memory()
    torch.set_num_threads(THREADS)
    epochs = 0

    def report() -> bool:
        nonlocal epochs
        epochs += 1
        tune.report({EPOCH: epochs})  # does not come back where Tune ends the trial
        return False

    train_unit(units[config["unit"]], report, silent, {})


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """Give a folder for what Tune keeps of its own; it is of no use afterwards."""
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
