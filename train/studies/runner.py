"""Run a study's variations with all their seeds: in this process or several, what is done already never again.

Threads share out sums, and the last digits of numbers depend on how many there are. Here every training has one, so that its
numbers are the same however many others there are at a time and whoever does them; more cores do more trainings at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.jobs import begin, finish, fit_seed
from sadgr.train.logs import Log
from sadgr.train.predict import seed_folder
from sadgr.train.prepare import HeldData, prepare
from sadgr.train.rundir import claim
from sadgr.train.studies.variations import Unit, Variation, units

STUDY_FILE = "study.json"
METRICS_FILE = "metrics.json"
THREADS = 1
"""Of each training."""
Stop = Callable[[], bool]
Failures = dict[Unit, str]
Engine = Callable[[Sequence[Unit], HeldData, Stop, Log], Failures]
"""Does units, in whatever order, with the data that was read already; gives what went wrong with those that failed. It raises
Interrupted on request."""


def run_study(
    kind: str,
    cache: Path,
    study: Path,
    variations: Sequence[Variation],
    engine: Engine,
    should_stop: Stop,
    log: Log,
) -> dict[str, str]:
    """Bring all variations to their end, each as an ordinary run in a folder of its own.

    Data, heads and settings of all are looked at before anything is trained, so that what cannot work is told at once.

    Args:
        kind: What study it is; a folder holds one.
        cache: Where the features are.
        study: Folder of the study.
        variations: What is compared.
        engine: Does the units.
        should_stop: Asked after each epoch.
        log: Takes progress lines.

    Returns:
        Variation -> what went wrong, for those that failed; all others are complete.

    Raises:
        TrainError: Something that no training can use, or a folder of another study.
        Interrupted: `should_stop` said so; everything up to the last epoch of each unit is saved.
    """
    with threads(THREADS):
        return _run(kind, cache, study, variations, engine, should_stop, log)


def _run(
    kind: str, cache: Path, study: Path, variations: Sequence[Variation], engine: Engine, should_stop: Stop, log: Log
) -> dict[str, str]:
    held: HeldData = {}
    _claim_all(kind, cache, study, variations, held, log)
    wanted = [unit for unit in units(cache, study, variations) if not is_done(unit)]
    done = sum(len(one.request.seeds) for one in variations) - len(wanted)
    if done:
        log(f"{done} of {done + len(wanted)} trainings are done already")
    failures = engine(wanted, held, should_stop, log) if wanted else {}
    failed: dict[str, str] = {}
    for unit, reason in failures.items():
        failed[unit.variation] = f"seed {unit.seed}: {reason}"
    _finish_all(cache, study, [one for one in variations if one.name not in failed], held, log)
    return failed


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads as long as the block lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_done(unit: Unit) -> bool:
    """Whether a unit is complete."""
    return (seed_folder(unit.run, unit.seed) / METRICS_FILE).exists()


def train_unit(unit: Unit, should_stop: Stop, log: Log, held: HeldData) -> None:
    """Do one unit: train it from where it was left, and write its folder."""
    prepared = prepare(unit.cache, unit.request, log, held)
    begin(prepared, unit.run)  # it was begun, but on another machine the cache may be another one
    fit_seed(prepared, unit.run, unit.seed, should_stop, log)


def one_after_another(wanted: Sequence[Unit], held: HeldData, should_stop: Stop, log: Log) -> Failures:
    """Do units in this process."""
    failures: Failures = {}
    for number, unit in enumerate(wanted, start=1):
        try:
            train_unit(unit, should_stop, silent, held)
            log(f"{number}/{len(wanted)} {unit}: done")
        except Interrupted:
            raise
        except Exception as error:  # whatever it is: it is told, and the others go on
            failures[unit] = told(error)
            log(f"{number}/{len(wanted)} {unit}: failed: {failures[unit]}")
        if should_stop() and number < len(wanted):
            raise Interrupted(stopped(number, len(wanted)))
    return failures


def stopped(done: int, total: int) -> str:
    """Say that a study was stopped."""
    return f"stopped with {done} of {total} trainings ended; start the same command again to go on"


def told(error: BaseException) -> str:
    """Say what went wrong; what training foresees speaks for itself, everything else with its type."""
    return str(error) if isinstance(error, TrainError) else f"{type(error).__name__}: {error}"


def silent(_: str) -> None:
    """Log nothing: of many trainings at a time, epochs say little; each one's are in its history.csv."""


def _claim_all(kind: str, cache: Path, study: Path, variations: Sequence[Variation], held: HeldData, log: Log) -> None:
    prepared = {}
    for one in variations:
        try:
            prepared[one.name] = prepare(cache, one.request, log, held)
        except TrainError as error:
            raise TrainError(f"{one.title}: {error}") from error
    seeds = list(variations[0].request.seeds)
    claim(
        study / STUDY_FILE, {"study": kind, "variations": {one.name: one.title for one in variations}, "seeds": seeds}
    )
    for name, known in prepared.items():
        begin(known, study / name)


def _finish_all(cache: Path, study: Path, variations: Sequence[Variation], held: HeldData, log: Log) -> None:
    for one in variations:
        run = study / one.name
        if (run / METRICS_FILE).exists():
            continue
        prepared = prepare(cache, one.request, silent, held)
        # Complete seeds train no more: they are read, and score their clips once again.
        finish(prepared, run, [fit_seed(prepared, run, seed, lambda: False, silent) for seed in one.request.seeds])
        log(f"{one.title}: {run / METRICS_FILE}")
