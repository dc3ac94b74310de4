"""Whether outputs mean what they say, bin by bin and class by class, and the files that tell it of a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sadgr.train.checkpoint import write_json
from sadgr.train.metrics import groupings
from sadgr.train.report import SavedRun
from sadgr.train.tables import over_seeds, write_csv

N_BINS = 10
SUMMED_UP = {"regression": ("slope", "intercept"), "classification": ("ece",), "multilabel": ("ece",)}
Cells = dict[str, str | float | None]


@dataclass(frozen=True)
class Bin:
    """Clips whose predictions lie near each other.

    Attributes:
        low: Least prediction that belongs here.
        high: Where the next bin begins.
        n: Clips.
        predicted: Mean prediction; None without clips.
        observed: What is true of them on average: how many are right, how many have the label, or the mean truth.
    """

    low: float
    high: float
    n: int
    predicted: float | None
    observed: float | None


@dataclass(frozen=True)
class Calibration:
    """How predictions lie against the truth.

    Attributes:
        name: Of the output: the label or the column; `confidence` for that of the likeliest class.
        n: Clips.
        bins: From the least prediction to the greatest.
        ece: Expected calibration error, sum over bins of n_bin / n |observed - predicted|; None for regression.
        slope: Of the least-squares line truth = slope * prediction + intercept; None for probabilities, and where all
            predictions are alike.
        intercept: Likewise.
    """

    name: str
    n: int
    bins: tuple[Bin, ...]
    ece: float | None
    slope: float | None
    intercept: float | None


def calibrations(outputs: Tensor, target: Tensor, task: str, names: Sequence[str]) -> list[Calibration]:
    """Hold a model's outputs against the truth.

    Args:
        outputs: (n, O) of the model, n > 0: logits where they are classes or labels.
        target: (n, T).
        task: regression, classification or multilabel.
        names: What each output stands for.

    Returns:
        One for regression and for classification, one a label.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, eq. 3, with ten bins of equal width.
    """
    outputs, target = outputs.double(), target.double()
    if task == "regression":
        return [regression_calibration(outputs[:, 0].numpy(), target[:, 0].numpy(), names[0])]
    if task == "classification":
        confidence, likeliest = outputs.softmax(dim=1).max(dim=1)
        return [reliability(confidence.numpy(), (likeliest == target[:, 0]).double().numpy(), "confidence")]
    chances, held = outputs.sigmoid().numpy(), (target > 0).double().numpy()
    return [reliability(chances[:, k], held[:, k], name) for k, name in enumerate(names)]


def reliability(chance: NDArray[np.float64], happened: NDArray[np.float64], name: str) -> Calibration:
    """Hold probabilities (n,) against what happened (n,), 0 or 1."""
    bins = _binned(chance, happened, np.linspace(0.0, 1.0, N_BINS + 1))
    gaps = [one.n * abs((one.observed or 0.0) - (one.predicted or 0.0)) for one in bins]  # 0 where there are no clips
    return Calibration(name, len(chance), bins, sum(gaps) / len(chance), None, None)


def regression_calibration(prediction: NDArray[np.float64], truth: NDArray[np.float64], name: str) -> Calibration:
    """Hold numbers (n,) against the truth (n,), in bins of about as many clips each; like predictions stay together."""
    edges = np.unique(np.quantile(prediction, np.linspace(0.0, 1.0, N_BINS + 1)))
    if len(edges) == 1:
        return Calibration(name, len(truth), _binned(prediction, truth, np.repeat(edges, 2)), None, None, None)
    centred = prediction - prediction.mean()
    slope = float(centred @ (truth - truth.mean()) / (centred @ centred))
    intercept = float(truth.mean() - slope * prediction.mean())
    return Calibration(name, len(truth), _binned(prediction, truth, edges), None, slope, intercept)


def _binned(prediction: NDArray[np.float64], truth: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[Bin, ...]:
    """Sort clips into half-open bins, of which the last holds its upper edge, too."""
    places = np.searchsorted(edges[1:-1], prediction, side="right")
    bins = []
    for place, (low, high) in enumerate(pairwise(edges)):
        here = places == place
        n = int(here.sum())
        means = (float(prediction[here].mean()), float(truth[here].mean())) if n else (None, None)
        bins.append(Bin(float(low), float(high), n, *means))
    return tuple(bins)


def write_report(run: Path, saved: SavedRun) -> None:
    """Write how a run does class by class, and how its predictions are calibrated, on valid and test.

    report.json and report.csv hold precision, recall, F1 and support, confusion.csv the numbers of clips behind them,
    calibration.json and calibration.csv what the calibration figure shows. The CSV files have each seed by itself, the JSON
    files mean and 95 % interval over seeds.
    """
    task, names = saved.target.task, saved.target.outputs
    about: dict[str, Any] = {"dataset": saved.dataset, "task": task, "seeds": list(saved.seeds)}
    report, calibration = {**about, "splits": {}}, {**about, "splits": {}}
    scores: list[Cells] = []
    counts: list[Cells] = []
    bins: list[Cells] = []
    for split, found in saved.held_out.items():
        grouped = [groupings(one, found.target, task, names) for one in found.outputs]
        report["splits"][split] = {
            of_seeds[0].name: {
                "N": int(of_seeds[0].counts.sum()),
                "classes": {name: over_seeds([one.scores()[name] for one in of_seeds]) for name in of_seeds[0].classes},
            }
            for of_seeds in zip(*grouped, strict=True)
        }
        held = [calibrations(one, found.target, task, names) for one in found.outputs]
        calibration["splits"][split] = {
            of_seeds[0].name: {"N": of_seeds[0].n}
            | over_seeds([{key: getattr(one, key) for key in SUMMED_UP[task]} for one in of_seeds])
            for of_seeds in zip(*held, strict=True)
        }
        for seed, groups, curves in zip(saved.seeds, grouped, held, strict=True):
            place: Cells = {"split": split, "seed": seed}
            for group in groups:
                here = {**place, "grouping": group.name}
                scores += [{**here, "class": name, **values} for name, values in group.scores().items()]
                counts += [
                    {**here, "truth": group.classes[row], "prediction": group.classes[column], "clips": int(n)}
                    for (row, column), n in np.ndenumerate(group.counts)
                ]
            bins += [{**place, "output": curve.name, **asdict(one)} for curve in curves for one in curve.bins]
    for file, rows in (("report", scores), ("confusion", counts), ("calibration", bins)):
        write_csv(run / f"{file}.csv", rows)
    write_json(run / "calibration.json", calibration)
    write_json(run / "report.json", report)
