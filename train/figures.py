"""Figures of a run."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from sadgr.cache.publish import replace
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData


def prediction_figure(data: FitData, result: FitResult, dataset: str) -> Figure:
    """Held-out predictions against the truth, and how training went; data set and N stand in the title."""
    split = "test" if "test" in data.splits else "valid"
    truth = data.splits[split].target[:, 0].numpy()
    scores = result.predicted[split].outputs[:, 0].numpy()
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    scatter, curves = figure.subplots(1, 2)
    scatter.axline((0, 0), slope=1, color="0.7", linewidth=1, label="prediction = truth")
    scatter.scatter(truth, scores, s=18, alpha=0.7)
    scatter.set(xlabel="truth", ylabel="prediction", title=f"{dataset}, {split} split, N = {len(truth)}")
    scatter.legend(frameon=False)
    epochs = range(1, len(result.history) + 1)
    curves.plot(epochs, [row["train_loss"] for row in result.history], label="train loss")
    curves.plot(epochs, [row["score"] for row in result.history], label=f"valid loss, N = {len(data.splits['valid'])}")
    curves.axvline(result.best_epoch, color="0.7", linewidth=1, linestyle="--", label="epoch kept")
    curves.set(xlabel="epoch", ylabel="task loss", title="training")
    curves.xaxis.get_major_locator().set_params(integer=True)
    curves.legend(frameon=False)
    return figure


def write_figure(path: Path, figure: Figure) -> None:
    """Write a PNG. A Figure made without pyplot draws with Agg, which needs no display."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    replace(path, buffer.getvalue())
