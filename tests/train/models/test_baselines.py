"""Text alone, concatenation and late fusion."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sadgr.train.config import Widths
from sadgr.train.models.late import Late, LateConfig
from sadgr.train.tasks import TASKS
from tests.train.models.checks import (
    all_clips,
    array,
    in_float64,
    linear,
    parameter_count,
    widths,
    widths_of_tasks,
)
from tests.train.models.small import build

Array = NDArray[np.float64]


@pytest.mark.parametrize("of", widths_of_tasks())
def test_parameters(of: Widths) -> None:
    t, a, v, o = of.d_text, of.d_audio, of.d_video, of.n_outputs
    assert parameter_count(build("text", of)) == t + linear(t, 9) + linear(9, o)
    assert parameter_count(build("concat", of)) == t + a + v + linear(t + a + v, 9) + linear(9, o)
    networks = sum(linear(width, 9) + linear(9, o) for width in (t, a, v))
    assert parameter_count(build("late", of)) == t + a + v + networks + 3


def small_network(layers: Iterable[nn.Module], x: Array) -> Array:
    """y = W_2 relu(W_1 x + b_1) + b_2."""
    first, second = (one for one in layers if isinstance(one, nn.Linear))
    hidden = np.maximum(x @ array(first.weight).T + array(first.bias), 0)
    return np.asarray(hidden @ array(second.weight).T + array(second.bias))


def test_each_equals_its_transcription() -> None:
    """Clip by clip over means of its rows; late fusion's decisions weigh 1/8, 2/8 and 5/8."""
    text, concat, late = (build(name).double().eval() for name in ("text", "concat", "late"))
    with torch.no_grad():
        late.weights.copy_(torch.log(torch.tensor([1.0, 2.0, 5.0])))
    batch = in_float64(all_clips(widths()))
    split = ((batch.text, batch.words), (batch.audio, batch.words), (batch.video, batch.frames))
    clips = zip(*(rows.split(spans.lengths.tolist()) for rows, spans in split), strict=True)
    found = [array(model(batch).prediction) for model in (text, concat, late)]
    for number, clip in enumerate(clips):
        means = [array(rows).mean(axis=0) for rows in clip]
        decisions = [small_network(net.modules(), mean) for net, mean in zip(late.networks, means, strict=True)]
        expected = [
            small_network(text.modules(), means[0]),
            small_network(concat.modules(), np.concatenate(means)),
            (decisions[0] + 2 * decisions[1] + 5 * decisions[2]) / 8,
        ]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one[number], other, atol=1e-8)  # a mean's weights are float32


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_text_alone_looks_at_nothing_else(modality: str) -> None:
    model, batch = build("text").eval(), all_clips(widths())
    other = batch.with_rows(**{modality: torch.randn_like(getattr(batch, modality))})
    assert torch.equal(model(batch).prediction, model(other).prediction)


@pytest.mark.parametrize("of", widths_of_tasks())
def test_each_modality_of_late_fusion_learns_by_itself(of: Widths) -> None:
    torch.manual_seed(0)
    model, batch = Late(of, LateConfig(hidden=9, dropout=0.0, own_weight=0.5)).train(), all_clips(of)
    losses = model(batch).losses
    assert list(losses) == ["text", "audio", "video"]
    audio = model.networks[1](model.pooled(batch)[1])
    torch.testing.assert_close(losses["audio"], 0.5 * TASKS[of.task].loss(audio, batch.target))
    losses["audio"].backward()
    assert [any(p.grad is not None for p in net.parameters()) for net in model.networks] == [False, True, False]
