"""How scores fall under noise and without modalities: what the paper names as its limitation (its conclusion)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sadgr.train.apply import HeldOut, held_out
from sadgr.train.checkpoint import write_json
from sadgr.train.figures import write_figure
from sadgr.train.logs import Log
from sadgr.train.metrics import Metrics
from sadgr.train.opened import Source
from sadgr.train.predict import predict
from sadgr.train.sources import is_synthetic
from sadgr.train.studies.disturbances import (
    DISTURBANCES,
    SEED,
    Change,
    add_noise,
    clips_with,
    draw_noise,
    feature_deviations,
    take_away,
    without_share,
)
from sadgr.train.tables import COLUMNS, over_seeds, write_csv
from sadgr.train.tasks import TASKS

FOLDER = "robustness"
SHARES = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True)
class Level:
    """Scores under one disturbance.

    Attributes:
        disturbance: Its name; `none` for clips as they are.
        share: Of the deviation, or of clips.
        changed: Clips that it changed.
        by_seed: Scores of each seed's model.
    """

    disturbance: str
    share: float
    changed: int
    by_seed: Sequence[Metrics]


def run_robustness(run: Path, source: Source, split: str, log: Log) -> list[Level]:
    """Score a run under every disturbance, and write tables and figure into RUN/robustness."""
    held = held_out(run, source, split, log)
    levels = list(disturbed(held, log))
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    dataset, seeds = held.opened.data.name, held.opened.config["seeds"]
    write_csv(folder / "robustness.csv", table_rows(levels))
    synthetic = is_synthetic(dataset, held.opened.config["features"])
    told = {"dataset": dataset, "synthetic": synthetic, "split": split, "seeds": seeds, "drawn_with_seed": SEED}
    found = [
        {**{key: getattr(one, key) for key in ("disturbance", "share", "changed")}, "metrics": over_seeds(one.by_seed)}
        for one in levels
    ]
    write_json(folder / "robustness.json", {**told, "levels": found})
    mark = " (synthetic)" if synthetic and "synthetic" not in dataset.lower() else ""
    band = "; bands: 95 % interval" if len(seeds) > 1 else ""
    title = f"{dataset}{mark}, {split} split, N = {len(held.clips)}, seeds = {len(seeds)}{band}"
    write_figure(folder / "robustness", robustness_figure(levels, title))
    return levels


def disturbed(held: HeldOut, log: Log, shares: Sequence[float] = SHARES) -> Iterator[Level]:
    """Score the clips as they are, then under each disturbance at each share."""
    clips, target = held.clips, held.opened.target
    metrics = TASKS[target.task].metrics

    def scored(name: str, share: float, changed: int, change: Change | None) -> Level:
        outputs = [predict(model, clips, change).outputs for model in held.opened.models]
        return Level(name, share, changed, [metrics(one, clips.target, target.outputs) for one in outputs])

    yield scored("none", 0.0, 0, None)
    drawn, deviations = draw_noise(clips), feature_deviations(clips)
    for one in DISTURBANCES:
        log(f"{one.name}: {', '.join(f'{share:.0%}' for share in shares)}")
        for share in shares:
            if one.kind == "noise":
                change = add_noise(drawn, deviations, one.modalities, share)
                yield scored(one.name, share, clips_with(clips, one.modalities), change)
            else:
                stays = without_share(clips, one.modalities[0], share)
                changed = int((clips.present & ~stays).any(dim=1).sum())
                yield scored(one.name, share, changed, take_away(stays))


def table_rows(levels: Sequence[Level]) -> list[dict[str, str | float]]:
    """One row a level: every score's mean over seeds and its 95 % interval; empty where undefined."""
    rows: list[dict[str, str | float]] = []
    for one in levels:
        row: dict[str, str | float] = {"disturbance": one.disturbance, "share": one.share, "changed": one.changed}
        for key, told in over_seeds(one.by_seed).items():
            ends = {} if key in ("N", "Non0_N") else {f"{key}_{end}": told[end] for end in ("low", "high")}
            row |= {name: "" if value is None else value for name, value in {key: told["mean"], **ends}.items()}
        rows.append(row)
    return rows


def shown_rows(levels: Sequence[Level]) -> list[list[str]]:
    """Give the table for a terminal: a header, and means over seeds."""
    titles = [(title, key) for title, key in COLUMNS if key in levels[0].by_seed[0]]
    rows = [["disturbance", "share", "changed", *(title for title, _ in titles)]]
    for one in levels:
        told = over_seeds(one.by_seed)
        means = [told[key]["mean"] for _, key in titles]
        cells = ["undefined" if mean is None else f"{mean:.{0 if mean == int(mean) else 4}f}" for mean in means]
        rows.append([one.disturbance, f"{one.share:.0%}", str(one.changed), *cells])
    return rows


def robustness_figure(levels: Sequence[Level], title: str) -> Figure:
    """The task's first score against the share: noise on the left, missing modalities on the right."""
    key = "MAE" if "MAE" in levels[0].by_seed[0] else "accuracy"
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind, label in zip(
        panels, ("noise", "missing"), ("noise, % of each feature's deviation", "clips that lack it, %"), strict=True
    ):
        for name in dict.fromkeys(one.disturbance for one in levels if one.disturbance.startswith(kind)):
            curve = [levels[0], *(one for one in levels if one.disturbance == name)]
            told: list[dict[str, Any]] = [over_seeds(one.by_seed)[key] for one in curve]
            shares = [100 * one.share for one in curve]
            (line,) = axes.plot(shares, [one["mean"] for one in told], marker="o", markersize=3, label=name)
            if told[0]["low"] is not None:
                ends = ([one[end] for one in told] for end in ("low", "high"))
                axes.fill_between(shares, *ends, color=line.get_color(), alpha=0.15, linewidth=0)
        axes.set(xlabel=label, ylabel=key)
        axes.legend(frameon=False)
    return figure
