"""Which clips' word times are doubted as a whole."""

import numpy as np
import pytest

from sadgr.align import Flag, Utterance, WordTime, doubts, split_words
from sadgr.align.pocketsphinx import PocketSphinxAligner


def words(*scores):
    """A word a score; None is an interpolated one."""
    return [
        WordTime("w", i, i + 1, score or 0.0, Flag.INTERPOLATED if score is None else Flag.ALIGNED)
        for i, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ((), ""),
        ((0.8, 0.7), ""),
        ((0.9, 0.1, 0.6), ""),
        ((0.3, 0.4), "mean score of its words is 0.35"),
        ((0.9, None, 0.9, 0.9), ""),
        ((0.9, None, 0.9), "1 of 3 words have no time"),
        ((None, None), "2 of 2 words have no time"),
    ],
)
def test_by_hand(scores, reason):
    found = doubts(words(*scores))
    assert reason in found and bool(found) == bool(reason)


def test_another_clips_transcript_is_doubted_and_the_own_one_is_not(speak):
    texts = ["the juice of lemons makes fine punch", "she had no money at all", "nobody knows where they went"]
    sounds = [speak(text).waveform for text in texts]
    aligner = PocketSphinxAligner()
    for number, sound in enumerate(sounds):
        for other, text in enumerate(texts):
            (found,) = aligner.align_all([Utterance("x", split_words(text), sound)])
            trusted = not found.failure and not doubts(found.words)
            assert trusted == (number == other), (text, found)


def test_music_and_noise_fail_or_are_doubted():
    time = np.arange(4 * 16000) / 16000
    chord = sum(0.1 * np.sin(2 * np.pi * hertz * time) for hertz in (261.6, 329.6, 392.0))
    noise = np.random.default_rng(0).normal(0, 0.05, len(time))
    for sound in (chord, noise):
        said = Utterance("x", split_words("the juice of lemons makes fine punch"), sound.astype(np.float32))
        (found,) = PocketSphinxAligner().align_all([said])
        assert found.failure or doubts(found.words)
