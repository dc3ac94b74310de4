"""A run in a notebook: its scores as a table, and its predictions as a figure."""

import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sadgr.train.checkpoint import read_json
from sadgr.train.errors import TrainError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sadgr.train.report import SplitOutputs


class Run:
    """A finished run's folder, as a notebook shows it.

    Args:
        folder: Of sadgr-train fit, or of sadgr-train export.

    Attributes:
        folder: The folder.
        config: Its config.json.
        metrics: Its metrics.json: of each split and score mean, std, low and high over seeds.

    Raises:
        TrainError: No run there, or one that is unfinished.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.config = read_json(self.folder / "config.json")
        if not (self.folder / "metrics.json").exists():
            raise TrainError(f"{self.folder} is unfinished: start the same sadgr-train fit again first")
        self.metrics = read_json(self.folder / "metrics.json")

    def __repr__(self) -> str:
        """Say which run it is, and of what."""
        target = self.config["target"]
        return (
            f"Run({self.folder}): {self.config['model']['name']} learned {', '.join(target['columns'])} as {target['task']} on "
            f"{self.config['dataset']}, seeds {', '.join(map(str, self.config['seeds']))}"
        )

    def _repr_html_(self) -> str:
        """Give a table: a score a row, a column a split, mean and 95 % interval over seeds."""
        splits: Mapping[str, Mapping[str, Any]] = self.metrics["splits"]
        scores = list(dict.fromkeys(name for one in splits.values() for name in one))
        head = "".join(f"<th scope='col'>{html.escape(split)}</th>" for split in splits)
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(name)}</th>"
            + "".join(f"<td>{_shown(one.get(name))}</td>" for one in splits.values())
            + "</tr>"
            for name in scores
        )
        return (
            f"<table><caption>{html.escape(repr(self))}</caption><thead><tr><th scope='col'>score</th>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    def plot(self, split: str | None = None) -> "Figure":
        """Draw predictions against the truth (numbers), or clips by class of truth and prediction.

        Args:
            split: Whose clips; None for test, or else valid.

        Raises:
            TrainError: No such split, or an exported run, which keeps no predictions.
        """
        from sadgr.train.figures import confusion_figure
        from sadgr.train.metrics import groupings
        from sadgr.train.report import read_run

        if not any(self.folder.glob("seed-*/predictions.csv")):
            raise TrainError(
                f"{self.folder} keeps no predictions (an exported run): give the folder that sadgr-train fit wrote"
            )
        saved = read_run(self.folder)
        split = split or next(one for one in ("test", "valid") if one in saved.splits)
        if split not in saved.splits:
            raise TrainError(f"{self.folder} has no split {split} (it has {', '.join(saved.splits)})")
        found, task, names = saved.splits[split], saved.target.task, saved.target.outputs
        title = f"{saved.dataset}, {split} split, N = {len(found.ids)}, seeds: {len(saved.seeds)}"
        if task != "regression":
            return _shows_itself(
                confusion_figure([groupings(one, found.target, task, names) for one in found.outputs], title)
            )
        return _shows_itself(_truth_figure(found, title))


def _shown(value: Mapping[str, float | None] | None) -> str:
    """Give a score of several seeds: mean and 95 % interval."""
    if value is None or value["mean"] is None:
        return "undefined"
    mean = value["mean"]
    text = str(int(mean)) if float(mean).is_integer() and not value["std"] and abs(mean) > 1 else f"{mean:.4f}"
    low, high = value["low"], value["high"]
    return text if low is None or high is None or low == high else f"{text} [{low:.4f}, {high:.4f}]"


def _truth_figure(found: "SplitOutputs", title: str) -> "Figure":
    """Draw predicted numbers against the truth: the mean over seeds, and their range."""
    from matplotlib.figure import Figure

    truth, said = found.target[:, 0].numpy(), found.outputs[..., 0].numpy()  # (n,), (seeds, n)
    mean, low, high = said.mean(axis=0), said.min(axis=0), said.max(axis=0)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.axline((0, 0), slope=1, color="0.7", linewidth=1, label="prediction = truth")
    if len(said) > 1:
        axes.vlines(truth, low, high, color="C0", alpha=0.3, linewidth=1, label=f"range of {len(said)} seeds")
    axes.scatter(truth, mean, s=18, alpha=0.7)
    axes.set(xlabel="truth", ylabel="prediction", title=title)
    axes.legend(frameon=False)
    return figure


def _shows_itself(figure: "Figure") -> "Figure":
    """Let a notebook show a figure that was made without pyplot, which it would give as a line of text."""

    def png() -> bytes:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    figure._repr_png_ = png  # type: ignore[attr-defined]  # what IPython asks an object for
    return figure
