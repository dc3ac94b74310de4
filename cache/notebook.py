"""A clip's features as a notebook shows them: a table, and a figure on the time line."""

from collections.abc import Iterator
from dataclasses import fields
from html import escape

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sadgr.cache.report.timeline import Curve, TimeLine, of_features
from sadgr.cache.store import ClipFeatures, WordTimes
from sadgr.cache.timeline_text import sparkline

_INCHES_A_SECOND = 0.9
_WIDTH_INCHES = (6.0, 24.0)
_WORDS_INCHES, _CURVE_INCHES = 1.6, 1.1
_MOST_BLOCKS = 60
_CELL = '<td style="text-align:left">{}</td>'


def clip_figure(clip: ClipFeatures) -> Figure:
    """Draw a clip's words with their confidence on the time line, and the norms of its features below.

    Words whose time was interpolated are grey. What has no time, such as a mean, is left out.

    Args:
        clip: its features; words stand on the time line where they were read, see `Dataset.clip`.
    """
    line = of_features(clip, clip.words)
    panels = [*([None] if clip.words is not None else []), *line.norms]
    heights = [_WORDS_INCHES if one is None else _CURVE_INCHES for one in panels] or [_CURVE_INCHES]
    width = float(np.clip(line.seconds * _INCHES_A_SECOND, *_WIDTH_INCHES))
    figure = Figure(figsize=(width, sum(heights) + 0.8), layout="constrained")
    figure.suptitle(_plain(clip.clip_id))
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for place, panel in zip(axes, panels, strict=False):
        if panel is None and clip.words is not None:
            _draw_words(place, clip.words)
        elif panel is not None:
            _draw_curve(place, panel, line)
    if not panels:
        axes[0].text(0.5, 0.5, "no word times and no video frames", ha="center", transform=axes[0].transAxes)
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, line.seconds or 1)
    return figure


def clip_html(clip: ClipFeatures) -> str:
    """Return HTML without scripts: the clip's words, and shape, range and norms of each of its arrays."""
    rows = "".join(_rows(clip))
    table = (
        "<table><thead><tr><th>array</th><th>shape</th><th>range</th><th>rms</th><th>norm of each row</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        if rows
        else "<p>no features</p>"
    )
    return f"<div><p><b><bdi>{escape(clip.clip_id)}</bdi></b></p>{_words_html(clip.words)}{table}</div>"


def _words_html(words: WordTimes | None) -> str:
    if words is None:
        return ""
    columns = (one.tolist() for one in (words.text, words.start, words.end, words.score, words.flag))
    shown = []
    for text, start, end, score, flag in zip(*columns, strict=True):
        how = ", interpolated" if flag else ""
        title = escape(f"{start:.3f} to {end:.3f} s, confidence {score:.2f}{how}")
        style = ' style="opacity:0.6;font-style:italic"' if flag else ""
        shown.append(f'<span title="{title}"{style}><bdi>{escape(str(text))}</bdi> <sub>{start:.2f}</sub></span>')
    return f"<p>{' '.join(shown)}</p>"


def _rows(clip: ClipFeatures) -> Iterator[str]:
    for one in fields(clip):
        array = getattr(clip, one.name)
        if not isinstance(array, np.ndarray):
            continue
        numbers = array.astype(np.float64)
        shape = " × ".join(map(str, array.shape))
        extent = f"{numbers.min():.4g} to {numbers.max():.4g}" if numbers.size else ""
        rms = f"{np.sqrt(np.mean(numbers**2)):.4g}" if numbers.size else ""
        norms = np.linalg.norm(numbers, axis=1) if array.ndim == 2 and len(array) else np.zeros(0)
        thinned = norms[np.unique(np.linspace(0, len(norms) - 1, min(len(norms), _MOST_BLOCKS)).astype(int))]
        blocks = sparkline(thinned, thinned.min(), thinned.max()) if len(thinned) else ""
        yield f"<tr>{''.join(_CELL.format(cell) for cell in (one.name, shape, extent, rms, blocks))}</tr>"


def _draw_words(axes: Axes, words: WordTimes) -> None:
    for number, (text, start, end, score, flag) in enumerate(
        zip(words.text, words.start, words.end, words.score, words.flag, strict=True)
    ):
        colour = "0.5" if flag else ("tab:blue", "tab:green")[number % 2]
        axes.axvspan(start, end, color=colour, alpha=0.15, linewidth=0)
        axes.bar(start, score, end - start, align="edge", color=colour, alpha=0.6)
        height = 1.3 if number % 2 else 1.08  # neighbours at two heights: short words stand close together
        axes.text(
            (start + end) / 2, height, _plain(str(text)), ha="center", fontsize=8, color="0.4" if flag else colour
        )
    axes.set(ylim=(0, 1.55), yticks=(0, 0.5, 1), ylabel="confidence")


def _draw_curve(axes: Axes, curve: Curve, line: TimeLine) -> None:
    if curve.lane is None:
        axes.plot(curve.seconds, curve.values, marker=".", color="tab:orange")
    else:
        times = line.lanes[curve.lane].times
        axes.hlines(curve.values, times.start, times.end, color="tab:blue", linewidth=2)
        axes.plot(curve.seconds, curve.values, color="tab:blue", linewidth=0.6, alpha=0.6)
    axes.set_title(f"norm of {curve.name}", fontsize=9, loc="left")
    axes.grid(alpha=0.3)


def _plain(text: str) -> str:
    """Return text that matplotlib takes literally, and not for mathematics; a very long one is cut."""
    short = text if len(text) <= 80 else f"{text[:79]}…"
    return short.replace("$", r"\$")
