"""Figures of the studies: scores with their 95 % intervals, what is published marked as such."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from sadgr.train.studies.published import MOSEI, MOSI
from sadgr.train.studies.rows import COUNTS, Row
from sadgr.train.studies.variations import LAMBDA, LAYERS, Point
from sadgr.train.tables import COLUMNS

PANELS = (
    "MAE",
    "Corr",
    "Has0_acc_2",
    "Has0_F1_score",
    "Non0_acc_2",
    "Non0_F1_score",
    "accuracy",
    "F1_weighted",
    "F1_macro",
)
WHICH = {
    "Has0_acc_2": "acc_2_which",
    "Non0_acc_2": "acc_2_which",
    "Has0_F1_score": "F1_which",
    "Non0_F1_score": "F1_which",
}
"""Where the one number is drawn of which the paper does not say whether 0 counts: at both, and hollow."""
TITLES = {key: title for title, key in COLUMNS}
HEIGHT_OF_ROW = 0.3
PAPERS = {LAMBDA: 0.1, LAYERS: 2.0}
"""What section V-E finds best."""


def forest(ours: Sequence[Row], published: Sequence[Row], name: str) -> Figure:
    """Draw a line a run and a panel a score.

    Args:
        ours: Rows of one split.
        published: Rows of the paper; they share a line with ours of the same name.
        name: Key of the rows' names.
    """
    keys = [key for key in PANELS if any(row.get(key) is not None for row in ours)]
    lines = list(dict.fromkeys(str(row[name]) for row in (*ours, *published)))
    figure = Figure(figsize=(2.4 * len(keys) + 2.6, HEIGHT_OF_ROW * len(lines) + 1.6), layout="constrained")
    figure.suptitle(_title(ours), fontsize=10)
    panels: Sequence[Axes] = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    for panel, key in zip(panels, keys, strict=True):
        for row in ours:
            if row.get(key) is not None:
                _point(panel, row, key, lines.index(str(row[name])))
        for dataset, colour in ((MOSI, "C1"), (MOSEI, "C2")):
            of_it = [row for row in published if str(row["dataset"]).startswith(f"{dataset} ")]
            for mark, source in (("D", key), ("d", WHICH.get(key, ""))):
                drawn = [row for row in of_it if row.get(source) is not None]
                panel.plot(
                    [_number(row, source) for row in drawn],
                    [lines.index(str(row[name])) for row in drawn],
                    mark,
                    color=colour,
                    markerfacecolor="none",
                    label=f"published, {dataset}" + ("" if source == key else "; paper does not say whether 0 counts"),
                )
        panel.set_title(TITLES[key], fontsize=10)
        panel.grid(axis="x", color="0.9")
    panels[0].set_yticks(range(len(lines)), lines)
    panels[0].invert_yaxis()
    _legend(figure, panels)
    return figure


def curves(rows: Sequence[Row], points: Sequence[Point], chosen: dict[str, float], key: str) -> Figure:
    """Draw Fig. 6: a score on valid and on the held-out split along each axis, and what the valid split chooses.

    Args:
        rows: Of `axis`, `value`, `split` and the score.
        points: Where the runs stand.
        chosen: Axis -> value.
        key: The score.
    """
    axes = list(dict.fromkeys(point.axis for point in points))
    figure = Figure(figsize=(4.8 * len(axes), 4.0), layout="constrained")
    figure.suptitle(_title(rows), fontsize=10)
    panels: Sequence[Axes] = figure.subplots(1, len(axes), squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=True):
        for split, colour in (("valid", "C0"), ("test", "C1")):
            line = [row for row in rows if (row["axis"], row["split"]) == (axis, split) and row.get(key) is not None]
            if not line:
                continue
            places, scores = [_number(row, "value") for row in line], [_number(row, key) for row in line]
            panel.plot(places, scores, "o-", color=colour, label=f"{split}, N = {line[0]['N']}")
            if line[0].get(f"{key}_low") is not None:
                low, high = ([_number(row, f"{key}_{end}") for row in line] for end in ("low", "high"))
                panel.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        if axis in chosen:
            panel.axvline(
                chosen[axis], color="C3", linestyle="--", linewidth=1, label="chosen by the valid split's loss"
            )
        panel.axvline(PAPERS[axis], color="0.6", linestyle=":", linewidth=1, label="published as best (CMU-MOSI)")
        panel.set(xlabel=axis, ylabel=TITLES[key], xscale="log" if axis == LAMBDA else "linear")
        panel.xaxis.set_major_locator(FixedLocator([point.value for point in points if point.axis == axis]))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.legend(frameon=False, fontsize=8)
    return figure


def _title(rows: Sequence[Row]) -> str:
    """Say data sets, splits with N, and seeds."""
    parts = dict.fromkeys(
        f"{row['dataset']}, {row['split']} split, N = {row['N']}, {row['seeds']} seed{'s' if row['seeds'] != 1 else ''}"
        for row in rows
    )
    return "ours: " + "; ".join(parts) + ". Bars: 95 % interval over seeds"


def _point(panel: Axes, row: Row, key: str, line: int) -> None:
    mean = _number(row, key)
    bar = None
    if row.get(f"{key}_low") is not None and key not in COUNTS:
        bar = [[mean - _number(row, f"{key}_low")], [_number(row, f"{key}_high") - mean]]
    panel.errorbar([mean], [line], xerr=bar, fmt="o", color="C0", capsize=3, label="ours")


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    found: dict[str, Artist] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        found |= {
            label: handle
            for handle, label in zip(handles, labels, strict=True)
            if not hasattr(handle, "get_xdata") or len(handle.get_xdata())
        }
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _number(row: Row, key: str) -> float:
    value = row[key]
    if not isinstance(value, int | float):
        raise TypeError(f"{key} of {row} is no number")
    return float(value)
