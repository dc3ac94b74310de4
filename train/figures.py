"""Figures of a run, with their numbers beside them."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sadgr.cache.publish import replace
from sadgr.train.calibration import Calibration, calibrations, write_report
from sadgr.train.fit import FitResult
from sadgr.train.gather import FitData
from sadgr.train.metrics import Grouping, groupings
from sadgr.train.report import SavedRun, read_run

PANEL_INCHES = 4.2
PANELS_A_ROW = 3
LETTERS_A_PANEL = 30


def write_reports(run: Path) -> None:
    """Write a finished run's scores by class and calibration, and draw them and its history, PNG and SVG each.

    Raises:
        TrainError: A seed of the run is unfinished.
    """
    saved = read_run(run)
    write_report(run, saved)
    split = "test" if "test" in saved.splits else "valid"
    held_out, task, names = saved.splits[split], saved.target.task, saved.target.outputs
    title = f"{saved.dataset}, {split} split, N = {len(held_out.ids)}{_seeds(saved)}"
    grouped = [groupings(one, held_out.target, task, names) for one in held_out.outputs]
    write_figure(run / "confusion", confusion_figure(grouped, title))
    held = [calibrations(one, held_out.target, task, names) for one in held_out.outputs]
    write_figure(run / "calibration", calibration_figure(held, title))
    write_figure(run / "history", history_figure(saved))


def prediction_figure(data: FitData, result: FitResult, dataset: str) -> Figure:
    """Held-out predictions against the truth, and how training went; data set and N stand in the title."""
    split = "test" if "test" in data.splits else "valid"
    truth = data.splits[split].target[:, 0].cpu().numpy()
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


def confusion_figure(grouped: Sequence[Sequence[Grouping]], title: str) -> Figure:
    """Draw clips by class of the truth and of the prediction, summed over seeds; colour is the part of the truth's class.

    Args:
        grouped: For each seed, its groupings.
        title: Data set, split and N.
    """
    figure, panels = _panels(len(grouped[0]), title)
    for panel, of_seeds in zip(panels, zip(*grouped, strict=True), strict=True):
        counts = np.sum([one.counts for one in of_seeds], axis=0)  # (C, C)
        rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        panel.imshow(rates, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if rates[row, column] > 0.5 else "black"
            panel.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
        classes = of_seeds[0].classes
        ticks = range(len(classes))
        panel.set_xticks(ticks, classes, rotation=90 if len("".join(classes)) > LETTERS_A_PANEL else 0)
        panel.set_yticks(ticks, classes)
        name = f"{of_seeds[0].name}, N = {counts.sum() // len(of_seeds)}"
        panel.set(xlabel="prediction", ylabel="truth", title=name)
    return figure


def calibration_figure(held: Sequence[Sequence[Calibration]], title: str) -> Figure:
    """Draw what is true against what is predicted, a line a seed; the diagonal is perfect calibration.

    Args:
        held: For each seed, its calibrations.
        title: Data set, split and N.
    """
    figure, panels = _panels(len(held[0]), title)
    for panel, of_seeds in zip(panels, zip(*held, strict=True), strict=True):
        first = of_seeds[0]
        panel.axline((0, 0), slope=1, color="0.7", linewidth=1)
        for one in of_seeds:
            filled = [found for found in one.bins if found.n]
            x, y = [found.predicted or 0.0 for found in filled], [found.observed or 0.0 for found in filled]
            panel.plot(x, y, marker="o", markersize=4, color="C0", alpha=0.3 + 0.7 / len(of_seeds))
        if first.ece is not None:
            observed = "part that is right" if first.name == "confidence" else "part that has the label"
            panel.set(xlabel="probability", ylabel=observed, xlim=(0, 1), ylim=(0, 1))
        else:
            panel.set(xlabel="prediction", ylabel="mean truth")
        panel.set_title(f"{first.name}\n{_calibration_in_words(of_seeds)}", fontsize=10)
    return figure


def history_figure(saved: SavedRun) -> Figure:
    """Draw the learning curves, a line a seed: task loss of train and valid, and a panel for each further value."""
    names = [name for name in saved.histories[0][0] if name not in ("train_loss", "score")]
    sizes = ", ".join(f"{split} N = {len(saved.splits[split].ids)}" for split in ("train", "valid"))
    figure, panels = _panels(1 + len(names), f"{saved.dataset}, {sizes}{_seeds(saved)}")
    for history, best in zip(saved.histories, saved.best_epochs, strict=True):
        epochs = range(1, len(history) + 1)
        panels[0].plot(epochs, [row["train_loss"] for row in history], color="C0", linewidth=1, label="train")
        panels[0].plot(epochs, [row["score"] for row in history], color="C1", linewidth=1, label="valid")
        panels[0].plot(best, history[best - 1]["score"], "ko", markersize=4, label="epoch kept")
        for panel, name in zip(panels[1:], names, strict=True):
            panel.plot(epochs, [row[name] for row in history], color="C0", linewidth=1)
    panels[0].legend(handles=panels[0].get_lines()[:3], frameon=False)
    for panel, name in zip(panels, ["task loss", *(name.replace("_", " ") for name in names)], strict=True):
        panel.set(xlabel="epoch", ylabel=name)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _panels(n: int, title: str) -> tuple[Figure, list[Axes]]:
    """Make a figure of n panels."""
    columns = min(n, PANELS_A_ROW)
    rows = math.ceil(n / columns)
    figure = Figure(figsize=(PANEL_INCHES * columns, PANEL_INCHES * rows + 0.4), layout="constrained")
    figure.suptitle(title)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in panels[n:]:
        unused.remove()
    return figure, panels[:n]


def _calibration_in_words(of_seeds: Sequence[Calibration]) -> str:
    """Say error, or slope and intercept, as the mean over seeds; calibration.json has their spread."""
    shown = []
    for word, values in (
        ("ECE", [one.ece for one in of_seeds]),
        ("slope", [one.slope for one in of_seeds]),
        ("intercept", [one.intercept for one in of_seeds]),
    ):
        numbers = [value for value in values if value is not None]
        if len(numbers) == len(values):
            shown.append(f"{word} {np.mean(numbers):.3f}")
    return ", ".join(shown) or "slope and intercept undefined"


def _seeds(saved: SavedRun) -> str:
    return f", {len(saved.seeds)} seeds" if len(saved.seeds) > 1 else ""


def write_figure(path: Path, figure: Figure) -> None:
    """Write `path`.png and `path`.svg; the same figure gives the same bytes.

    A Figure made without pyplot draws with Agg, which needs no display.

    Args:
        path: Without suffix; what follows a dot in it belongs to the name.
        figure: What to draw.
    """
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "sadgr"}):  # ids in an SVG are random without a salt
            figure.savefig(buffer, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
        replace(path.with_name(f"{path.name}.{kind}"), buffer.getvalue())
