"""The seeds of one run side by side, a process and a core each, over one copy of the data.

Products as small as these use one core better than several: with two cores, two seeds at a time take 0.7 to 0.9 of the time of one
after the other with both cores (benchmarks/train_speed.py).
"""

from collections.abc import Callable
from pathlib import Path

from sadgr.train.errors import TrainError
from sadgr.train.fit import FitResult
from sadgr.train.jobs import begin, finish, fit_seed
from sadgr.train.logs import Log
from sadgr.train.prepare import HeldData, prepare
from sadgr.train.request import FitRequest
from sadgr.train.studies.processes import local_engine
from sadgr.train.studies.runner import THREADS, is_done, silent, threads
from sadgr.train.studies.variations import Unit


def run_side_by_side(
    cache: Path, run: Path, request: FitRequest, jobs: int, should_stop: Callable[[], bool], log: Log
) -> list[FitResult]:
    """Do what `run_fit` does, several seeds at a time; numbers do not depend on how many.

    Args:
        cache: Its folder.
        run: The run's folder; one that was interrupted is continued.
        request: What is fitted.
        jobs: Processes.
        should_stop: Asked after each epoch.
        log: Takes progress lines.

    Raises:
        TrainError: Data that nothing can be learned from, a folder of another training, or a seed that failed; the others
            are complete then.
        Interrupted: `should_stop` said so; everything up to there is saved.
    """
    with threads(THREADS):
        held: HeldData = {}
        prepared = prepare(cache, request, log, held)
        begin(prepared, run)
        wanted = [Unit(run.name, seed, cache, run, request) for seed in request.seeds]
        wanted = [unit for unit in wanted if not is_done(unit)]
        failures = local_engine(jobs)(wanted, held, should_stop, log) if wanted else {}
        if failures:
            raise TrainError("; ".join(f"seed {unit.seed}: {reason}" for unit, reason in failures.items()))
        results = [fit_seed(prepared, run, seed, lambda: False, silent) for seed in request.seeds]
        finish(prepared, run, results)
    return results
