"""Recurrent networks over sequences that stand end to end: no step is taken over padding.

Rows go step by step (`Steps`): what works row by row sees the rows of all steps at once, and only what a step needs of the one
before it is done in turn. On a CPU an LSTM's steps are taken here, with their gradient in closed form: torch's own makes some
twenty small operations of a step and as many gradients, which cost more than the arithmetic. On a GPU they are cuDNN's.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from sadgr.train.ragged import Spans

aten = torch.ops.aten

PROPOSAL = 2
"""Which of an LSTM's four gates, as torch orders them, is squashed by tanh."""


@dataclass(frozen=True)
class Steps:
    """Rows of all clips, step by step: the first of each, longest clip first, then the second of those that have one, ...

    Attributes:
        places: (R,) where among the rows, end to end, each stands.
        counts: (L,) int64 on the CPU: clips that have a step; falling.
        previous: (R,) for each row the place, step by step, of the one before it in its clip, plus 1; 0 where there is none.
        first: (B,) the place, step by step, of each clip's first row, in the clips' own order.
        last: (B,) likewise of its last row.
        mirrored: (R,) for each row the place of the one that is as far from its clip's end as this is from its beginning.
    """

    places: Tensor
    counts: Tensor
    previous: Tensor
    first: Tensor
    last: Tensor
    mirrored: Tensor

    @classmethod
    def of(cls, spans: Spans) -> "Steps":
        """Put the rows of spans in order."""
        lengths = spans.lengths.numpy()
        order = np.argsort(-lengths, kind="stable")
        counts = (np.arange(lengths.max())[:, None] < lengths).sum(axis=1)  # (L,)
        starts = np.cumsum(counts) - counts
        step, rank = np.repeat(np.arange(len(counts)), counts), np.arange(counts.sum()) - np.repeat(starts, counts)
        ranks = np.argsort(order)  # (B,) of each clip
        previous = np.where(step > 0, starts[step - 1] + rank + 1, 0)
        clip = order[rank]  # whose row it is
        places = (np.cumsum(lengths) - lengths)[clip] + step
        mirrored = starts[lengths[clip] - 1 - step] + rank
        found = (places, previous, ranks, starts[lengths - 1] + ranks, mirrored)
        there = [torch.from_numpy(one).to(spans.device) for one in found]
        return cls(there[0], torch.from_numpy(counts), *there[1:])

    @cached_property
    def back(self) -> Tensor:
        """(R,) for each row, end to end, its place step by step."""
        return torch.argsort(self.places)

    def before(self, values: Tensor) -> Tensor:
        """Give for each row, step by step, (R, D), what the one before it has; zeros for the first."""
        return functional.pad(values, (0, 0, 1, 0)).index_select(0, self.previous)


class RecurrentVector(nn.Module):
    """Two bidirectional LSTM layers, a norm between them; a sequence's vector is the last state of all four directions."""

    def __init__(self, d_in: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.LSTM(d_in, hidden, bidirectional=True)
        self.norm = nn.LayerNorm(2 * hidden)
        self.second = nn.LSTM(2 * hidden, hidden, bidirectional=True)

    def forward(self, rows: Tensor, spans: Spans) -> Tensor:
        """Map rows (R, d_in) to (B, 4 * hidden)."""
        steps = Steps.of(spans)
        below = run_steps(self.first, rows.index_select(0, steps.places), steps)  # (R, 2 * hidden)
        above = run_steps(self.second, self.norm(below), steps)
        return torch.cat([at_ends(self.first, below, steps), at_ends(self.second, above, steps)], dim=1)


def final_state(lstm: nn.LSTM, rows: Tensor, spans: Spans) -> Tensor:
    """Run a layer and give its state after each clip's last row, both directions side by side.

    Args:
        lstm: One layer, in one direction or in both.
        rows: (R, D) sequences end to end.
        spans: How they belong to clips.

    Returns:
        (B, directions * hidden).
    """
    steps = Steps.of(spans)
    return at_ends(lstm, run_steps(lstm, rows.index_select(0, steps.places), steps), steps)


def all_states(lstm: nn.LSTM, rows: Tensor, spans: Spans) -> Tensor:
    """Run a layer and give its state after each row, both directions side by side.

    Args:
        lstm: As in `final_state`.
        rows: (R, D) sequences end to end.
        spans: How they belong to clips.

    Returns:
        (R, directions * hidden), in the rows' own order.
    """
    steps = Steps.of(spans)
    return run_steps(lstm, rows.index_select(0, steps.places), steps).index_select(0, steps.back)


def run_steps(lstm: nn.LSTM, rows: Tensor, steps: Steps) -> Tensor:
    """Run a layer over rows (R, D), step by step; gives (R, directions * hidden) in the same order."""
    if rows.is_cuda:
        return lstm(PackedSequence(rows, steps.counts))[0].data  # type: ignore[no-any-return]  # torch: __call__ is Any
    weights = [(of_input, of_state, one + other) for of_input, of_state, one, other in lstm.all_weights]
    forwards, _ = recurrence(rows, steps, *weights[0])
    if not lstm.bidirectional:
        return forwards
    backwards, _ = recurrence(rows.index_select(0, steps.mirrored), steps, *weights[1])
    return torch.cat([forwards, backwards.index_select(0, steps.mirrored)], dim=1)


def at_ends(lstm: nn.LSTM, told: Tensor, steps: Steps) -> Tensor:
    """Give of what `run_steps` told, (R, directions * hidden), what is left at each clip's end, (B, directions * hidden)."""
    if not lstm.bidirectional:
        return told.index_select(0, steps.last)
    forwards, backwards = told.chunk(2, dim=1)
    return torch.cat([forwards.index_select(0, steps.last), backwards.index_select(0, steps.first)], dim=1)


def recurrence(rows: Tensor, steps: Steps, of_input: Tensor, of_state: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Run an LSTM's cell over rows (R, D), step by step.

    Args:
        rows: In the order of `steps`.
        steps: That order.
        of_input: (4 * hidden, D) weights of the input gate, the forget gate, the proposal and the output gate, as torch has them.
        of_state: (4 * hidden, hidden) of the state before.
        bias: (4 * hidden,).

    Returns:
        States h and memories c, (R, hidden) each, in the order of the rows.
    """
    return _Recurrence.apply(rows @ of_input.T, of_state, bias, steps)  # type: ignore[no-any-return, no-untyped-call]


class _Recurrence(torch.autograd.Function):
    """i, f, o = sigmoid and g = tanh of (given + W h' + b); c = f c' + i g; h = o tanh(c), where h' and c' are those of the step before."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
        hidden, counts = weight.shape[1], steps.counts.tolist()
        # One sigmoid serves all four, since tanh(x) = 2 sigmoid(2 x) - 1.
        twice = torch.ones_like(weight[:, 0])
        twice[PROPOSAL * hidden : (PROPOSAL + 1) * hidden] = 2.0
        gates = torch.addcmul(bias * twice, given, twice)
        transposed = torch.mul(weight.T, twice, out=weight.new_empty(hidden, 4 * hidden))
        states, memories = (gates.new_empty(len(gates), hidden) for _ in range(2))
        state = memory = gates.new_zeros(counts[0], hidden)
        by_step = [torch.split(one, counts) for one in (gates, *gates.chunk(4, dim=1), states, memories)]
        with torch.inference_mode():  # what its bookkeeping costs is a tenth of all steps
            for count, gate, let_in, keep, half, out, now, kept in zip(counts, *by_step, strict=True):
                if count < len(state):
                    state, memory = state[:count], memory[:count]
                gate.addmm_(state, transposed).sigmoid_()
                torch.mul(keep, memory, out=kept).addcmul_(let_in, half, value=2.0).sub_(let_in)
                torch.mul(out, kept.tanh(), out=now)
                state, memory = now, kept
        ctx.save_for_backward(gates, weight, states, memories)
        ctx.steps = steps
        return states, memories

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor, of_memories: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gates, weight, states, memories = ctx.saved_tensors
        hidden, counts = weight.shape[1], ctx.steps.counts.tolist()
        let_in, keep, half, out = gates.chunk(4, dim=1)
        squashed = memories.tanh()
        # What a memory's gradient is times, in each gate's sum, and a state's in the output gate's: the slope of the gate
        # (four times that of its sigmoid for the proposal's tanh) times what the gate meets.
        met = torch.cat([2 * half - 1, ctx.steps.before(memories), 4 * let_in, squashed], dim=1)
        shares = aten.sigmoid_backward(met, gates).view(-1, 4, hidden)
        through = aten.tanh_backward(out, squashed)  # from a state to its memory
        of_sums, of_states = torch.empty_like(gates), of_states.clone()
        into = of_sums.view(-1, 4, hidden)
        columns = (of_states, of_memories, through, shares[:, :3], shares[:, 3], keep, of_sums, into[:, :3], into[:, 3])
        by_step = [torch.split(one, counts) for one in columns]
        after, later = 0, None  # clips that have the next step, and its gradients
        with torch.inference_mode():
            for count, of_state, of_memory, passes, to_three, to_out, keeps, of_gates, of_three, of_out in reversed(
                list(zip(counts, *by_step, strict=True))
            ):
                if later is not None:
                    of_state[:after].addmm_(later[0], weight)
                memory = torch.addcmul(of_memory, of_state, passes)
                if later is not None:
                    memory[:after].addcmul_(later[1], later[2])
                torch.mul(to_three, memory.unsqueeze(1), out=of_three)
                torch.mul(to_out, of_state, out=of_out)
                after, later = count, (of_gates, memory, keeps)
        return of_sums, of_sums.T @ ctx.steps.before(states), of_sums.sum(dim=0), None
