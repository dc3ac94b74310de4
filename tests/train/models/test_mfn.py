from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sadgr.train.config import Widths
from sadgr.train.models.mfn import MFN, MemoryLSTM, MFNConfig
from sadgr.train.models.parts import at_words
from sadgr.train.models.recurrent import Steps
from sadgr.train.ragged import Spans
from tests.train.models import small
from tests.train.models.checks import (
    all_clips,
    array,
    in_float64,
    linear,
    parameter_count,
    widths,
)

Array = NDArray[np.float64]
SMALL: MFNConfig = small.SETTINGS["mfn"]
build = partial(small.build, "mfn")


def expected_parameters(w: Widths, c: MFNConfig) -> int:
    views = ((w.d_text, c.text_hidden), (w.d_audio, c.audio_hidden), (w.d_video, c.video_hidden))
    units = c.text_hidden + c.audio_hidden + c.video_hidden
    lstms = sum(4 * hidden * (d_in + hidden + 1) for d_in, hidden in views)  # one bias: a second would say the same
    attention = linear(2 * units, c.attention_hidden) + linear(c.attention_hidden, 2 * units)
    proposal = linear(2 * units, c.proposal_hidden) + linear(c.proposal_hidden, c.memory)
    gates = sum(
        linear(2 * units + c.memory, hidden) + linear(hidden, c.memory) for hidden in (c.retain_hidden, c.update_hidden)
    )
    head = linear(units + c.memory, c.output_hidden) + linear(c.output_hidden, w.n_outputs)
    return w.d_text + w.d_audio + w.d_video + lstms + attention + proposal + gates + head


@pytest.mark.parametrize("config", [SMALL, MFNConfig()])
def test_parameters(config: MFNConfig) -> None:
    with torch.device("meta"):
        model = MFN(widths("multilabel", 3), config)
    assert parameter_count(model) == expected_parameters(widths("multilabel", 3), config)


def test_lstm_is_torch_s_and_its_memories_are_the_last_ones_of_every_beginning() -> None:
    torch.manual_seed(0)
    ours, torchs = MemoryLSTM(4, 3).double(), nn.LSTM(4, 3).double()
    with torch.no_grad():  # let in, keep, proposal, out: the order is torch's own
        torchs.weight_ih_l0.copy_(ours.input.weight)
        torchs.weight_hh_l0.copy_(ours.recurrent.weight)
        torchs.bias_ih_l0.copy_(ours.input.bias)
        torchs.bias_hh_l0.zero_()
    spans, rows = Spans.of([2, 5, 1]), torch.randn(8, 4, dtype=torch.float64)
    steps = Steps.of(spans)
    outputs, memories = ours(rows[steps.places], steps)
    found = {int(place): (memories[i], outputs[i]) for i, place in enumerate(steps.places)}
    for first, length in ((0, 2), (2, 5), (7, 1)):
        for count in range(1, length + 1):
            output, (_, memory) = torchs(rows[first : first + count])
            torch.testing.assert_close(found[first + count - 1], (memory[0], output[-1]), atol=1e-12, rtol=0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def affine(x: Array, layer: nn.Linear) -> Array:
    return x @ array(layer.weight).T + array(layer.bias)


def two_layers(x: Array, first: nn.Linear, second: nn.Linear) -> Array:
    return affine(np.maximum(affine(x, first), 0), second)


def lstm_step(x: Array, output: Array, memory: Array, cell: MemoryLSTM) -> tuple[Array, Array]:
    let_in, keep, proposal, out = np.split(affine(x, cell.input) + array(cell.recurrent.weight) @ output, 4)
    memory = sigmoid(keep) * memory + sigmoid(let_in) * np.tanh(proposal)
    return sigmoid(out) * np.tanh(memory), memory


def transcribed(model: MFN, views: list[Array]) -> Array:
    """One clip, step by step, as the paper goes: LSTMs, c^[t-1, t], attention, proposal, gates, memory, output."""
    attention, memory = model.attention.score, model.memory
    states = [(np.zeros(n), np.zeros(n)) for n in (5, 3, 4)]
    kept = np.zeros(6)
    for step in range(len(views[0])):
        before = np.concatenate([c for _, c in states])
        states = [lstm_step(x[step], h, c, cell) for x, (h, c), cell in zip(views, states, model.lstms, strict=True)]
        both = np.concatenate([before, *(c for _, c in states)])
        scores = np.exp(two_layers(both, attention[0], attention[3]))
        attended = both * scores / scores.sum()
        proposal = np.tanh(two_layers(attended, memory.proposal[0], memory.proposal[3]))
        hidden = np.maximum(affine(np.concatenate([attended, kept]), memory.gates), 0)
        retain, update = sigmoid(affine(hidden[:9], memory.retain)), sigmoid(affine(hidden[9:], memory.update))
        kept = retain * kept + update * proposal
    return two_layers(np.concatenate([*(h for h, _ in states), kept]), model.head[0], model.head[3])


def test_prediction_is_the_paper_s_step_by_step() -> None:
    model, batch = build().double().eval(), in_float64(all_clips(widths()))
    with torch.no_grad():  # weights that begin small would hide a gate in the wrong place
        for weight in model.parameters():
            weight.mul_(3)
    found = array(model(batch).prediction)
    video = array(at_words(batch.video, batch.frames, batch.words))
    ends = batch.words.lengths.cumsum(0).tolist()
    for clip, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        views = [one[begin:end] for one in (array(batch.text), array(batch.audio), video)]
        np.testing.assert_allclose(found[clip], transcribed(model, views), atol=1e-9)


def test_order_of_words_matters() -> None:
    """A memory that only pooled would not see it."""
    model, batch = build().eval(), all_clips(widths())
    swapped = batch.text.clone()
    swapped[[3, 4]] = batch.text[[4, 3]]  # words of clip 2, not its last
    with torch.no_grad():
        found, other = model(batch).prediction, model(batch.with_rows(text=swapped)).prediction
    differs = (found - other).abs()[:, 0] > 1e-5
    assert differs.tolist() == [clip == 2 for clip in range(8)]
