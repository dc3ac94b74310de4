"""What the page of predictions shows: truth against prediction, the worst errors, confusion, calibration."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sadgr.cache.report import clip_path
from sadgr.train.calibration import SUMMED_UP, calibrations
from sadgr.train.metrics import groupings
from sadgr.train.report_site.scored import Scored
from sadgr.train.tables import over_seeds
from sadgr.train.tasks import TASKS, Target

WORST = 100
"""Rows of the table of errors; the table of clips has them all."""
LONGEST_TEXT = 200
HEAT_STEPS = 10


def chances(outputs: Tensor, target: Target) -> Tensor:
    """Return (n, O), the mean over seeds of what models say (seeds, n, O): a number, or the probability of each output."""
    if target.task == "classification":
        outputs = outputs.softmax(dim=-1)
    elif target.task == "multilabel":
        outputs = outputs.sigmoid()
    return outputs.mean(dim=0)


def clip_errors(outputs: Tensor, truth: Tensor, target: Target) -> Tensor:
    """Return how far off each clip is, (n,); NaN where the truth is not known.

    Of a number its distance to the truth; of classes the probability that the true one lacks; of labels the mean distance of
    the probabilities to 0 and 1.

    Args:
        outputs: (seeds, n, O).
        truth: (n, T).
        target: What they stand for.
    """
    said = chances(outputs, target)
    if target.task != "classification":
        return (said - truth).abs().mean(dim=1)
    known = ~truth[:, 0].isnan()
    right = said.gather(1, truth.nan_to_num()[:, :1].long())[:, 0]  # (n,)
    return (1 - right).where(known, torch.nan)


def truth_told(truth: Sequence[float], target: Target) -> str | float | None:
    """Return a clip's truth for people: a number, the class, or the labels; None where it is not known."""
    if any(value != value for value in truth):
        return None
    if target.task == "regression":
        return truth[0]
    if target.task == "classification":
        return target.outputs[int(truth[0])]
    return " ".join(name for name, value in zip(target.outputs, truth, strict=True) if value > 0)


def predictions_page(scored: Scored, labels: pd.DataFrame, paged: Collection[str]) -> dict[str, Any]:
    """Return what the page shows of the split's labelled clips, as plain data.

    Args:
        scored: With a split.
        labels: `labels.csv`.
        paged: Ids of clips that have a page.
    """
    outputs, truth = scored.of_split()
    task, names = scored.target.task, scored.target.outputs
    metrics = over_seeds([TASKS[task].metrics(one, _as_metrics_take(truth), names) for one in outputs])
    return {
        "split": scored.split,
        "dataset": scored.opened.data.name,
        "task": task,
        "seeds": scored.seeds,
        "n": len(truth),
        "unseen": len(scored.unseen),
        "metrics": metrics,
        "worst": worst(scored, labels, paged),
        "confusion": confusion(outputs, truth, scored.target),
        "calibration": calibration(outputs, truth, scored.target),
    }


def _as_metrics_take(truth: Tensor) -> Tensor:
    return truth.float()


def worst(scored: Scored, labels: pd.DataFrame, paged: Collection[str]) -> list[dict[str, Any]]:
    """Return the clips of the split that are farthest off, the worst first; of equal ones the first of `labels.csv`."""
    outputs, truth = scored.of_split()
    errors = clip_errors(outputs, truth, scored.target)
    texts = labels.get("text")
    rows = []
    for place in errors.argsort(descending=True, stable=True)[:WORST].tolist():
        number = int(scored.chosen[place])
        clip_id, row = scored.ids[number], scored.rows[number]
        rows.append(
            {
                "clip_id": clip_id,
                "page": clip_path(clip_id) if clip_id in paged else None,
                "truth": truth_told(truth[place].tolist(), scored.target),
                "prediction": row["prediction"],
                "low": row.get("low"),
                "high": row.get("high"),
                "error": float(errors[place]),
                "text": "" if texts is None else _cut(str(texts[clip_id])),
            }
        )
    return rows


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def scatter(scored: Scored, links: Mapping[str, str]) -> dict[str, Any]:
    """Return the points of prediction against truth.

    Args:
        scored: With a split.
        links: Id -> link of a clip that has a page.

    Returns:
        `ids`, `links`, and `panels`: `x` the truth, `y` what is said (mean over seeds), `low` and `high` the seeds' range. One
        panel for a number; for classes one, of the true class and the probability it got; a panel a label for labels.
    """
    outputs, truth = scored.of_split()
    target = scored.target
    ids = [scored.ids[place] for place in scored.chosen.tolist()]
    if target.task == "classification":
        said = outputs.softmax(dim=-1).gather(2, truth[None, :, :1].long().expand(len(outputs), -1, -1))
        panels = [_panel("probability of the true class", truth[:, 0], said[..., 0], target.outputs)]
    elif target.task == "multilabel":
        said = outputs.sigmoid()
        panels = [_panel(name, truth[:, k], said[..., k], ("without", "with")) for k, name in enumerate(target.outputs)]
    else:
        panels = [_panel(target.outputs[0], truth[:, 0], outputs[..., 0], None)]
    return {"ids": ids, "links": [links.get(one) for one in ids], "panels": panels}


def _panel(title: str, x: Tensor, y: Tensor, names: Sequence[str] | None) -> dict[str, Any]:
    return {
        "title": title,
        "x": x.tolist(),
        "y": y.mean(dim=0).tolist(),
        "low": y.amin(dim=0).tolist(),
        "high": y.amax(dim=0).tolist(),
        "names": names,
    }


def confusion(outputs: Tensor, truth: Tensor, target: Target) -> list[dict[str, Any]]:
    """Return clips by class of the truth and of the prediction, summed over seeds, and scores of each class over seeds."""
    grouped = [groupings(one, _as_metrics_take(truth), target.task, target.outputs) for one in outputs]
    found = []
    for of_seeds in zip(*grouped, strict=True):
        counts = np.sum([one.counts for one in of_seeds], axis=0)  # (C, C)
        steps = np.round(HEAT_STEPS * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(int)
        classes = of_seeds[0].classes
        found.append(
            {
                "name": of_seeds[0].name,
                "n": int(of_seeds[0].counts.sum()),
                "classes": classes,
                "rows": [
                    [{"count": int(count), "heat": int(step)} for count, step in zip(*row, strict=True)]
                    for row in zip(counts, steps, strict=True)
                ],
                "scores": [(name, over_seeds([one.scores()[name] for one in of_seeds])) for name in classes],
            }
        )
    return found


def calibration(outputs: Tensor, truth: Tensor, target: Target) -> list[dict[str, Any]]:
    """Return what is true against what is predicted, bin by bin, for each seed, and what sums it up over seeds."""
    held = [calibrations(one, _as_metrics_take(truth), target.task, target.outputs) for one in outputs]
    return [
        {
            "name": of_seeds[0].name,
            "probability": target.task != "regression",
            "n": of_seeds[0].n,
            "summary": over_seeds([{key: getattr(one, key) for key in SUMMED_UP[target.task]} for one in of_seeds]),
            "seeds": [
                [
                    {"predicted": one.predicted, "observed": one.observed, "n": one.n, "low": one.low, "high": one.high}
                    for one in curve.bins
                    if one.n
                ]
                for curve in of_seeds
            ],
        }
        for of_seeds in zip(*held, strict=True)
    ]
