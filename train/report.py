"""What a run leaves behind, history, predictions and metrics of each seed, and how it is read again."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.logs import HISTORY_FILE, Row, read_history, write_history
from sadgr.train.tables import write_csv
from sadgr.train.tasks import Target


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
