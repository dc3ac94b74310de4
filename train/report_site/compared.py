"""Runs beside each other: their scores over seeds, and by a paired bootstrap whether they differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sadgr.train.errors import TrainError
from sadgr.train.report import SavedRun, read_run
from sadgr.train.report_site.scored import HELD_OUT
from sadgr.train.score_sums import SCORES
from sadgr.train.significance import LESS_IS_BETTER, RESAMPLES, compare_runs
from sadgr.train.tables import over_seeds
from sadgr.train.tasks import TASKS

SEED = 1111
"""Of the bootstrap's draws, as `sadgr-train significance` has it."""


def compare(run: Path, others: Sequence[Path], split: str | None) -> dict[str, Any]:
    """Hold a run against others on the clips of a split, by the predictions that they kept when they were trained.

    Args:
        run: A finished run.
        others: Further ones, of the same target, clips and truths.
        split: Which clips; None for the first run's test split, or else valid.

    Returns:
        `split`, `dataset`, `N`, `resamples`, `runs` (name, seeds), and `rows`: for each metric its name, which way is better,
        `scores` (mean, low and high over seeds of each run), and `differences` of the first run to each other: as
        `significance.Difference` has it, or `undefined` with the reason.

    Raises:
        TrainError: No finished run, or runs that cannot be compared.
    """
    folders = [run, *others]
    for folder in folders:
        _require_predictions(folder)
    saved = [read_run(folder) for folder in folders]
    split = split or next(one for one in HELD_OUT if one in saved[0].splits)  # no run is without valid
    task = saved[0].target.task
    metrics = list(SCORES[task])
    for other in others:
        compare_runs(run, other, split, metrics[0], SEED)  # says what cannot be compared; this score is always defined
    scores = [_over_seeds(one, split) for one in saved]
    return {
        "split": split,
        "dataset": saved[0].dataset,
        "N": len(saved[0].splits[split].ids),
        "resamples": RESAMPLES,
        "runs": [{"name": name, "seeds": list(one.seeds)} for name, one in zip(_names(folders), saved, strict=True)],
        "rows": [
            {
                "metric": metric,
                "better": "less" if metric in LESS_IS_BETTER else "more",
                "scores": [one[metric] for one in scores],
                "differences": [_difference(run, other, split, metric) for other in others],
            }
            for metric in metrics
        ],
    }


def _difference(run: Path, other: Path, split: str, metric: str) -> dict[str, Any]:
    try:
        _, found = compare_runs(run, other, split, metric, SEED)
    except TrainError as error:  # the runs fit each other, so that it is this score that has no value here
        return {"undefined": str(error)}
    return {"difference": found.difference, "low": found.low, "high": found.high, "p": found.p}


def _over_seeds(saved: SavedRun, split: str) -> Mapping[str, Mapping[str, float | None]]:
    found = saved.splits[split]
    metrics = TASKS[saved.target.task].metrics
    return over_seeds([metrics(one, found.target, saved.target.outputs) for one in found.outputs])


def _require_predictions(folder: Path) -> None:
    """Refuse an exported run with a word about why."""
    if (folder / "metrics.json").exists() and not any(folder.glob("seed-*/predictions.csv")):
        raise TrainError(
            f"{folder} keeps no predictions (an exported run): compare the folder that sadgr-train fit wrote, or leave --with"
        )


def _names(folders: Sequence[Path]) -> list[str]:
    """Folders' own names; where two have one name, the paths as they were given."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]
