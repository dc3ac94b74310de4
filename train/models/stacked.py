"""Several transformers of one shape side by side, their weights stacked, so that small ones use a machine well.

Rows of S transformers are (S, R, D): R rows of clips end to end. Attention takes its S times H heads in one call.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.ragged import Groups, Spans, of_like_length

Lengths = TypeVar("Lengths", NDArray[np.int64], np.int64)
LANES = 16
"""Rows that attention asks are padded to a multiple of so many: a CPU takes what is left over one by one, which was seen to take
three times as long."""


def lanes(lengths: Lengths) -> Lengths:
    """Round up to a multiple of `LANES`."""
    return -(-lengths // LANES) * LANES


class StackedLinear(nn.Module):
    """S affine maps; weights begin as Glorot's, biases at 0.

    Args:
        stack: S.
        d_in: Width of a row.
        d_out: What one map makes of it.
        maps: Maps of the same row in each of the S, side by side in what comes out.
    """

    def __init__(self, stack: int, d_in: int, d_out: int, maps: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(stack, d_in, maps * d_out))
        self.bias = nn.Parameter(torch.zeros(stack * maps * d_out))  # one axis: it does not decay as a matrix does
        with torch.no_grad():
            for one in self.weight:
                for block in one.chunk(maps, dim=1):
                    nn.init.xavier_uniform_(block)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (S, R, d_in) to (S, R, maps * d_out)."""
        return torch.baddbmm(self.bias.view(len(self.weight), 1, -1), rows, self.weight)


class StackedNorm(nn.Module):
    """S layer norms."""

    def __init__(self, stack: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(stack * width))
        self.bias = nn.Parameter(torch.zeros(stack * width))

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise the last axis of (S, R, width)."""
        stack, width = len(rows), rows.shape[-1]
        normal = functional.layer_norm(rows, (width,))
        return torch.addcmul(self.bias.view(stack, 1, width), normal, self.gain.view(stack, 1, width))


@dataclass(frozen=True)
class Pairing:
    """Which source rows each clip's target rows attend to: clips of like lengths stand together.

    Attributes:
        target: Spans of the rows that ask.
        source: Spans of the same clips' rows that answer.
    """

    target: Spans
    source: Spans

    @cached_property
    def groups(self) -> Groups:
        """Clips of like target length, and in these of like source length, together."""
        if self.target is self.source:
            return self.target.groups
        lengths = lanes(self.source.lengths.numpy())
        clips = [one[run] for one in self.target.groups.clips for run in of_like_length(lengths[one])]
        return Groups(self.target, clips)

    @cached_property
    def asked(self) -> tuple[Tensor, list[tuple[int, int]], list[Tensor | None]]:
        """What rows are asked.

        Returns:
            The source rows of all groups' clips, (T,), one group after another; each group's shape (b, L); each one's mask
            (b, 1, 1, L) bool, True = valid, None where all are.
        """
        lengths = self.source.lengths.numpy()
        starts, rows, masks = np.cumsum(lengths) - lengths, [], []
        for numbers in self.groups.clips:
            length = lengths[numbers][:, None]  # (b, 1)
            places = np.arange(lanes(length.max()))
            rows.append(starts[numbers][:, None] + np.minimum(places, length - 1))  # what stands at padding is masked
            masks.append((places < length)[:, None, None])
        device = self.source.device
        held = [None if one.all() else torch.from_numpy(one).to(device) for one in masks]
        return (
            torch.from_numpy(np.concatenate([one.ravel() for one in rows])).to(device),
            [one.shape for one in rows],
            held,
        )

    def gathered(self, rows: Tensor, width: int) -> list[list[Tensor]]:
        """Bring source rows to their clips, once for all that was computed of them.

        Args:
            rows: (S, R, n * width): n maps of each source row.
            width: D.

        Returns:
            n lists, a tensor (b, L, S * D) for each group in them.
        """
        stack, count, _ = rows.shape
        by_map = rows.reshape(stack, count, -1, width).permute(1, 2, 0, 3)  # (R, n, S, D)
        places, shapes, _ = self.asked
        # All at once: taken group by group, each would have a gradient as large as the whole.
        parts = torch.split(by_map.index_select(0, places), [clips * length for clips, length in shapes])
        groups = [
            part.view(*shape, by_map.shape[1], stack * width).unbind(2)
            for part, shape in zip(parts, shapes, strict=True)
        ]
        return [list(of_map) for of_map in zip(*groups, strict=True)]

    def attend(self, queries: Tensor, keys: list[Tensor], values: list[Tensor], heads: int) -> Tensor:
        """Attend by scaled dot products, with H heads in each of S transformers.

        Args:
            queries: (S, R, D) target rows.
            keys: (b, L, S * D) of each group, as `gathered` gives them.
            values: Likewise.
            heads: H.

        Returns:
            (S, R, D).
        """
        stack, count, width = queries.shape
        asking = self.groups.padded(queries.transpose(0, 1).reshape(count, stack * width))  # (b, L, S * D) each
        attended = []
        for mask, *three in zip(self.asked[2], asking, keys, values, strict=True):
            query, key, value = (  # (b, S * H, L, D / H) each
                one.reshape(*one.shape[:2], stack * heads, -1).transpose(1, 2) for one in three
            )
            out = functional.scaled_dot_product_attention(query, key, value, mask)
            attended.append(out.transpose(1, 2).flatten(2))  # (b, L, S * D)
        return self.groups.flat(attended).view(count, stack, width).transpose(0, 1)


class FeedForward(nn.Module):
    """Two maps of each row, 4 times as wide between them, with ReLU."""

    def __init__(self, stack: int, width: int) -> None:
        super().__init__()
        self.wide = StackedLinear(stack, width, 4 * width)
        self.narrow = StackedLinear(stack, 4 * width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (S, R, width) to (S, R, width)."""
        return self.narrow(self.wide(rows).relu_())  # type: ignore[no-any-return]  # torch: __call__ is Any
