"""Rows of a study's table: one set of numbers, printed, as CSV and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError
from sadgr.train.figures import write_figure
from sadgr.train.studies.published import OURS, PUBLISHED, PublishedTable
from sadgr.train.tables import COLUMNS, aligned, write_csv

Cell = str | float | int | None
Row = dict[str, Cell]
"""`source` is `ours` or `published`; a score's mean stands under MMSA's name, its deviation over seeds and the ends of its 95 %
interval under the name with `_std`, `_low` and `_high`. None: undefined, or not stated."""

SPREAD = ("std", "low", "high")
AS_IT_IS = ("value",)
"""Numbers that were set, not measured."""
COUNTS = ("N", "Non0_N", "seeds")
ONE_NUMBER = (("Acc-2 (which?)", "acc_2_which"), ("F1 (which?)", "F1_which"))
"""What the paper prints without saying whether 0 counts."""


def our_rows(run: Path, splits: Sequence[str], first: Row) -> list[Row]:
    """Read what a complete run scored: a row a split that it has.

    Args:
        run: Its folder.
        splits: Those wanted.
        first: Cells that stand before the scores.

    Raises:
        TrainError: No run, or one that is unfinished.
    """
    if not (run / "metrics.json").exists():
        remedy = "start the same command again first" if (run / "config.json").exists() else "give a folder of a run"
        raise TrainError(f"{run} holds no finished run (no metrics.json): {remedy}")
    told = read_json(run / "metrics.json")
    rows: list[Row] = []
    for split in splits:
        if split in told["splits"]:
            row: Row = {
                "source": OURS,
                **first,
                "dataset": told["dataset"],
                "split": split,
                "seeds": len(told["seeds"]),
            }
            rows.append(row | _scores(told["splits"][split]))
    return rows


def published_row(table: PublishedTable, name: str, first: Row) -> Row:
    """Give a row of the paper, marked as such; it states neither how many clips were scored nor how scores spread."""
    where = f"{table.dataset} ({table.name})"
    return {"source": PUBLISHED, **first, "dataset": where, "split": "test"} | dict(table.scores(name))


def held_out(rows: Sequence[Row]) -> str:
    """Name the split that is reported: test, or valid where there is no test split."""
    return "test" if any(row["split"] == "test" for row in rows if row["source"] == OURS) else "valid"


def same_columns(rows: Sequence[Row]) -> list[Row]:
    """Give all rows the same columns, in the order in which they first appear."""
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in columns} for row in rows]


def shown(rows: Sequence[Row], first: Mapping[str, str], last: Mapping[str, str] | None = None) -> str:
    """Print rows: means with half their 95 % interval, 4 digits as MMSA prints; what is published, as it is published.

    Args:
        rows: At least one.
        first: Title -> key of the columns before the scores.
        last: Title -> key of those after them.
    """
    scores = {title: key for title, key in (*COLUMNS, *ONE_NUMBER) if any(row.get(key) is not None for row in rows)}
    columns = {**first, **scores, **(last or {})}
    return aligned([list(columns), *([_cell(row, key) for key in columns.values()] for row in rows)])


def write_table(
    folder: Path, name: str, rows: Sequence[Row], more: Mapping[str, Any], figure: Figure
) -> dict[str, Any]:
    """Write NAME.csv, NAME.json, NAME.png and NAME.svg into a folder, and give what stands in the JSON.

    Args:
        folder: Where.
        name: Of the files.
        rows: The table.
        more: What stands beside `rows` in the JSON.
        figure: The table drawn.
    """
    told = {**more, "rows": same_columns(rows)}
    write_csv(folder / f"{name}.csv", told["rows"])
    write_figure(folder / name, figure)
    write_json(folder / f"{name}.json", told)
    return told


def _scores(held: Mapping[str, Mapping[str, float | None]]) -> Row:
    row: Row = {}
    for _, key in COLUMNS:
        if key not in held:
            continue
        mean = held[key]["mean"]
        row[key] = int(mean) if key in COUNTS and mean is not None else mean
        if key not in COUNTS:
            row |= {f"{key}_{end}": held[key][end] for end in SPREAD}
    return row


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    if value is None:
        # A score of ours that is None is undefined, as correlation with a constant is; what else is missing was not stated.
        return "undefined" if f"{key}_std" in row and row["source"] == OURS else "-"
    if isinstance(value, str | int):
        return str(value)
    if key in AS_IT_IS:
        return f"{value:g}"
    if row["source"] == PUBLISHED:
        return f"{value:.{max(3, len(f'{value:g}') - 2)}f}"  # digits as printed: 0.760, 0.8675
    high = row.get(f"{key}_high")
    return f"{value:.4f}" if not isinstance(high, float) else f"{value:.4f} +-{high - value:.4f}"
