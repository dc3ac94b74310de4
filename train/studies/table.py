"""Tables 2 and 3: our runs beside the numbers that the paper publishes, never without the mark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sadgr.train.checkpoint import read_json
from sadgr.train.errors import TrainError
from sadgr.train.studies.draw import forest
from sadgr.train.studies.published import TABLES, tables_for
from sadgr.train.studies.rows import held_out, our_rows, published_row, shown, write_table
from sadgr.train.studies.runner import STUDY_FILE

NAME = "table"
FIRST = {"source": "source", "model": "model", "data set": "dataset", "split": "split", "seeds": "seeds"}


def comparison(runs: Sequence[Path]) -> tuple[str, dict[str, Any]]:
    """Hold runs beside the tables of their data sets; table.csv, .json, .png and .svg go to the first run's folder.

    Where none is of CMU-MOSI or CMU-MOSEI both tables stand there, and it is said that they are of other data.

    Args:
        runs: Folders of complete runs.

    Returns:
        The table as printed, and what the JSON holds.

    Raises:
        TrainError: No complete run, or one that did not learn sentiment as a number.
    """
    every = [
        row
        for run in runs
        for row in our_rows(_checked(run), ("valid", "test"), {"model": _model(run), "run": str(run)})
    ]
    split = held_out(every)
    rows = [row for row in every if row["split"] == split]
    if len(rows) < len(runs):
        without = [str(run) for run in runs if str(run) not in {row["run"] for row in rows}]
        raise TrainError(f"{', '.join(without)}: no scores on the {split} split, which the others have; leave it out")
    datasets = list(dict.fromkeys(str(row["dataset"]) for row in rows))
    matching = [table for name in datasets for table in tables_for(name)]
    tables = [table for table in TABLES if table in matching] or list(TABLES)
    unmatched = [name for name in datasets if not tables_for(name)]
    notes = [note for table in tables for note in table.notes]
    if unmatched:
        notes.insert(
            0,
            f"{', '.join(unmatched)} is neither CMU-MOSI nor CMU-MOSEI: the published rows are of other data, not a match",
        )
    published = [published_row(table, name, {"model": _without_ours(name)}) for table in tables for name in table.rows]
    names = [{**row, "line": row["run"]} for row in rows], [{**row, "line": row["model"]} for row in published]
    told = write_table(runs[0], NAME, rows + published, {"split": split, "notes": notes}, forest(*names, "line"))
    first = FIRST if len(runs) == 1 else {**FIRST, "run": "run"}
    return shown(rows + published, first), told


def _checked(run: Path) -> Path:
    if (run / STUDY_FILE).exists():
        variations = ", ".join(str(run / name) for name in read_json(run / STUDY_FILE)["variations"])
        raise TrainError(f"{run} is a study of several runs: name those that are wanted ({variations})")
    learned = read_json(run / "config.json").get("target", {}).get("task")
    if learned != "regression":
        raise TrainError(
            f"{run} learned {learned}; Tables 2 and 3 score sentiment as a number: give runs of --task regression"
        )
    return run


def _model(run: Path) -> str:
    return str(read_json(run / "config.json")["model"]["name"])


def _without_ours(name: str) -> str:
    """Leave the paper's "(Ours)" out: here, ours are others."""
    return name.removesuffix(" (Ours)")
