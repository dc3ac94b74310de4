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
from sadgr.train.studies.costs import Costs
from sadgr.train.studies.draw import forest
from sadgr.train.studies.rows import Row, held_out, our_rows, shown, write_table
from sadgr.train.studies.runner import silent
from sadgr.train.studies.variations import Variation
from sadgr.train.tables import COLUMNS

NAME = "compare"
SADGR: ModelName = "sadgr"
SPELLED = {
    "ridge": "ridge regression",
    "text": "text only",
    "concat": "concatenation",
    "late": "late fusion",
    "mult": "MulT",
    "selfmm": "Self-MM",
    "mag": "MAG-BERT",
}
"""How tables call a model where capitals would not do."""
TUNE_BERT = ("misa", "selfmm", "mag", "tetfn", "tchfn", "tmbl")
"""Models whose papers fine-tune BERT."""
FIRST = {"model": "model", "data set": "dataset", "split": "split", "seeds": "seeds"}
MEGABYTE = 1e6


def title_of(name: str) -> str:
    """What tables call a model."""
    return SPELLED.get(name, name.upper())


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
        row |= _cost_cells(costs.get(one.name))
    metric = _against_sadgr(study, complete, split, rows)
    notes = [
        *_notes(complete, costs, metric, split),
        *(f"left out: {title_of(one)}: {left_out[one]}" for one in left_out),
    ]
    more = {"split": split, "metric": metric, "failed": dict(failed), "left_out": dict(left_out), "notes": notes}
    told = write_table(study, NAME, rows, more, forest(rows, [], "model"))
    return shown([_readable(row) for row in rows], FIRST, _last(metric, rows[0])), told


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


def _cost_cells(costs: Costs | None) -> Row:
    if costs is None:
        return dict.fromkeys(("parameters", "epoch_seconds", "clip_milliseconds", "peak_bytes", "measured_on"))
    return {
        "parameters": costs.parameters,
        "epoch_seconds": costs.epoch_seconds,
        "clip_milliseconds": costs.clip_milliseconds,
        "peak_bytes": costs.peak_bytes,
        "measured_on": _machine(costs),
    }


def _machine(costs: Costs) -> str:
    told = costs.machine
    return f"{told['device']} {told['processor']}, {told['threads']} thread{'s' if told['threads'] != 1 else ''}"


def _last(metric: str | None, row: Row) -> dict[str, str]:
    """Title -> key of the columns after the scores."""
    title, key = next((title, key) for title, key in COLUMNS if (key == metric if metric else f"{key}_std" in row))
    last = {f"deviation of {title}": f"{key}_std"}
    if metric:
        last |= {f"{title} less SADGR's": "difference", "p": "p", "p (Holm)": "p_holm"}
    return last | {
        "parameters": "parameters",
        "s an epoch": "epoch_seconds",
        "ms a clip": "clip_milliseconds",
        "peak MB": "peak_bytes",
    }


def _readable(row: Row) -> Row:
    """Give a row with its costs and differences as people read them."""

    def told(key: str, form: str, scale: float = 1.0) -> str | None:
        value = row[key]
        return None if value is None else format(float(value) / scale, form)

    forms = {"difference": "+.4f", "epoch_seconds": ".3g", "clip_milliseconds": ".3g", "parameters": ",.0f"}
    return {
        **row,
        **{key: told(key, form) for key, form in forms.items()},
        "peak_bytes": told("peak_bytes", ",.0f", MEGABYTE),
    }


def _notes(complete: Sequence[Variation], costs: Mapping[str, Costs], metric: str | None, split: str) -> list[str]:
    names = [one.name for one in complete]
    notes = [
        "All models read the same cached features of frozen encoders. Each has its own paper's widths and weights of losses; "
        "optimiser, learning rate, batch size and epochs are the same for all. Nothing was tuned on this data."
    ]
    tuned = [title_of(one) for one in names if one in TUNE_BERT]
    if tuned:
        notes.append(
            f"{', '.join(tuned)}: fine-tuned BERT in {'their papers' if len(tuned) > 1 else 'its paper'}, read cached word "
            "features here; numbers published for them are of fine-tuned encoders."
        )
    heads = next((one.request.heads for one in complete if one.name == SADGR), None)
    if heads:
        seen = load_heads(heads).plan["dataset"]
        notes.append(
            f"SADGR begins with heads pretrained on text and audio of {seen}, without labels; no other model does."
        )
    if metric:
        n_rivals = len(names) - 1
        notes.append(
            f"p: paired bootstrap over the {split} split's clips of {metric}, mean over seeds, against SADGR; p (Holm): "
            f"corrected for {n_rivals} comparison{'s' if n_rivals > 1 else ''}."
        )
    elif SADGR not in names:
        notes.append("SADGR is not among the models: nothing is tested against it.")
    if costs:
        where = ", ".join(dict.fromkeys(_machine(one) for one in costs.values()))
        notes.append(
            f"Times and memory are of the machine that measured them ({where}), one model at a time: an epoch with scoring the "
            "valid split and saving; a clip predicted by itself; the process's memory with libraries and features."
        )
    return notes
