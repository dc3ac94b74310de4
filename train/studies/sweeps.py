"""Fig. 6: scores against lambda and against the gate's layers, and which of them the valid split chooses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from sadgr.train.checkpoint import read_json
from sadgr.train.logs import HISTORY_FILE, read_history
from sadgr.train.predict import seed_folder
from sadgr.train.studies.draw import curves
from sadgr.train.studies.rows import Row, our_rows, shown, write_table
from sadgr.train.studies.variations import Point, Variation

NAME = "sweep"
FIRST = {
    "axis": "axis",
    "value": "value",
    "chosen": "chosen",
    "data set": "dataset",
    "split": "split",
    "seeds": "seeds",
    "valid loss": "loss",
}
F1_KEYS = ("Has0_F1_score", "F1_weighted")
"""What Fig. 6 draws; the paper does not say which F1 it is."""
NOTES = (
    "loss: the task's loss on the valid split at the epoch that was kept, mean over seeds. The value with the lowest is chosen; "
    "the test split has no say in it.",
    "The paper calls lambda beta in section V-E and does not say which F1 Fig. 6 shows; here it is that of negative / "
    "non-negative.",
)


def sweep_table(
    study: Path, variations: Sequence[Variation], points: Sequence[Point], failed: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """Put complete runs on their axes; sweep.csv, .json, .png and .svg go to the study's folder.

    Args:
        study: Folder of the study.
        variations: Those of `sweep`.
        points: Where they stand.
        failed: Variation -> what went wrong; its points are left out.

    Returns:
        The table as printed, and what the JSON holds.
    """
    by_name = {one.name: one for one in variations}
    complete = [point for point in points if point.name not in failed]
    losses = {
        name: fmean(valid_loss(study / name, seed) for seed in by_name[name].request.seeds)
        for name in {point.name for point in complete}
    }
    chosen = {axis: _least(axis, complete, losses) for axis in dict.fromkeys(point.axis for point in complete)}
    rows: list[Row] = []
    for point in complete:
        first: Row = {"axis": point.axis, "value": point.value, "run": point.name}
        first["chosen"] = "chosen" if point.value == chosen[point.axis] else ""
        rows += our_rows(study / point.name, ("valid", "test"), {**first, "loss": losses[point.name]})
    drawn = next(key for key in F1_KEYS if key in rows[0])
    told = write_table(
        study,
        NAME,
        rows,
        {"chosen_by_valid_loss": chosen, "failed": dict(failed), "notes": list(NOTES)},
        curves(rows, complete, chosen, drawn),
    )
    return shown(rows, FIRST), told


def valid_loss(run: Path, seed: int) -> float:
    """Read the valid split's task loss at the epoch that a complete seed kept."""
    folder = seed_folder(run, seed)
    best_epoch: int = read_json(folder / "metrics.json")["best_epoch"]
    return read_history(folder / HISTORY_FILE)[best_epoch - 1]["score"]


def _least(axis: str, points: Sequence[Point], losses: Mapping[str, float]) -> float:
    return min((point for point in points if point.axis == axis), key=lambda point: losses[point.name]).value
