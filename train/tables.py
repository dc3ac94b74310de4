"""Scores as people and spreadsheets read them: of one seed or over several, set in columns, and as CSV."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import t

from sadgr.cache.publish import replace
from sadgr.train.metrics import Metrics

COLUMNS = (
    ("N", "N"),
    ("MAE", "MAE"),
    ("Corr", "Corr"),
    ("Acc-7", "Mult_acc_7"),
    ("Acc-2 (-/0+)", "Has0_acc_2"),
    ("F1 (-/0+)", "Has0_F1_score"),
    ("N (-/+)", "Non0_N"),
    ("Acc-2 (-/+)", "Non0_acc_2"),
    ("F1 (-/+)", "Non0_F1_score"),
    ("accuracy", "accuracy"),
    ("F1 weighted", "F1_weighted"),
    ("F1 macro", "F1_macro"),
)


def metrics_table(dataset: str, by_seed: Sequence[Mapping[str, Metrics]]) -> str:
    """One line a split; data set and N stand beside every score, 4 digits as MMSA prints.

    Args:
        dataset: Its name.
        by_seed: For each seed, scores by split; of several, mean and 95 % interval are shown.
    """
    columns = [
        (title, key) for title, key in COLUMNS if any(key in one for scores in by_seed for one in scores.values())
    ]
    rows = [["data set", "split", *(title for title, _ in columns)]]
    for split in by_seed[0]:
        cells = [_over_seeds([scores[split][key] for scores in by_seed]) for _, key in columns]
        rows.append([dataset, split, *cells])
    return aligned(rows)


def over_seeds(by_seed: Sequence[Metrics]) -> dict[str, dict[str, float | None]]:
    """Mean, standard deviation (of a sample) and 95 % interval of the mean (Student's t) of each score.

    What is undefined with one seed is undefined for all. With one seed there is neither deviation nor interval.
    """
    found: dict[str, dict[str, float | None]] = {}
    for key in by_seed[0]:
        values = [scores[key] for scores in by_seed]
        numbers = [float(value) for value in values if value is not None]
        if len(numbers) < len(values):
            found[key] = {"mean": None, "std": None, "low": None, "high": None}
            continue
        mean = statistics.fmean(numbers)
        std = statistics.stdev(numbers) if len(numbers) > 1 else None
        half = None if std is None else float(t.ppf(0.975, len(numbers) - 1)) * std / math.sqrt(len(numbers))
        low, high = (None, None) if half is None else (mean - half, mean + half)
        found[key] = {"mean": mean, "std": std, "low": low, "high": high}
    return found


def retrieval_table(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """One line a measure, before and after pretraining."""
    return aligned(
        [["held-out", "before", "after"], *([key, _shown(before[key]), _shown(after[key])] for key in after)]
    )


def aligned(rows: list[list[str]]) -> str:
    """Set rows of cells in columns, their ends below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def csv_text(rows: Sequence[Mapping[str, str | float | None]]) -> str:
    """CSV of rows that share their columns."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def write_csv(path: Path, rows: Sequence[Mapping[str, str | float | None]]) -> None:
    """Write rows that share their columns; None is an empty cell."""
    replace(path, csv_text(rows).encode())


def _over_seeds(values: Sequence[float | int | None]) -> str:
    first = values[0]
    if len(values) == 1 or isinstance(first, int) or None in values:
        return _shown(first if None not in values else None)
    told = over_seeds([{"score": value} for value in values])["score"]
    return f"{told['mean']:.4f} +-{(told['high'] or 0) - (told['mean'] or 0):.4f}"


def _shown(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
