"""Sequences of different lengths, end to end in one tensor: no arithmetic is done on padding.

What works row by row (linear maps, convolutions, norms) sees the rows of all clips at once; what compares the rows of one
clip with one another (attention) sees groups of clips of like length, padded and masked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

MOST_PADDING = 1.6
"""Lengths of a group: the longest is at most so many times the shortest, and 2 more. Attention alone pays for padding, and
products of few clips cost more than what is not computed for it."""


class Group(NamedTuple):
    """Clips of like length, whose rows follow one another once rows are sorted by their clips' lengths.

    Attributes:
        n_rows: Their rows.
        mask: (b, L) bool, True = valid.
        places: (n_rows,) where in (b * L) the rows stand; None where they fill it.
    """

    n_rows: int
    mask: Tensor
    places: Tensor | None

    def padded(self, rows: Tensor) -> Tensor:
        """Bring this group's rows (n_rows, D) to (b, L, D), zeros at padding."""
        if self.places is not None:
            rows = rows.new_zeros(self.mask.numel(), rows.shape[-1]).index_copy(0, self.places, rows)
        return rows.view(*self.mask.shape, rows.shape[-1])

    def flat(self, padded: Tensor) -> Tensor:
        """Give the rows of (b, L, D) without padding, (n_rows, D)."""
        rows = padded.flatten(0, 1)
        return rows if self.places is None else rows.index_select(0, self.places)


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
        return Groups(self, _of_like_length(self.lengths.numpy()))


class Groups:
    """Rows of clips, brought from end to end to padded groups of clips, and back; all groups hold each row once.

    Args:
        spans: How rows, end to end, belong to clips.
        clips: The numbers of each group's clips.

    Attributes:
        clips: As given.
    """

    def __init__(self, spans: Spans, clips: Sequence[NDArray[np.int64]]) -> None:
        lengths, order = spans.lengths.numpy(), np.concatenate(clips)
        self.clips = clips
        self._groups = [_group(lengths[numbers], spans.device) for numbers in clips]
        self._sorting: Tensor | None = None  # costs nothing where clips come in this order
        if (order != np.arange(len(order))).any():
            starts = np.cumsum(lengths) - lengths
            rows = [np.arange(starts[number], starts[number] + lengths[number]) for number in order]
            self._sorting = torch.from_numpy(np.concatenate(rows)).to(spans.device)

    def __iter__(self) -> Iterator[Group]:
        """The groups."""
        return iter(self._groups)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._groups)

    def padded(self, rows: Tensor) -> list[Tensor]:
        """Bring rows (R, D) to (b, L, D) for each group.

        Rows are split at once: slices taken one by one would each have a gradient as large as the whole.
        """
        rows = rows if self._sorting is None else rows.index_select(0, self._sorting)
        parts = torch.split(rows, [group.n_rows for group in self])
        return [group.padded(part) for group, part in zip(self, parts, strict=True)]

    def flat(self, padded: Sequence[Tensor]) -> Tensor:
        """Put what was computed group by group, (b, L, D) each, back into the rows' own order, (R, D)."""
        parts = [group.flat(one) for group, one in zip(self, padded, strict=True)]
        rows = torch.cat(parts) if len(parts) > 1 else parts[0]
        return rows if self._sorting is None else rows.index_select(0, self._unsorting)

    @cached_property
    def _unsorting(self) -> Tensor:
        assert self._sorting is not None  # noqa: S101  # it is asked for where rows were sorted
        return torch.argsort(self._sorting)


def _of_like_length(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut clips, shortest first, into runs of like length; gives their numbers."""
    order, found, first = np.argsort(lengths, kind="stable"), [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or lengths[order[end]] > MOST_PADDING * lengths[order[first]] + 2:
            found.append(order[first:end])
            first = end
    return found


def _group(lengths: NDArray[np.int64], device: torch.device) -> Group:
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]
    places = None if mask.all() else torch.from_numpy(np.flatnonzero(mask)).to(device)
    return Group(int(lengths.sum()), torch.from_numpy(mask).to(device), places)
