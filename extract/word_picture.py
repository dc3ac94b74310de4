"""Waveform, words and confidence of one clip, on one time line."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from sadgr.align import Flag, Utterance, WordTime
from sadgr.extract.errors import ExtractError

_INCHES_A_SECOND = 2.0
_WIDEST_INCHES = 60.0
_BINS_AN_INCH = 100


def word_picture(utterance: Utterance, times: Sequence[WordTime], form: str = "png") -> bytes:
    """Draw a clip's words over its waveform, and their confidence below; interpolated words are grey.

    Args:
        utterance: the clip's id and sound.
        times: its words.
        form: `png`, `svg` or `pdf`.

    Raises:
        ExtractError: no such form of picture.
    """
    seconds = utterance.duration_seconds
    width = min(max(6.0, _INCHES_A_SECOND * seconds), _WIDEST_INCHES)
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    sound, scores = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    low, high = _envelope(utterance.waveform, round(width * _BINS_AN_INCH))
    sound.fill_between(np.linspace(0, seconds, len(low)), low, high, color="0.55", linewidth=0)
    loudest = float(np.abs(utterance.waveform).max(initial=0.0)) or 1.0
    for number, word in enumerate(times):
        colour = "0.5" if word.flag is Flag.INTERPOLATED else ("tab:blue", "tab:green")[number % 2]
        sound.axvspan(word.start_seconds, word.end_seconds, color=colour, alpha=0.15, linewidth=0)
        middle = (word.start_seconds + word.end_seconds) / 2
        height = loudest * (1.1 if number % 2 else 1.3)
        sound.text(middle, height, word.text.replace("$", r"\$"), ha="center", fontsize=8, color=colour)
        length = word.end_seconds - word.start_seconds
        scores.bar(word.start_seconds, word.score, length, align="edge", color=colour, alpha=0.6)
    sound.set(
        ylim=(-1.1 * loudest, 1.5 * loudest),
        ylabel="amplitude",
        title=f"{utterance.clip_id}: {len(times)} words".replace("$", r"\$"),
    )
    scores.set(xlim=(0, seconds), ylim=(0, 1), xlabel="seconds", ylabel="confidence")
    buffer = io.BytesIO()
    try:
        figure.savefig(buffer, format=form, dpi=100)
    except ValueError as error:
        raise ExtractError(f"a picture cannot be written as {form!r}; name the file .png, .svg or .pdf") from error
    return buffer.getvalue()


def _envelope(waveform: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of at most `bins` parts: what a waveform (n,) looks like from afar."""
    edges = np.unique(np.linspace(0, len(waveform), bins + 1).astype(int))[:-1]
    if not len(edges):
        return np.zeros(1), np.zeros(1)
    return np.minimum.reduceat(waveform, edges), np.maximum.reduceat(waveform, edges)
