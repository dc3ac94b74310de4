"""What a run says of a data set's clips, read and computed once for all pages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sadgr.cache import ClipFeatures
from sadgr.train.answers import Row, prediction_rows
from sadgr.train.data import Clips, ClipTensors, clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.gather import modalities_present, report_absent, split_of
from sadgr.train.logs import Log
from sadgr.train.opened import Opened
from sadgr.train.predict import Predicted, predict
from sadgr.train.rundir import computing_device
from sadgr.train.tasks import Target, labelled

HELD_OUT = ("test", "valid")
"""Splits that are shown where none is named: the first that has labelled clips."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What the models of a run say of n clips, in the order of `labels.csv`.

    Attributes:
        opened: The run and the data set; the models are on the CPU by now.
        ids: Of the clips.
        rows: What `sadgr-train predict` says of each.
        outputs: (seeds, n, O) of the models: logits where they are classes or labels.
        truth: (n, T); NaN where nothing is known, or only a class that the run never saw.
        split: Whose labelled clips the scores are over; None where the data set has none.
        chosen: (m,) places of these clips among the n.
        text_mean: (n, Dt) for the shared space.
        audio_mean: (n, Da) likewise.
        paired: (n,) bool, whether a clip has both.
        unseen: Clips of the split that have no modality; learned vectors answer for them.
    """

    opened: Opened
    ids: tuple[str, ...]
    rows: tuple[Row, ...]
    outputs: Tensor
    truth: Tensor
    split: str | None
    chosen: Tensor
    text_mean: Tensor
    audio_mean: Tensor
    paired: Tensor
    unseen: frozenset[str]

    @property
    def target(self) -> Target:
        """What the models learned."""
        return self.opened.target

    @property
    def seeds(self) -> tuple[int, ...]:
        """One a model."""
        return tuple(self.opened.config["seeds"])

    def of_split(self) -> tuple[Tensor, Tensor]:
        """Return outputs (seeds, m, O) and truths (m, T) of the split's labelled clips."""
        return self.outputs[:, self.chosen], self.truth[self.chosen]


def score(opened: Opened, labels: pd.DataFrame, split: str | None, log: Log) -> Scored:
    """Let a run's models answer for the clips of a data set.

    Scored are all clips that have a modality, as by `sadgr-train predict`; and of the split all that have labels, as by
    `sadgr-train evaluate`, so that its scores are the same.

    Args:
        opened: The run and the data set.
        labels: Its `labels.csv`.
        split: Whose labelled clips are held against the truth; None for test or valid.
        log: Takes what is worth knowing.

    Raises:
        TrainError: No clip can be scored, or the named split has no labelled clips.
    """
    truth = _truths(labels, opened.target, opened.data.name)
    modes = split_of(labels).to_numpy(str)
    known = ~np.isnan(truth).any(axis=1)
    split = _split(modes, known, split, opened)
    clips = opened.clips(list(labels.index), log)
    seen = np.array([any(modalities_present(clip)) for clip in clips], bool)
    counted = known & (modes == split) if split else np.zeros(len(labels), bool)
    kept = np.flatnonzero(seen | counted)
    if not len(kept):
        raise TrainError(
            f"no clip of data set {opened.data.name} has {' or '.join(opened.modalities)} features: run sadgr-extract on its "
            "source"
        )
    report_absent([clips[place] for place in kept], log)
    tensors = [_tensors(clips[place], opened) for place in kept]
    found = [_predicted(opened, tensors, seen[kept], number) for number in range(len(opened.models))]
    for model in opened.models:
        model.cpu()
    ids = [one.clip_id for one in tensors]
    return Scored(
        opened=opened,
        ids=tuple(ids),
        rows=tuple(prediction_rows(ids, found, opened.target)),
        outputs=torch.stack([one.outputs for one in found]),
        truth=torch.from_numpy(truth[kept]),
        split=split,
        chosen=torch.from_numpy(np.flatnonzero(counted[kept])),
        text_mean=torch.stack([one.text_mean for one in tensors]),
        audio_mean=torch.stack([one.audio_mean for one in tensors]),
        paired=torch.tensor([one.paired for one in tensors]),
        unseen=frozenset(one for one, has in zip(ids, seen[kept].tolist(), strict=True) if not has),
    )


def _tensors(clip: ClipFeatures, opened: Opened) -> ClipTensors:
    return clip_tensors(clip, opened.widths, opened.config["audio_mean"])


def _predicted(opened: Opened, tensors: Sequence[ClipTensors], seen: np.ndarray, number: int) -> Predicted:
    """Predict clips that have features by themselves, so that their numbers are `predict`'s to the last digit."""
    outputs: list[Tensor] = [torch.empty(0)] * len(tensors)
    gates: list[Tensor] = []
    places: list[int] = []
    for group in (np.flatnonzero(seen).tolist(), np.flatnonzero(~seen).tolist()):
        if not group:
            continue
        found = predict(opened.models[number], Clips([tensors[place] for place in group], computing_device()))
        for place, output in zip(group, found.outputs, strict=True):
            outputs[place] = output
        if found.gate_mean is not None:
            gates.append(found.gate_mean)
            places += group
    gate = torch.cat(gates)[torch.from_numpy(np.argsort(places))] if gates else None
    return Predicted(torch.stack(outputs), gate)


def _truths(labels: pd.DataFrame, target: Target, name: str) -> np.ndarray:
    """Return (n, T) truths as the run's outputs are counted; NaN where there is none."""
    width = len(target.columns) if target.task == "multilabel" else 1
    truth = np.full((len(labels), width), np.nan)
    if any(column not in labels for column in target.columns):
        return truth
    for place in np.flatnonzero(labelled(labels, list(target.columns)).to_numpy()).tolist():
        try:
            truth[place] = target.values(labels.iloc[place : place + 1])[0]
        except KeyError:
            continue  # a class that no output stands for
        except ValueError as error:
            raise TrainError(
                f"data set {name}: {', '.join(target.columns)} of clip {labels.index[place]!r} must be a number, as in "
                f"training: {error}"
            ) from error
    return truth


def _split(modes: np.ndarray, known: np.ndarray, wanted: str | None, opened: Opened) -> str | None:
    if wanted is None:
        return next((one for one in HELD_OUT if (known & (modes == one)).any()), None)
    if not (known & (modes == wanted)).any():
        found = ", ".join(sorted(set(modes[known].tolist()) - {""})) or "none"
        raise TrainError(
            f"data set {opened.data.name} has no labelled clips in split {wanted} (splits with labels: {found}): choose "
            "another with --split, or set it in the `mode` column of its labels.csv"
        )
    return wanted
