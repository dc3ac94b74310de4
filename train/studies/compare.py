"""All models on the same frozen features, splits, seeds and scores: one table, one figure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sadgr.train.config import FitConfig, ModelConfig, ModelName
from sadgr.train.errors import TrainError
from sadgr.train.logs import Log
from sadgr.train.prepare import HeldData, prepare
from sadgr.train.pretrain import load_heads
from sadgr.train.request import FitRequest
from sadgr.train.significance import compare_runs
from sadgr.train.studies.compare_text import FIRST, SADGR, columns_after, cost_cells, notes_of, readable, title_of
from sadgr.train.studies.costs import Costs
from sadgr.train.studies.draw import forest
from sadgr.train.studies.rows import Row, held_out, our_rows, shown, write_table
from sadgr.train.studies.runner import silent
from sadgr.train.studies.variations import Variation

NAME = "compare"


def variations_of(base: FitRequest, names: Sequence[ModelName]) -> list[Variation]:
    """Give a run for each model. What is SADGR's alone, such as pretrained heads, goes to SADGR alone.

    Args:
        base: What is asked for, with SADGR's heads and settings.
        names: Of models.

    Raises:
        TrainError: Heads that cannot be read.
    """
    audio_mean = load_heads(base.heads).plan["settings"]["audio_mean"] if base.heads else base.audio_mean
    config = replace(base.config, freeze_heads=False, contrastive_weight=FitConfig().contrastive_weight)
    rival = replace(base, config=config, model=ModelConfig(), heads=None, audio_mean=audio_mean)  # one copy of the data
    return [Variation(name, title_of(name), base if name == SADGR else replace(rival, name=name)) for name in names]


def suitable(cache: Path, variations: Sequence[Variation], log: Log) -> tuple[list[Variation], dict[str, str]]:
    """Tell models that suit the task from those that do not.

    Args:
        cache: Where the features are.
        variations: Those of `variations_of`.
        log: Told of each that is left out.

    Returns:
        Variations that remain, and model -> why it was left out.

    Raises:
        TrainError: Data or settings that no training can use, or no model remains.
    """
    held: HeldData = {}
    left_out = {}
    for one in variations:
        described = prepare(cache, one.request, silent, held).model
        try:
            with torch.random.fork_rng(devices=[]):
                described.build()
        except TrainError as error:
            left_out[one.name] = str(error)
            log(f"left out: {one.title}: {error}")
    if len(left_out) == len(variations):
        raise TrainError(f"no model suits the task: {'; '.join(left_out.values())}")
    return [one for one in variations if one.name not in left_out], left_out


def compare_table(
    study: Path,
    variations: Sequence[Variation],
    failed: Mapping[str, str],
    left_out: Mapping[str, str],
    costs: Mapping[str, Costs],
) -> tuple[str, dict[str, Any]]:
    """Hold complete models beside each other; compare.csv, .json, .png and .svg go to the study's folder.

    Args:
        study: Folder of the study.
        variations: Models that suit the task.
        failed: Variation -> what went wrong; it has no row.
        left_out: Model -> why it does not suit the task.
        costs: Variation -> what it costs.

    Returns:
        The table as printed, and what the JSON holds.
    """
    complete = [one for one in variations if one.name not in failed]
    every = [row for one in complete for row in our_rows(study / one.name, ("valid", "test"), {"model": one.title})]
    split = held_out(every)
    rows = [row for row in every if row["split"] == split]
    for one, row in zip(complete, rows, strict=True):
        row |= cost_cells(costs.get(one.name))
    metric = _against_sadgr(study, complete, split, rows)
    notes = [
        *notes_of(complete, costs, metric, split),
        *(f"left out: {title_of(one)}: {left_out[one]}" for one in left_out),
    ]
    more = {"split": split, "metric": metric, "failed": dict(failed), "left_out": dict(left_out), "notes": notes}
    told = write_table(study, NAME, rows, more, forest(rows, [], "model"))
    return shown([readable(row) for row in rows], FIRST, columns_after(metric, rows[0])), told


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for being several, so that one below 0.05 by chance alone is found in 5 % of such tables at most.

    Reference:
        Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda one: p[one])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = largest
    return corrected


def _against_sadgr(study: Path, complete: Sequence[Variation], split: str, rows: Sequence[Row]) -> str | None:
    """Put each model's difference from SADGR into its row, and give the metric; None where SADGR is not among them."""
    names = [one.name for one in complete]
    for row in rows:
        row |= dict.fromkeys(("difference", "difference_low", "difference_high", "p", "p_holm"))
    rivals = [place for place, name in enumerate(names) if name != SADGR]
    if SADGR not in names or not rivals:
        return None
    found = [compare_runs(study / names[place], study / SADGR, split, None, seed=1111)[1] for place in rivals]
    for place, one, corrected in zip(rivals, found, holm([one.p for one in found]), strict=True):
        rows[place].update(
            difference=one.difference, difference_low=one.low, difference_high=one.high, p=one.p, p_holm=corrected
        )
    return found[0].metric
