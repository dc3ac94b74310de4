"""Waveform, words and confidence of one clip, on one time line."""

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sadgr.align import Flag, Utterance, WordTime

Span = tuple[float, float]
ROW_SECONDS = 10.0
_ROW_INCHES = (16.0, 2.8)
_BINS_A_ROW = 1600


def word_picture(utterance: Utterance, times: Sequence[WordTime], form: str) -> bytes:
    """Draw a clip's words over its waveform, and their confidence below; interpolated words are grey.

    Args:
        utterance: the clip's id and sound.
        times: its words.
        form: `png`, `svg` or `pdf`.
    """
    rows = max(1, math.ceil(utterance.duration_seconds / ROW_SECONDS))
    row_seconds = min(utterance.duration_seconds, ROW_SECONDS)
    figure = Figure(figsize=(_ROW_INCHES[0], rows * _ROW_INCHES[1]), layout="constrained")
    figure.suptitle(f"{utterance.clip_id}: {len(times)} words".replace("$", r"\$"))
    axes = figure.subplots(2 * rows, 1, height_ratios=(3, 1) * rows, squeeze=False)[:, 0]
    for row, (sound, scores) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        span = (row * row_seconds, (row + 1) * row_seconds)
        _draw_sound(sound, utterance, span)
        _draw_words(sound, scores, times, span)
        scores.set(xlim=span, ylim=(0, 1), ylabel="confidence")
    axes[-1].set_xlabel("seconds")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=100)
    return buffer.getvalue()


def _draw_sound(axes: Axes, utterance: Utterance, span: Span) -> None:
    first, last = (round(edge * utterance.sample_rate_hz) for edge in span)
    low, high = _envelope(utterance.waveform[first:last], _BINS_A_ROW)
    until = min(span[1], utterance.duration_seconds)
    axes.fill_between(np.linspace(span[0], until, len(low)), low, high, color="0.55", linewidth=0)
    loudest = float(np.abs(utterance.waveform).max(initial=0.0)) or 1.0
    axes.set(xlim=span, ylim=(-1.1 * loudest, 1.6 * loudest), ylabel="amplitude", xticklabels=[])


def _draw_words(sound: Axes, scores: Axes, times: Sequence[WordTime], span: Span) -> None:
    top = sound.get_ylim()[1]
    for number, word in enumerate(times):
        if word.end_seconds < span[0] or word.start_seconds >= span[1]:
            continue
        colour = "0.4" if word.flag is Flag.INTERPOLATED else ("tab:blue", "tab:green")[number % 2]
        length = word.end_seconds - word.start_seconds
        sound.axvspan(word.start_seconds, word.end_seconds, color=colour, alpha=0.15, linewidth=0)
        middle = max(word.start_seconds, span[0]) / 2 + min(word.end_seconds, span[1]) / 2
        label = word.text.replace("$", r"\$")
        sound.text(middle, top * (0.72 if number % 2 else 0.86), label, ha="center", fontsize=8, color=colour)
        scores.bar(word.start_seconds, word.score, length, align="edge", color=colour, alpha=0.6)


def _envelope(waveform: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most `bins` parts: what a waveform (n,) looks like from afar."""
    edges = np.unique(np.linspace(0, len(waveform), bins + 1).astype(int))[:-1]
    if not len(edges):
        return np.zeros(1), np.zeros(1)
    return np.minimum.reduceat(waveform, edges), np.maximum.reduceat(waveform, edges)
