"""RAVEN: sub-networks, gates and shift against plain NumPy, word by word and frame by frame."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sadgr.train.models.parts import frames_of_words
from sadgr.train.models.raven import ModalityMixing, OneStep, RAVENConfig, shifted
from sadgr.train.models.recurrent import final_state
from sadgr.train.ragged import Spans
from tests.train.models import checks, small

SMALL: RAVENConfig = small.SETTINGS["raven"]
build = partial(small.build, "raven")
Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def affine(layer: nn.Linear, rows: Array) -> Array:
    return np.asarray(rows @ checks.array(layer.weight).T + checks.array(layer.bias))


def lstm(layer: nn.LSTM, rows: Array) -> Array:
    """The state after the last of (L, D), step by step."""
    into, back, *biases = (checks.array(one) for one in layer.parameters())
    state, cell = np.zeros(layer.hidden_size), np.zeros(layer.hidden_size)
    for row in rows:
        i, f, g, o = np.split(into @ row + back @ state + sum(biases), 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
    return state


def test_model_equals_its_transcription() -> None:
    """One clip of 3 words and 7 frames, its words' frames counted out by hand."""
    model, of = build().double().eval(), checks.widths()
    batch = checks.batch_of(of, [3], [7], dtype=torch.float64)
    text, audio, video = (checks.array(one) for one in (batch.text, batch.audio, batch.video))
    shares = [(0, 2), (2, 5), (5, 7)]  # centres of 7 frames: 1/14, 3/14 | 5/14, 7/14, 9/14 | 11/14, 13/14
    words = []
    for number, (begin, end) in enumerate(shares):
        seen = lstm(model.video_lstm, affine(model.video_map, video[begin:end]))
        i, g, o = np.split(affine(model.audio_step.gates, affine(model.audio_map, audio[number])), 3)
        heard = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(g))
        mixing, word = model.mixing, text[number]
        of_video = sigmoid(affine(mixing.video_gate, np.concatenate([seen, word])))
        of_audio = sigmoid(affine(mixing.audio_gate, np.concatenate([heard, word])))
        w_video, w_audio = np.split(checks.array(mixing.mix.weight), 2, axis=1)
        shift = of_video * (w_video @ seen) + of_audio * (w_audio @ heard) + checks.array(mixing.mix.bias)
        alpha = min(float(np.linalg.norm(word) / np.linalg.norm(shift)) * SMALL.beta, 1.0)
        words.append(word + alpha * shift)
    expected = affine(model.head, lstm(model.word_lstm, np.stack(words)))
    with torch.no_grad():
        np.testing.assert_allclose(checks.array(model(batch).prediction)[0], expected, atol=1e-9)


def test_one_step_is_an_lstm_s_first() -> None:
    """An LSTM of the same input, cell and output gates, whatever its forget gate and recurrent weights."""
    torch.manual_seed(0)
    step, whole = OneStep(4, 3).double(), nn.LSTM(4, 3).double()
    into, cell, out = step.gates.weight.chunk(3)
    with torch.no_grad():
        whole.weight_ih_l0.copy_(torch.cat([into, torch.randn(3, 4, dtype=torch.float64), cell, out]))
        into, cell, out = step.gates.bias.chunk(3)
        whole.bias_ih_l0.copy_(torch.cat([into, torch.ones(3), cell, out]))
        whole.bias_hh_l0.zero_()
    rows = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(step(rows), final_state(whole, rows, Spans.of([1] * 5)))


def test_a_shift_is_never_longer_than_beta_words() -> None:
    generator = torch.Generator().manual_seed(0)
    words, shift = torch.randn(50, 4, generator=generator), 3 * torch.randn(50, 4, generator=generator)
    moved = (shifted(words, shift, 0.5) - words).norm(dim=1)
    limit = torch.minimum(0.5 * words.norm(dim=1), shift.norm(dim=1))
    torch.testing.assert_close(moved, limit)
    assert torch.equal(shifted(words, torch.zeros(50, 4), 0.5), words)


def test_gates_are_one_number_a_word() -> None:
    mixing = ModalityMixing(4, 3)
    assert mixing.video_gate.out_features == mixing.audio_gate.out_features == 1
    assert mixing(torch.randn(6, 4), torch.randn(6, 3), torch.randn(6, 3)).shape == (6, 4)


def test_words_take_frames_of_their_own_clip_in_order() -> None:
    """5 frames and 2 words: the third centre, 1/2, is the second word's. 1 frame and 3 words: all take it."""
    places, counts = frames_of_words(Spans.of([5, 1]), Spans.of([2, 3]))
    assert counts.tolist() == [2, 3, 1, 1, 1]
    assert places.tolist() == [0, 1, 2, 3, 4, 5, 5, 5]


def test_parameters_are_as_many_as_the_formula_says() -> None:
    w, c = checks.widths(), SMALL
    expected = (
        w.d_text + w.d_audio + w.d_video
        + checks.linear(w.d_audio, c.d_nonverbal) + checks.linear(w.d_video, c.d_nonverbal)
        + checks.linear(c.d_nonverbal, 3 * c.nonverbal_hidden) + checks.lstm(c.d_nonverbal, c.nonverbal_hidden)
        + 2 * checks.linear(c.nonverbal_hidden + w.d_text, 1) + checks.linear(2 * c.nonverbal_hidden, w.d_text)
        + checks.lstm(w.d_text, c.word_hidden) + checks.linear(c.word_hidden, 1)
    )  # fmt: skip
    assert checks.parameter_count(build(w)) == expected
