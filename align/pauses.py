"""Pauses at the edges of words: what a search that thinks pauses likely leaves out, where it is quiet indeed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHORTEST_PAUSE_SECONDS = 0.1
"""The closure of a stop such as p or k is quiet, too, but shorter than this, and belongs to its word."""

QUIET_DB = -10.0
"""Level against that of the words, above which a stretch is no pause; -4 to -15 dB gave the same boundaries."""

_PRE_EMPHASIS = 0.97


class Found(NamedTuple):
    """A spoken word that a search found: start and end in seconds, score in [0, 1]."""

    word: str
    start: float
    end: float
    score: float


def trim_pauses(
    found: Sequence[Found], pausing: Sequence[Found], waveform: NDArray[np.float32], sample_rate_hz: int
) -> list[Found]:
    """Takes long, quiet edges off words.

    Args:
        found: Words of a search in which silence between words is unlikely: a pause may go to the word beside it.
        pausing: The same words, of a search in which it is as likely as none: a soft sound may be lost to it.
        waveform: The sound, float32, shape (n,).
        sample_rate_hz: Samples a second.

    Returns:
        The words of `found`, each edge moved to that of `pausing` where that leaves out a pause.
    """
    emphasised = waveform[1:] - _PRE_EMPHASIS * waveform[:-1]  # hum and drift below the voice do not count

    def rms(start: float, end: float) -> float:
        part = emphasised[round(start * sample_rate_hz) : round(end * sample_rate_hz)]
        return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0

    lengths = np.array([one.end - one.start for one in found])
    powers = np.array([rms(one.start, one.end) ** 2 for one in found])
    quiet = np.sqrt(lengths @ powers / max(lengths.sum(), 1e-9)) * 10 ** (QUIET_DB / 20)

    def is_pause(start: float, end: float) -> bool:
        return end - start >= SHORTEST_PAUSE_SECONDS and rms(start, end) < quiet

    trimmed = []
    for one, other in zip(found, pausing, strict=True):
        if other.start >= one.end or other.end <= one.start:  # the two searches disagree about more than a pause
            trimmed.append(one)
            continue
        start = other.start if is_pause(one.start, other.start) else one.start
        end = other.end if is_pause(other.end, one.end) else one.end
        moved = (start, end) != (one.start, one.end)
        trimmed.append(Found(one.word, start, end, other.score if moved else one.score))
    return trimmed
