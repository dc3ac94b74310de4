"""Pauses at the edges of words, on planted sound."""

import numpy as np
import pytest

from sadgr.align.pauses import Found, trim_pauses

RATE_HZ = 16000


def sound(*stretches):
    """Noise of each (seconds, level), one after the other."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, level, round(seconds * RATE_HZ)) for seconds, level in stretches]).astype(
        np.float32
    )


def trimmed(waveform, plain, pausing):
    found = [Found("a", *plain, 0.4), Found("b", 2.0, 3.0, 0.5)]
    other = [Found("a", *pausing, 0.8), Found("b", 2.0, 3.0, 0.6)]
    first, second = trim_pauses(found, other, waveform, RATE_HZ)
    assert second == found[1]
    return first[1:]


QUIET = sound((0.3, 0.001), (1.4, 0.1), (0.3, 0.001), (1.0, 0.1))
LOUD = sound((3.0, 0.1))


@pytest.mark.parametrize(
    ("waveform", "plain", "pausing", "expected"),
    [
        (QUIET, (0.1, 1.7), (0.3, 1.7), (0.3, 1.7, 0.8)),  # a pause before the word
        (QUIET, (0.3, 2.0), (0.3, 1.7), (0.3, 1.7, 0.8)),  # and after it
        (QUIET, (0.25, 1.7), (0.3, 1.7), (0.25, 1.7, 0.4)),  # as short as a closure
        (LOUD, (0.1, 1.7), (0.4, 1.7), (0.1, 1.7, 0.4)),  # not quiet: a soft sound is no pause
        (QUIET, (0.3, 1.7), (0.1, 2.0), (0.3, 1.7, 0.4)),  # edges are only taken off
        (QUIET, (0.0, 0.15), (0.3, 1.7), (0.0, 0.15, 0.4)),  # found elsewhere altogether: that is no pause
    ],
)
def test_quiet_and_long_edges_are_taken_off(waveform, plain, pausing, expected):
    assert trimmed(waveform, plain, pausing) == expected


def test_hum_below_the_voice_does_not_hide_a_pause():
    hum = 0.3 * np.sin(2 * np.pi * 20 * np.arange(len(QUIET)) / RATE_HZ)
    assert trimmed((QUIET + hum).astype(np.float32), (0.1, 1.7), (0.3, 1.7)) == (0.3, 1.7, 0.8)


def test_no_words_and_no_sound():
    assert trim_pauses([], [], QUIET, RATE_HZ) == []
    nothing = [Found("a", 0.0, 0.5, 0.5)]
    assert trim_pauses(nothing, nothing, np.zeros(0, np.float32), RATE_HZ) == nothing
