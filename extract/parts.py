"""Computing in groups that fit into the device's memory."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

Result = TypeVar("Result")

SHARE = 0.8
"""Of a GPU's free memory that a group may take; what is left is for what others do there meanwhile."""


class Budget:
    """How much goes through a model at once.

    On a GPU this follows from the memory that groups were seen to take: it begins at `first`, and grows to what fits. On a
    CPU larger groups gain nothing, so that it stays at `first`. Where memory runs out it is halved, and never grows again.

    Args:
        device: where the model computes.
        first: units that it begins with: video frames, wordpieces, or samples, padding included.
        most: units beyond which a group gains no speed.

    Attributes:
        units: what a group may come to now.
    """

    def __init__(self, device: torch.device, first: int, most: int) -> None:
        self.units = first
        self._most = most
        self._device = device

    @contextmanager
    def measured(self, units: int) -> Iterator[None]:
        """Measure what a group of so many units takes while the block computes it, and set `units` by it."""
        if self._device.type != "cuda":
            yield
            return
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        yield
        taken = torch.cuda.max_memory_allocated(self._device) - before
        free, _ = torch.cuda.mem_get_info(self._device)
        cached = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        self.learn(units, taken, free + cached)

    def learn(self, units: int, taken: int, free: int) -> None:
        """Set `units` to what fits.

        Args:
            units: of a group that was computed.
            taken: bytes that it took at its peak.
            free: bytes that the next one may have.
        """
        fitting = int(SHARE * free * units / max(taken, 1))
        self.units = max(1, min(self._most, fitting))

    def halve(self) -> None:
        """Take half from now on: memory ran out."""
        self.units = self._most = max(1, self.units // 2)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def in_groups(compute: Callable[[list[int]], Sequence[Result]], lengths: Sequence[int], budget: Budget) -> list[Result]:
    """Compute items in groups of similar length, of half the size where memory runs out.

    Args:
        compute: gives the results of the items at these places, in their order.
        lengths: (n,) of the items, in the budget's units.
        budget: what a group may come to.

    Returns:
        Results (n,) in the items' order.

    Raises:
        torch.OutOfMemoryError: even one item alone does not fit.
    """
    found: dict[int, Result] = {}
    left = deque(sorted(range(len(lengths)), key=lambda place: lengths[place]))
    while left:
        group = _next_group(left, lengths, budget.units)
        try:
            with budget.measured(len(group) * lengths[group[-1]]):
                results = compute(group)
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise
            budget.halve()
            left.extendleft(reversed(group))
            continue
        found.update(zip(group, results, strict=True))
    return [found[place] for place in range(len(lengths))]


def _next_group(left: deque[int], lengths: Sequence[int], total: int) -> list[int]:
    """Take items of similar length off the left, shortest first.

    The longest is at most a quarter, and 8, longer than the shortest, so that little is padding; with its padding the group
    comes to `total` at most, or is one item alone.
    """
    group = [left.popleft()]
    shortest = lengths[group[0]]
    while left and lengths[left[0]] <= 1.25 * shortest + 8 and lengths[left[0]] * (len(group) + 1) <= total:
        group.append(left.popleft())
    return group
