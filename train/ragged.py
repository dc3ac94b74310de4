"""Sequences of different lengths, end to end in one tensor: no arithmetic is done on padding.

What works row by row (linear maps, convolutions, norms) sees the rows of all clips at once; what compares the rows of one
clip with one another (attention) sees groups of clips of like length, padded and masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

MOST_PADDING = 1.6
"""Lengths of a group: the longest is at most so many times the shortest, and 2 more. Attention alone pays for padding, and
products of few clips cost more than what is not computed for it."""


@dataclass(frozen=True)
class Spans:
    """How rows, end to end, belong to B clips.

    Attributes:
        lengths: (B,) int64 on the CPU, each at least 1.
        device: where the rows are.
    """

    lengths: Tensor
    device: torch.device

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device | None = None) -> "Spans":
        """Make spans of these lengths."""
        return cls(torch.as_tensor(lengths, dtype=torch.int64), device or torch.device("cpu"))

    def to(self, device: torch.device) -> "Spans":
        """Give the same spans of rows on another device."""
        return Spans(self.lengths, device)

    def __len__(self) -> int:
        """B."""
        return len(self.lengths)

    @cached_property
    def owners(self) -> Tensor:
        """(R,) which clip each row is of."""
        return torch.repeat_interleave(torch.arange(len(self)), self.lengths).to(self.device)

    @cached_property
    def mask(self) -> Tensor:
        """(B, L) bool, True at the first lengths[b] places of row b."""
        return (torch.arange(int(self.lengths.max()))[None, :] < self.lengths[:, None]).to(self.device)

    def padded(self, rows: Tensor) -> Tensor:
        """Bring rows (R, D) to (B, L, D), with zeros at padding."""
        out = rows.new_zeros((*self.mask.shape, rows.shape[-1]))
        out[self.mask] = rows
        return out

    def mean(self, rows: Tensor) -> Tensor:
        """Average rows (R, D) over each clip's own, (B, D).

        As a product with (B, R) weights: several times faster, both ways, than sums by index, and the same on every run.
        """
        return self._weights.to(rows.dtype) @ rows

    def spread(self, values: Tensor) -> Tensor:
        """Give each row its clip's vector: (B, D) to (R, D)."""
        return values.index_select(0, self.owners)

    @cached_property
    def _weights(self) -> Tensor:
        weights = torch.zeros(len(self), len(self.owners), device=self.device)
        weights[self.owners, torch.arange(len(self.owners), device=self.device)] = 1.0
        return weights / self.lengths.to(self.device)[:, None]

    def shifted(self, rows: Tensor, steps: int) -> Tensor:
        """Move rows (R, D) on by some steps within their clips: row i comes to i + steps; zeros follow."""
        if steps == 0:
            return rows
        count, reach = len(rows), min(abs(steps), len(rows))
        if steps > 0:
            kept = rows[: count - reach].masked_fill(
                (self.owners[reach:] != self.owners[: count - reach])[:, None], 0.0
            )
            return functional.pad(kept, (0, 0, reach, 0))
        kept = rows[reach:].masked_fill((self.owners[: count - reach] != self.owners[reach:])[:, None], 0.0)
        return functional.pad(kept, (0, 0, 0, reach))

    @cached_property
    def groups(self) -> "Groups":
        """Clips of like length together, shortest first."""
        return Groups(self, of_like_length(self.lengths.numpy()))


class Groups:
    """Rows of clips, brought from end to end to padded groups of clips, and back; all groups hold each row once.

    Args:
        spans: How rows, end to end, belong to clips.
        clips: The numbers of each group's clips.

    Attributes:
        clips: As given.
        masks: (b, L) bool of each group, True = valid.
    """

    def __init__(self, spans: Spans, clips: Sequence[NDArray[np.int64]]) -> None:
        lengths, order = spans.lengths.numpy(), np.concatenate(clips)
        valid = [np.arange(lengths[numbers].max()) < lengths[numbers][:, None] for numbers in clips]  # (b, L) each
        self.clips = clips
        self.masks = [torch.from_numpy(one).to(spans.device) for one in valid]
        # Places of rows among all groups' rows, clip by clip as `order` has them, and then row by row.
        places = np.flatnonzero(np.concatenate([one.ravel() for one in valid]))
        before = np.repeat(np.cumsum(lengths)[order] - np.cumsum(lengths[order]), lengths[order])
        into = np.empty(len(places), np.int64)
        into[before + np.arange(len(places))] = places
        self._size = sum(one.size for one in valid)
        # Where clips come in this order and fill their groups, rows stand there already.
        in_place = self._size == len(into) and bool((into == np.arange(len(into))).all())
        self._into = None if in_place else torch.from_numpy(into).to(spans.device)

    def padded(self, rows: Tensor) -> list[Tensor]:
        """Bring rows (R, D) to (b, L, D) for each group, zeros at padding.

        All at once, and then split: slices taken one by one would each have a gradient as large as the whole.
        """
        if self._into is not None:
            rows = rows.new_zeros(self._size, rows.shape[1]).index_copy(0, self._into, rows)
        parts = torch.split(rows, [mask.numel() for mask in self.masks])
        return [part.view(*mask.shape, -1) for part, mask in zip(parts, self.masks, strict=True)]

    def flat(self, padded: Sequence[Tensor]) -> Tensor:
        """Put what was computed group by group, (b, L, D) each, back into the rows' own order, (R, D)."""
        parts = [part.flatten(0, 1) for part in padded]
        rows = torch.cat(parts) if len(parts) > 1 else parts[0]
        return rows if self._into is None else rows.index_select(0, self._into)


def of_like_length(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut clips, shortest first, into runs of like length; gives their numbers."""
    order = np.argsort(lengths, kind="stable")
    found = lengths[order].tolist()
    cuts = [0]
    for end, length in enumerate(found):
        if length > MOST_PADDING * found[cuts[-1]] + 2:
            cuts.append(end)
    return [order[first:end] for first, end in pairwise([*cuts, len(order)])]
