"""What a run leaves for people: tables, metrics and predictions."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from sadgr.cache.publish import replace
from sadgr.train.checkpoint import write_json
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.loop import Row

Metrics = Mapping[str, float | int | None]
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
)


def metrics_table(dataset: str, metrics: Mapping[str, Metrics]) -> str:
    """One line a split; data set and N stand beside every score, 4 digits as MMSA prints."""
    rows = [["data set", "split", *(title for title, _ in COLUMNS)]]
    rows += [[dataset, split, *(_shown(scores[key]) for _, key in COLUMNS)] for split, scores in metrics.items()]
    return _aligned(rows)


def retrieval_table(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """One line a measure, before and after pretraining."""
    return _aligned(
        [["held-out", "before", "after"], *([key, _shown(before[key]), _shown(after[key])] for key in after)]
    )


def write_run(folder: Path, data: FitData, result: FitResult) -> None:
    """Write history.csv, predictions.csv and, last, metrics.json, whose presence says that the run is complete."""
    epochs = [{"epoch": number, **_renamed(row)} for number, row in enumerate(result.history, start=1)]
    write_csv(folder / "history.csv", epochs)
    write_csv(
        folder / "predictions.csv",
        [
            {"clip_id": clip.clip_id, "split": split, "target": clip.target, "prediction": float(score)}
            for split, clips in data.splits.items()
            for clip, score in zip(clips, result.predictions[split], strict=True)
        ],
    )
    summary = {"best_epoch": result.best_epoch, "epochs": len(result.history)}
    write_json(folder / "metrics.json", {**result.metrics, **summary})


def write_csv(path: Path, rows: Sequence[Mapping[str, str | float]]) -> None:
    """Write rows that share their columns."""
    replace(path, csv_text(rows).encode())


def csv_text(rows: Sequence[Mapping[str, str | float]]) -> str:
    """CSV of rows that share their columns."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _renamed(row: Row) -> Row:
    return {"valid_mae" if name == "score" else name: value for name, value in row.items()}


def _shown(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
