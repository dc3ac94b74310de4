"""What a run leaves for people: tables, metrics and predictions."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from scipy.stats import t

from sadgr.cache.publish import replace
from sadgr.train.checkpoint import write_json
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.loop import Row
from sadgr.train.metrics import Metrics
from sadgr.train.predict import Predicted
from sadgr.train.tasks import Target

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
    return _aligned(rows)


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


def _over_seeds(values: Sequence[float | int | None]) -> str:
    first = values[0]
    if len(values) == 1 or isinstance(first, int) or None in values:
        return _shown(first if None not in values else None)
    told = over_seeds([{"score": value} for value in values])["score"]
    return f"{told['mean']:.4f} +-{(told['high'] or 0) - (told['mean'] or 0):.4f}"


def retrieval_table(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """One line a measure, before and after pretraining."""
    return _aligned(
        [["held-out", "before", "after"], *([key, _shown(before[key]), _shown(after[key])] for key in after)]
    )


def write_seed(folder: Path, data: FitData, result: FitResult) -> None:
    """Write history.csv, predictions.csv and, last, metrics.json, whose presence says that this seed is complete."""
    epochs = [{"epoch": number, **_renamed(row)} for number, row in enumerate(result.history, start=1)]
    write_csv(folder / "history.csv", epochs)
    write_csv(
        folder / "predictions.csv",
        [
            {
                "clip_id": clip_id,
                "split": split,
                **_named("target", data.target, target),
                **_named("prediction", data.target, outputs),
            }
            for split, clips in data.splits.items()
            for clip_id, target, outputs in zip(
                clips.ids, clips.target.tolist(), result.predicted[split].outputs.tolist(), strict=True
            )
        ],
    )
    summary = {"best_epoch": result.best_epoch, "epochs": len(result.history)}
    write_json(folder / "metrics.json", {**result.metrics, **summary})


def prediction_rows(ids: Sequence[str], found: Sequence[Predicted], target: Target) -> list[dict[str, str | float]]:
    """One row a clip: the mean over seeds of its outputs, as probabilities where they are classes or labels.

    Args:
        ids: Of the clips.
        found: What each seed's model says of them.
        target: What the outputs stand for.

    Returns:
        `clip_id` and `prediction` (the likeliest class; labels joined by spaces), the probability of each, `low` and `high`
        (least and most of the seeds') where there are several seeds, and `gate_mean` where the model has a gate.
    """
    outputs = torch.stack([one.outputs for one in found])  # (seeds, n, O)
    if target.task == "classification":
        outputs = outputs.softmax(dim=-1)
    elif target.task == "multilabel":
        outputs = outputs.sigmoid()
    mean = outputs.mean(dim=0)
    gates = [one.gate_mean for one in found if one.gate_mean is not None]
    gate = torch.stack(gates).mean(dim=0) if gates else None
    rows: list[dict[str, str | float]] = []
    for place, clip_id in enumerate(ids):
        values = mean[place].tolist()
        row: dict[str, str | float] = {"clip_id": clip_id, "prediction": _decided(values, target)}
        if target.task != "regression":
            row |= {f"p_{name}": value for name, value in zip(target.outputs, values, strict=True)}
        elif len(found) > 1:
            row |= {"low": float(outputs[:, place].min()), "high": float(outputs[:, place].max())}
        rows.append(row if gate is None else {**row, "gate_mean": float(gate[place])})
    return rows


def _decided(values: Sequence[float], target: Target) -> str | float:
    if target.task == "regression":
        return values[0]
    if target.task == "classification":
        return target.outputs[max(range(len(values)), key=lambda number: values[number])]
    return " ".join(name for name, value in zip(target.outputs, values, strict=True) if value > 0.5)


def _named(what: str, target: Target, values: Sequence[float]) -> dict[str, float]:
    """Name values by what they stand for, where there are several."""
    if len(values) == 1:
        return {what: values[0]}
    return {f"{what}_{name}": value for name, value in zip(target.outputs, values, strict=True)}


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
    return {"valid_loss" if name == "score" else name: value for name, value in row.items()}


def _shown(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
