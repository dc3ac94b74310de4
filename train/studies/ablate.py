"""Table 4: the full model, and what becomes of it without each of its parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sadgr.train.data import Clips
from sadgr.train.predict import BATCH_CLIPS, load_run
from sadgr.train.prepare import HeldData, prepare
from sadgr.train.studies.draw import forest
from sadgr.train.studies.published import TABLE_4
from sadgr.train.studies.rows import Row, held_out, our_rows, published_row, shown, write_table
from sadgr.train.studies.runner import THREADS, silent, threads
from sadgr.train.studies.variations import Variation
from sadgr.train.tables import over_seeds

OSCILLATION = "gate_oscillation"
NAME = "ablation"
FIRST = {"source": "source", "run": "run", "data set": "dataset", "split": "split", "seeds": "seeds"}
NOTES = (
    f"{OSCILLATION}: mean absolute difference between the gates of frames that follow one another in a clip, over the gate's "
    "dimensions, all such pairs of the split and all seeds. A clip's gate is one for all frames: 0 by construction.",
    *TABLE_4.notes,
)


def ablation_table(
    cache: Path, study: Path, variations: Sequence[Variation], failed: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """Hold complete variations beside the paper's Table 4; ablation.csv, .json, .png and .svg go to the study's folder.

    Args:
        cache: Where the features are.
        study: Folder of the study.
        variations: Those of `ablations`.
        failed: Variation -> what went wrong; it has no row.

    Returns:
        The table as printed, and what the JSON holds.
    """
    complete = [one for one in variations if one.name not in failed]
    every = [row for one in complete for row in our_rows(study / one.name, ("valid", "test"), {"run": one.title})]
    split = held_out(every)
    rows = [row for row in every if row["split"] == split]
    held: HeldData = {}
    with threads(THREADS):
        for one, row in zip(complete, rows, strict=True):
            row |= _oscillation_of(cache, study / one.name, one, split, held)
    ours = list(rows)
    rows += [published_row(TABLE_4, one.published, {"run": one.title}) for one in variations if one.published]
    figure = forest(ours, rows[len(ours) :], "run")
    told = write_table(study, NAME, rows, {"split": split, "failed": dict(failed), "notes": list(NOTES)}, figure)
    return shown(rows, FIRST, {"gate oscillation": OSCILLATION}), told


@torch.no_grad()
def oscillation(model: nn.Module, clips: Clips) -> float | None:
    """Measure how much the gates of neighbouring frames differ.

    Args:
        model: In evaluation mode, with a gate for each frame.
        clips: Whose frames.

    Returns:
        Mean over all pairs of neighbouring frames of a clip and over the gate's Dv dimensions of the absolute difference, in
        [0, 1]; None where every clip has one frame only.
    """
    total, pairs = 0.0, 0
    for start in range(0, len(clips), BATCH_CLIPS):
        batch = clips.batch(range(start, min(start + BATCH_CLIPS, len(clips))))
        gate = model(batch).gate  # (F, Dv)
        neighbours = batch.frames.owners[1:] == batch.frames.owners[:-1]  # (F - 1,)
        steps = (gate[1:] - gate[:-1]).abs().mean(dim=1)[neighbours]
        total, pairs = total + float(steps.double().sum()), pairs + len(steps)
    return total / pairs if pairs else None


def _oscillation_of(cache: Path, run: Path, one: Variation, split: str, held: HeldData) -> Row:
    gate = one.request.model.gate
    if gate == "audio":
        return {OSCILLATION: 0.0}
    if gate != "frames":
        return {OSCILLATION: None}
    clips = prepare(cache, one.request, silent, held).data.splits[split]
    models, _, _ = load_run(run)
    scores = over_seeds([{OSCILLATION: oscillation(model.to(clips.device), clips)} for model in models])[OSCILLATION]
    return {OSCILLATION: scores["mean"], **{f"{OSCILLATION}_{end}": scores[end] for end in ("std", "low", "high")}}
