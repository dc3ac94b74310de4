"""Text alone, concatenation and late fusion."""

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("of", widths_of_tasks())
def test_parameters(of: Widths) -> None:
    t, a, v, o = of.d_text, of.d_audio, of.d_video, of.n_outputs
    assert parameter_count(build("text", of)) == t + linear(t, 9) + linear(9, o)
    assert parameter_count(build("concat", of)) == t + a + v + linear(t + a + v, 9) + linear(9, o)
    networks = sum(linear(width, 9) + linear(9, o) for width in (t, a, v))
    assert parameter_count(build("late", of)) == t + a + v + networks + 3


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_text_alone_looks_at_nothing_else(modality: str) -> None:
    model, batch = build("text").eval(), all_clips(widths())
    other = batch.with_rows(**{modality: torch.randn_like(getattr(batch, modality))})
    assert torch.equal(model(batch).prediction, model(other).prediction)


def test_late_averages_decisions_with_weights_that_sum_to_one() -> None:
    model, batch = build("late").double().eval(), in_float64(all_clips(widths()))
    with torch.no_grad():
        model.weights.copy_(torch.log(torch.tensor([1.0, 2.0, 5.0])))
    decisions = [array(net(mean)) for net, mean in zip(model.networks, model.pooled(batch), strict=True)]
    expected = (decisions[0] + 2 * decisions[1] + 5 * decisions[2]) / 8
    np.testing.assert_allclose(array(model(batch).prediction), expected, atol=1e-12)


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
