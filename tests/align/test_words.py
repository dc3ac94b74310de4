"""The types between aligners and everybody else."""

from __future__ import annotations

import numpy as np
import pytest

from sadgr.align.words import Flag, Utterance, WordTime, evenly_spaced

SILENCE = np.zeros(1600, dtype=np.float32)


def test_even_spacing_shares_the_clip():
    times = evenly_spaced(("a", "b", "c", "d"), 2.0)
    assert [(word.text, word.start_seconds, word.end_seconds) for word in times] == [
        ("a", 0.0, 0.5),
        ("b", 0.5, 1.0),
        ("c", 1.0, 1.5),
        ("d", 1.5, 2.0),
    ]
    assert {(word.flag, word.score) for word in times} == {(Flag.INTERPOLATED, 0.0)}


def test_even_spacing_at_its_limits():
    assert evenly_spaced((), 3.0) == ()
    assert [word.end_seconds for word in evenly_spaced(("a", "b"), 0.0)] == [0.0, 0.0]
    for duration_seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cannot last"):
            evenly_spaced(("a",), duration_seconds)


@pytest.mark.parametrize("word", ["", "two words", " a", "a\n"])
def test_an_utterance_refuses_what_is_not_one_word(word):
    with pytest.raises(ValueError, match="split_words"):
        Utterance("clip", (word,), SILENCE)


@pytest.mark.parametrize(
    ("waveform", "rate_hz", "message"),
    [
        (SILENCE.astype(np.float64), 16000, "float64"),
        (SILENCE.reshape(2, -1), 16000, "shape"),
        (np.full(4, np.nan, dtype=np.float32), 16000, "not finite"),
        (SILENCE, 0, "rate"),
    ],
)
def test_an_utterance_refuses_broken_sound(waveform, rate_hz, message):
    with pytest.raises(ValueError, match=message):
        Utterance("clip", ("a",), waveform, rate_hz)


@pytest.mark.parametrize(
    ("start", "end", "score"),
    [(1.0, 0.5, 0.5), (-0.1, 1, 0.5), (0, float("nan"), 0.5), (0, 1, 1.1), (0, 1, float("nan"))],
)
def test_a_word_time_refuses_what_cannot_be(start, end, score):
    with pytest.raises(ValueError, match="word 'a'"):
        WordTime("a", start, end, score, Flag.ALIGNED)


def test_flags_are_what_the_cache_stores():
    assert (int(Flag.ALIGNED), int(Flag.INTERPOLATED)) == (0, 1)
