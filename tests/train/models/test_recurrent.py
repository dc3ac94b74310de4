"""Sequences step by step, and an LSTM over them against torch's own."""

import pytest
import torch
from torch import Tensor, nn

from sadgr.train.models.recurrent import Steps, all_states, final_state, recurrence
from sadgr.train.ragged import Spans

LENGTHS = [2, 5, 1, 5]


@pytest.fixture(params=[False, True], ids=["one direction", "both"])
def layer(request: pytest.FixtureRequest) -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(4, 3, bidirectional=request.param).double()


def random_rows() -> Tensor:
    rows = torch.randn(sum(LENGTHS), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return rows.requires_grad_()


def test_steps_hold_each_row_once_and_know_the_one_before() -> None:
    steps = Steps.of(Spans.of(LENGTHS))
    assert steps.counts.tolist() == [4, 3, 2, 2, 2]
    # rows 0-1 are clip 0's, 2-6 clip 1's, 7 clip 2's, 8-12 clip 3's; longest first: clips 1, 3, 0, 2
    assert steps.places.tolist() == [2, 8, 0, 7, 3, 9, 1, 4, 10, 5, 11, 6, 12]
    rows = torch.arange(1.0, 14.0)[:, None]  # a row's number plus 1
    stepped = rows[steps.places]
    assert stepped[steps.last][:, 0].tolist() == [2.0, 7.0, 8.0, 13.0]
    assert stepped[steps.first][:, 0].tolist() == [1.0, 3.0, 8.0, 9.0]
    assert torch.equal(stepped[steps.back], rows)
    assert stepped[steps.mirrored][steps.back][:, 0].tolist() == [2, 1, 7, 6, 5, 4, 3, 8, 13, 12, 11, 10, 9]
    before = steps.before(stepped)[:, 0]
    first = torch.isin(steps.places, torch.tensor([0, 2, 7, 8]))
    assert torch.equal(before, torch.where(first, 0.0, stepped[:, 0] - 1))


def test_states_and_gradients_are_torch_s(layer: nn.LSTM) -> None:
    found: dict[str, list[Tensor]] = {}
    for name in ("ours", "torch's"):
        layer.zero_grad()
        rows = random_rows()
        if name == "ours":
            last, each = final_state(layer, rows, Spans.of(LENGTHS)), all_states(layer, rows, Spans.of(LENGTHS))
        else:
            told = [layer(clip) for clip in rows.split(LENGTHS)]
            each = torch.cat([states for states, _ in told])
            last = torch.stack([state.flatten() for _, (state, _) in told])
        weights = torch.randn(each.shape, dtype=each.dtype, generator=torch.Generator().manual_seed(2))
        (last.sin().sum() + (each * weights).sum()).backward()  # type: ignore[no-untyped-call]
        found[name] = [last, each, rows.grad, *(one.grad for one in layer.parameters())]  # type: ignore[list-item]
    torch.testing.assert_close(found["ours"], found["torch's"], atol=1e-12, rtol=0)


def test_gradients_through_states_and_memories_are_those_of_differences() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((12, 4), (12, 3), (12,))]
    steps = Steps.of(Spans.of(LENGTHS))
    assert torch.autograd.gradcheck(lambda rows, *of: recurrence(rows, steps, *of), (random_rows(), *weights))


def test_one_row_a_clip_needs_no_step_before(layer: nn.LSTM) -> None:
    rows = random_rows().detach()
    expected, _ = layer(rows[None])
    torch.testing.assert_close(final_state(layer, rows, Spans.of([1] * len(rows))), expected[0])
