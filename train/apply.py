"""A finished run on a cache: predictions of its clips, and scores of those that have labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sadgr.cache import Dataset
from sadgr.train.answers import Row, prediction_rows
from sadgr.train.data import Clips, clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.gather import modalities_present, report_absent, split_of
from sadgr.train.logs import Log
from sadgr.train.opened import Opened, Source, open_run
from sadgr.train.predict import predict
from sadgr.train.rundir import computing_device
from sadgr.train.tables import over_seeds
from sadgr.train.tasks import TASKS, Target, labelled


@dataclass(frozen=True)
class HeldOut:
    """Labelled clips of a split, and the models that answer them, on the computing device.

    Attributes:
        opened: The run and the data set.
        split: The split's name.
        clips: Its clips.
        unseen: Ids of those that have none of the modalities looked at: learned vectors alone stand for them.
    """

    opened: Opened
    split: str
    clips: Clips
    unseen: Sequence[str]


def run_predict(run: Path, source: Source, log: Log) -> tuple[list[Row], list[str]]:
    """Score all clips of a data set, labelled or not.

    Returns:
        A row for each clip that has one of the modalities looked at, and the ids of those that have none.

    Raises:
        TrainError: No clip has any, or see `open_run`.
    """
    opened = open_run(run, source, log)
    clips = opened.clips(list(opened.data.labels().index), log)
    scored = [clip for clip in clips if any(modalities_present(clip))]
    if not scored:
        raise TrainError(
            f"no clip of data set {opened.data.name} has {' or '.join(opened.modalities)} features: run sadgr-extract on its "
            "source"
        )
    report_absent(scored, log)
    held = Clips(
        [clip_tensors(clip, opened.widths, opened.config["audio_mean"]) for clip in scored], computing_device()
    )
    rows = prediction_rows(held.ids, [predict(model, held) for model in opened.models], opened.target)
    return rows, [clip.clip_id for clip in clips if not any(modalities_present(clip))]


def held_out(run: Path, source: Source, split: str, log: Log) -> HeldOut:
    """Read the labelled clips of a split for a run's models.

    Every one of them counts, as in training: where a clip has none of the modalities, learned vectors answer for it, so that
    scores with some modalities and with all of them are over the same clips.

    Raises:
        TrainError: The data set has no such labels or no labelled clips in the split, or see `open_run`.
    """
    opened = open_run(run, source, log)
    rows = _labelled_rows(opened.data, opened.target)
    chosen = rows[rows["mode"] == split]
    if chosen.empty:
        found = ", ".join(f"{name} {n}" for name, n in rows["mode"].value_counts().items()) or "none in any"
        raise TrainError(
            f"data set {opened.data.name} has no labelled clips in split {split} (found: {found}): choose another with "
            "--split, or set it in the `mode` column of its labels.csv"
        )
    values = dict(zip(chosen.index, _values(chosen, opened.target, opened.data.name), strict=True))
    # All labelled clips, as training gathered them: of one data set, one snapshot serves both.
    clips = [clip for clip in opened.clips(list(rows.index), log) if clip.clip_id in values]
    report_absent(clips, log)
    mean = opened.config["audio_mean"]
    tensors = [clip_tensors(clip, opened.widths, mean, values[clip.clip_id]) for clip in clips]
    unseen = [clip.clip_id for clip in clips if not any(modalities_present(clip))]
    return HeldOut(opened, split, Clips(tensors, computing_device()), unseen)


def run_evaluate(run: Path, source: Source, split: str, log: Log) -> dict[str, Any]:
    """Score a run on the labelled clips of a split.

    Returns:
        `dataset`, `seeds` and `splits` as a run's metrics.json has them (of each score: mean, std, low and high over seeds), and
        besides `modalities`, `by_seed` (the scores of each seed) and `unseen` (ids of clips that have none of the modalities).
    """
    held = held_out(run, source, split, log)
    opened, clips = held.opened, held.clips
    if held.unseen:
        listed = ", ".join(held.unseen)
        log(f"{len(held.unseen)} of {len(clips)} clips have none of these; learned vectors answer for them: {listed}")
    metrics = TASKS[opened.target.task].metrics
    by_seed = [metrics(predict(model, clips).outputs, clips.target, opened.target.outputs) for model in opened.models]
    return {
        "dataset": opened.data.name,
        "seeds": opened.config["seeds"],
        "splits": {split: over_seeds(by_seed)},
        "modalities": list(opened.modalities),
        "by_seed": [dict(one) for one in by_seed],
        "unseen": list(held.unseen),
    }


def _labelled_rows(data: Dataset, target: Target) -> pd.DataFrame:
    """Rows that have a split and a label, indexed by clip id: `mode` and the target's columns."""
    labels, columns = data.labels(), list(target.columns)
    absent = [column for column in columns if column not in labels]
    if absent:
        raise TrainError(
            f"data set {data.name} has no labels to score against: the model learned {', '.join(columns)}, its labels.csv has "
            f"{', '.join(map(str, labels.columns))}; sadgr-train predict needs none"
        )
    rows = labels[(split_of(labels) != "") & labelled(labels, columns)]
    return rows.reindex(columns=["mode", *columns])


def _values(rows: pd.DataFrame, target: Target, name: str) -> list[tuple[float, ...]]:
    """Targets of rows; what the model has no output for has no score."""
    for column in target.columns:
        if target.task != "classification" and not pd.api.types.is_numeric_dtype(rows[column]):
            raise TrainError(f"data set {name}: column {column!r} must hold numbers only, as in training")
    try:
        return target.values(rows)
    except KeyError as error:
        raise TrainError(
            f"data set {name}: a clip's {target.columns[0]} is {error.args[0]!r}, which the model never saw; it knows "
            f"{', '.join(target.outputs)}"
        ) from error
