"""Several transformers of one shape side by side, their weights stacked, so that small ones use a machine well.

Rows of S transformers are (S, R, D): R rows of clips end to end. Attention takes its S times H heads in one call.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.ragged import Spans


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
    """Which source rows each clip's target rows attend to: clips of like target length stand together.

    Attributes:
        target: Spans of the rows that ask.
        source: Spans of the same clips' rows that answer.
    """

    target: Spans
    source: Spans

    @cached_property
    def parts(self) -> list[tuple[Tensor, Tensor | None]]:
        """For each group the source rows of its clips, (b, L), and their mask (b, 1, 1, L), None where all are valid."""
        starts = self.source.lengths.cumsum(0) - self.source.lengths
        found = []
        for numbers in self.target.groups.clips:
            clips = torch.from_numpy(numbers)
            lengths = self.source.lengths[clips][:, None]  # (b, 1)
            places = torch.arange(int(lengths.max()))
            rows = starts[clips][:, None] + torch.minimum(places, lengths - 1)  # what stands at padding is masked
            mask = None if bool((lengths == lengths[0]).all()) else (places < lengths)[:, None, None]
            device = self.source.device
            found.append((rows.to(device), None if mask is None else mask.to(device)))
        return found

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
        chosen = [places for places, _ in self.parts]  # (b, L) each
        # All at once: taken group by group, each would have a gradient as large as the whole.
        taken = by_map.index_select(0, torch.cat([places.flatten() for places in chosen]))
        groups = [
            one.view(*places.shape, by_map.shape[1], stack * width).unbind(2)
            for one, places in zip(torch.split(taken, [places.numel() for places in chosen]), chosen, strict=True)
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
        asking = self.target.groups.padded(queries.transpose(0, 1).reshape(count, stack * width))  # (b, L, S * D) each
        attended = []
        for (_, mask), *three in zip(self.parts, asking, keys, values, strict=True):
            query, key, value = (  # (b, S * H, L, D / H) each
                one.reshape(*one.shape[:2], stack * heads, -1).transpose(1, 2) for one in three
            )
            out = functional.scaled_dot_product_attention(query, key, value, mask)
            attended.append(out.transpose(1, 2).flatten(2))  # (b, L, S * D)
        return self.target.groups.flat(attended).view(count, stack, width).transpose(0, 1)


class FeedForward(nn.Module):
    """Two maps of each row, 4 times as wide between them, with ReLU."""

    def __init__(self, stack: int, width: int) -> None:
        super().__init__()
        self.wide = StackedLinear(stack, width, 4 * width)
        self.narrow = StackedLinear(stack, 4 * width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (S, R, width) to (S, R, width)."""
        return self.narrow(self.wide(rows).relu_())  # type: ignore[no-any-return]  # torch: __call__ is Any
