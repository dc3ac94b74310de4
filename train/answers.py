"""What a run says of clips, as rows for people: the seeds' mean, and how far seeds agree."""

from collections.abc import Sequence

import torch

from sadgr.train.predict import Predicted
from sadgr.train.tasks import SENTIMENT_COLUMNS, Target

Row = dict[str, str | float]
POLARITIES = ("negative", "neutral", "positive")


def prediction_rows(ids: Sequence[str], found: Sequence[Predicted], target: Target) -> list[Row]:
    """One row a clip: the mean over seeds of its outputs, as probabilities where they are classes or labels.

    Args:
        ids: Of the clips.
        found: What each seed's model says of them.
        target: What the outputs stand for.

    Returns:
        `clip_id` and `prediction` (the likeliest class; labels joined by spaces). For sentiment, `class_7`, the whole number
        in [-3, 3] that Acc-7 takes it for, and `polarity`, the sign of that. For classes and labels, the probability
        `p_<name>` of each. Where there are several seeds, the least and the most that one of them says: `low` and `high`,
        and `low_<name>` and `high_<name>` of probabilities. `gate_mean` where the model has a gate.
    """
    outputs = torch.stack([one.outputs for one in found])  # (seeds, n, O)
    if target.task == "classification":
        outputs = outputs.softmax(dim=-1)
    elif target.task == "multilabel":
        outputs = outputs.sigmoid()
    mean, low, high = outputs.mean(dim=0).tolist(), outputs.amin(dim=0).tolist(), outputs.amax(dim=0).tolist()
    gates = [one.gate_mean for one in found if one.gate_mean is not None]
    gate = torch.stack(gates).mean(dim=0).tolist() if gates else None
    rows: list[Row] = []
    for place, clip_id in enumerate(ids):
        row: Row = {"clip_id": clip_id, "prediction": _decided(mean[place], target)}
        if target.task != "regression":
            row |= {f"p_{name}": value for name, value in zip(target.outputs, mean[place], strict=True)}
        elif target.columns[0] in SENTIMENT_COLUMNS:
            row |= _sentiment_classes(mean[place][0])
        if len(found) > 1:
            row |= _range(low[place], high[place], target)
        rows.append(row if gate is None else {**row, "gate_mean": gate[place]})
    return rows


def _decided(values: Sequence[float], target: Target) -> str | float:
    if target.task == "regression":
        return values[0]
    if target.task == "classification":
        return target.outputs[max(range(len(values)), key=lambda number: values[number])]
    return " ".join(name for name, value in zip(target.outputs, values, strict=True) if value > 0.5)


def _sentiment_classes(score: float) -> Row:
    """Classes of a sentiment: round half to even within [-3, 3], as Acc-7 does (FORMATS.md), and the sign of that."""
    rounded = round(min(max(score, -3.0), 3.0))
    return {"class_7": rounded, "polarity": POLARITIES[(rounded > 0) - (rounded < 0) + 1]}


def _range(low: Sequence[float], high: Sequence[float], target: Target) -> Row:
    if target.task == "regression":
        return {"low": low[0], "high": high[0]}
    named: Row = {}
    for name, least, most in zip(target.outputs, low, high, strict=True):
        named |= {f"low_{name}": least, f"high_{name}": most}
    return named
