"""What a run leaves for people: tables, metrics and predictions."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import t
from torch import Tensor

from sadgr.cache.publish import replace
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.loop import HISTORY_FILE, Row, read_history, write_history
from sadgr.train.metrics import Metrics
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


def _over_seeds(values: Sequence[float | int | None]) -> str:
    first = values[0]
    if len(values) == 1 or isinstance(first, int) or None in values:
        return _shown(first if None not in values else None)
    told = over_seeds([{"score": value} for value in values])["score"]
    return f"{told['mean']:.4f} +-{(told['high'] or 0) - (told['mean'] or 0):.4f}"


def retrieval_table(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """One line a measure, before and after pretraining."""
    return aligned(
        [["held-out", "before", "after"], *([key, _shown(before[key]), _shown(after[key])] for key in after)]
    )


def write_seed(folder: Path, data: FitData, result: FitResult) -> None:
    """Write history.csv, predictions.csv and, last, metrics.json, whose presence says that this seed is complete."""
    write_history(folder / HISTORY_FILE, result.history)  # a model that is solved has no epochs to write it as they go
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


@dataclass(frozen=True)
class SplitOutputs:
    """What the models of a run said of a split's n clips.

    Attributes:
        ids: Of the clips.
        outputs: (seeds, n, O).
        target: (n, T).
    """

    ids: tuple[str, ...]
    outputs: Tensor
    target: Tensor


@dataclass(frozen=True)
class SavedRun:
    """A run as its files tell it.

    Attributes:
        dataset: The data set's name.
        target: What was learned.
        seeds: One a model.
        splits: By name; train is among them.
        histories: For each seed, a row an epoch.
        best_epochs: For each seed, counted from 1.
    """

    dataset: str
    target: Target
    seeds: tuple[int, ...]
    splits: Mapping[str, SplitOutputs]
    histories: tuple[tuple[Row, ...], ...]
    best_epochs: tuple[int, ...]

    @property
    def held_out(self) -> dict[str, SplitOutputs]:
        """The splits that were not learned from."""
        return {name: self.splits[name] for name in ("valid", "test") if name in self.splits}


def read_run(run: Path) -> SavedRun:
    """Read what a run's seeds left; numbers come back to the bit.

    Raises:
        TrainError: No run there, one that is unfinished, or files that do not belong together.
    """
    config = read_json(run / "config.json")
    told = config["target"]
    folders = [run / f"seed-{seed}" for seed in config["seeds"]]
    if not all((folder / "metrics.json").exists() for folder in folders):
        raise TrainError(f"{run} is unfinished: start the same sadgr-train fit again first")
    by_seed = [_read_predictions(folder / "predictions.csv") for folder in folders]
    for folder, one in zip(folders, by_seed, strict=True):
        if any(one[split][:2] != found[:2] for split, found in by_seed[0].items()):
            raise TrainError(f"{folder} is of other clips than {folders[0]}: fit the run anew in a new folder")
    return SavedRun(
        config["dataset"],
        Target(told["task"], tuple(told["columns"]), tuple(told["outputs"])),
        tuple(config["seeds"]),
        {
            split: SplitOutputs(ids, torch.tensor([one[split][2] for one in by_seed]), torch.tensor(target))
            for split, (ids, target, _) in by_seed[0].items()
        },
        tuple(read_history(folder / HISTORY_FILE) for folder in folders),
        tuple(read_json(folder / "metrics.json")["best_epoch"] for folder in folders),
    )


Values = list[list[float]]


def _read_predictions(path: Path) -> dict[str, tuple[tuple[str, ...], Values, Values]]:
    """Ids, targets and outputs of each split's clips, as `write_seed` wrote them."""
    found: dict[str, tuple[list[str], Values, Values]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            ids, targets, outputs = found.setdefault(row["split"], ([], [], []))
            ids.append(row["clip_id"])
            targets.append([float(value) for name, value in row.items() if name.startswith("target")])
            outputs.append([float(value) for name, value in row.items() if name.startswith("prediction")])
    return {split: (tuple(ids), targets, outputs) for split, (ids, targets, outputs) in found.items()}


def _named(what: str, target: Target, values: Sequence[float]) -> dict[str, float]:
    """Name values by what they stand for, where there are several."""
    if len(values) == 1:
        return {what: values[0]}
    return {f"{what}_{name}": value for name, value in zip(target.outputs, values, strict=True)}


def write_csv(path: Path, rows: Sequence[Mapping[str, str | float | None]]) -> None:
    """Write rows that share their columns; None is an empty cell."""
    replace(path, csv_text(rows).encode())


def csv_text(rows: Sequence[Mapping[str, str | float | None]]) -> str:
    """CSV of rows that share their columns."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _shown(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def aligned(rows: list[list[str]]) -> str:
    """Set rows of cells in columns, their ends below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
