"""MAG-BERT: its gate against plain NumPy, word by word."""

from functools import partial

import numpy as np
import pytest
import torch

from sadgr.train.models.mag import AdaptationGate, MAGConfig
from tests.train.models import checks, small

SMALL: MAGConfig = small.SETTINGS["mag"]
build = partial(small.build, "mag")


@pytest.mark.parametrize("beta", [0.3, 100.0])
def test_gate_equals_its_transcription(beta: float) -> None:
    """With either beta: a small one makes shifts shorter, a large one leaves them as they are."""
    torch.manual_seed(0)
    d_text, d_audio, d_video, count = 4, 3, 5, 7
    gate = AdaptationGate(d_text, d_audio, d_video, beta, dropout=0.0).double()
    for parameter in gate.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    text, audio, video = (torch.randn(count, width, dtype=torch.float64) for width in (d_text, d_audio, d_video))
    found = checks.array(gate(text, audio, video))

    of_text, of_audio, of_video = (checks.array(one.weight) for one in (gate.text, gate.audio, gate.video))
    gate_bias, bias = checks.array(gate.text.bias), checks.array(gate.bias)
    gain, offset = checks.array(gate.norm.weight), checks.array(gate.norm.bias)
    both_gates = {  # W_g [Z; M] as the paper has it: one matrix for the joined vector
        "audio": (np.hstack([of_text[:d_text], of_audio[:d_text]]), gate_bias[:d_text]),
        "video": (np.hstack([of_text[d_text:], of_video[:d_text]]), gate_bias[d_text:]),
    }
    kept = []
    for row in range(count):
        z, a, v = (checks.array(one)[row] for one in (text, audio, video))
        shift = bias.copy()
        for name, other, value in (("audio", a, of_audio[d_text:]), ("video", v, of_video[d_text:])):
            matrix, own = both_gates[name]
            shift += np.maximum(matrix @ np.concatenate([z, other]) + own, 0) * (value @ other)
        alpha = min(float(np.linalg.norm(z) / np.linalg.norm(shift)) * beta, 1.0)
        kept.append(alpha)
        moved = z + alpha * shift
        expected = (moved - moved.mean()) / np.sqrt(moved.var() + 1e-5) * gain + offset
        np.testing.assert_allclose(found[row], expected, atol=1e-9)
    assert min(kept) < 1 if beta < 1 else min(kept) == 1


def test_a_gate_that_lets_nothing_pass_leaves_words_and_gradients_finite() -> None:
    gate = AdaptationGate(3, 3, 3, beta=1.0, dropout=0.0)
    gate.text.bias.data.fill_(-1e6)  # no gate opens, and the shift is nothing
    text = torch.randn(4, 3, requires_grad=True)
    found = gate(text, torch.randn(4, 3), torch.randn(4, 3))
    torch.testing.assert_close(found, gate.norm(text))
    found.square().sum().backward()
    assert all(bool(torch.isfinite(one.grad).all()) for one in (text, *gate.parameters()) if one.grad is not None)


def test_parameters_are_as_many_as_the_formula_says() -> None:
    w, m = checks.widths(), SMALL.d_model
    t, a, v = w.d_text, w.d_audio, w.d_video
    gates = checks.linear(t + a, t) + checks.linear(t + v, t)
    values = a * t + v * t + t
    layer = 4 * checks.linear(m, m) + checks.linear(m, 4 * m) + checks.linear(4 * m, m) + 2 * 2 * m
    expected = (
        (t + a + v) + gates + values + 2 * t  # stand-ins, gate, norm
        + checks.linear(t, m) + layer
        + checks.linear(m, m) + checks.linear(m, 1)
    )  # fmt: skip
    assert checks.parameter_count(build(w)) == expected


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide d_model 6, got 4"):
        MAGConfig(d_model=6, heads=4)
