from itertools import product

import numpy as np
import pytest
import torch

from sadgr.train.models.parts import Layers, Pooled, at_words
from sadgr.train.ragged import Spans
from tests.train.models.checks import all_clips, array, widths, without


@pytest.mark.parametrize(("n_frames", "n_words"), list(product(range(1, 13), range(1, 13))))
def test_frames_come_to_the_word_that_holds_their_centre(n_frames: int, n_words: int) -> None:
    video = torch.arange(n_frames, dtype=torch.float64)[:, None] ** 2
    expected = []
    for word in range(n_words):
        held = [j for j in range(n_frames) if word * 2 * n_frames <= (2 * j + 1) * n_words < (word + 1) * 2 * n_frames]
        held = held or [next(j for j in range(n_frames) if (word + 0.5) * n_frames < (j + 1) * n_words)]
        expected.append(np.mean([j**2 for j in held]))
    found = at_words(video, Spans.of([n_frames]), Spans.of([n_words]))
    np.testing.assert_allclose(array(found)[:, 0], expected)


def test_frames_stay_in_their_clip() -> None:
    frames, words = Spans.of([3, 1, 5]), Spans.of([2, 4, 1])
    video = frames.owners.double()[:, None]
    assert torch.equal(at_words(video, frames, words)[:, 0], words.owners.double())


def test_as_many_frames_as_words_stay_as_they_are() -> None:
    spans, video = Spans.of([4, 2]), torch.randn(6, 3)
    assert torch.equal(at_words(video, spans, spans), video)


def test_pooled_are_means_of_own_rows_and_learned_vectors_where_there_are_none() -> None:
    pooled, batch = Pooled(widths()), all_clips(widths())
    text, audio, video = pooled(without(batch, [[True, clip != 2, clip != 3] for clip in range(8)]))
    words, frames = array(batch.text).shape, array(batch.video)
    assert words == (25, 10)
    np.testing.assert_allclose(array(text)[2], array(batch.text)[3:7].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(array(video)[2], frames[4:6].mean(axis=0), atol=1e-6)
    assert torch.equal(audio[2], pooled.missing.vectors[1])
    assert torch.equal(video[3], pooled.missing.vectors[2])


def test_layers_are_linear_maps_with_relu() -> None:
    layers = Layers(3, 4, 2).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    first, second = layers[1], layers[3]
    hidden = np.maximum(array(x) @ array(first.weight).T + array(first.bias), 0)
    expected = np.maximum(hidden @ array(second.weight).T + array(second.bias), 0)
    np.testing.assert_allclose(array(layers(x)), expected, atol=1e-12)
