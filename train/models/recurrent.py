"""Recurrent networks over sequences that stand end to end: no step is taken over padding."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sadgr.train.ragged import Spans


def packed(rows: Tensor, spans: Spans) -> PackedSequence:
    """Order rows (R, D) by their place in their clip, as torch's recurrent layers want them.

    Args:
        rows: (R, D) sequences end to end.
        spans: How they belong to clips, in any order of lengths.
    """
    order = torch.argsort(spans.lengths, descending=True, stable=True)  # (B,)
    lengths = spans.lengths[order]
    starts = (spans.lengths.cumsum(0) - spans.lengths)[order]
    places = torch.arange(int(lengths[0]))[:, None]  # (L, 1)
    valid = places < lengths  # (L, B)
    chosen = (starts + places)[valid].to(rows.device)  # (R,) place by place, longest clip first
    order = order.to(rows.device)
    return PackedSequence(rows[chosen], valid.sum(dim=1), order, torch.argsort(order))


def final_state(lstm: nn.LSTM, rows: Tensor | PackedSequence, spans: Spans) -> Tensor:
    """Run a layer and give its state after each clip's last row, both directions side by side.

    Args:
        lstm: One layer, in one direction or in both.
        rows: (R, D) sequences end to end, or what `packed` made of them.
        spans: How they belong to clips.

    Returns:
        (B, directions * hidden).
    """
    _, (state, _) = lstm(packed(rows, spans) if isinstance(rows, Tensor) else rows)  # (directions, B, hidden)
    return state.transpose(0, 1).flatten(1)  # type: ignore[no-any-return]  # torch: __call__ is Any


def all_states(lstm: nn.LSTM, rows: Tensor, spans: Spans) -> Tensor:
    """Run a layer and give its state after each row, both directions side by side.

    Args:
        lstm: As in `final_state`.
        rows: (R, D) sequences end to end.
        spans: How they belong to clips.

    Returns:
        (R, directions * hidden), in the rows' own order.
    """
    places = packed(torch.arange(len(rows), device=rows.device), spans).data
    states, _ = lstm(packed(rows, spans))
    return states.data[torch.argsort(places)]  # type: ignore[no-any-return]  # torch: __call__ is Any
