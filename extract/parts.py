"""Computing in parts that fit into the device's memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def in_parts(compute: Callable[[Any], Result], items: Any, at_once: int) -> list[Result]:
    """Compute over parts of some items, of half the size where memory runs out.

    Args:
        compute: takes a part, a slice of the items.
        items: a tensor or a sequence, n long.
        at_once: how many to begin with.

    Returns:
        Results of the parts, in order.

    Raises:
        torch.OutOfMemoryError: even one item alone does not fit.
    """
    results: list[Result] = []
    start = 0
    while start < len(items):
        try:
            results.append(compute(items[start : start + at_once]))
        except torch.OutOfMemoryError:
            if at_once == 1:
                raise
            at_once = at_once // 2
            torch.cuda.empty_cache()
            continue
        start += at_once
    return results


def by_length(lengths: Sequence[int], total: int) -> Iterator[list[int]]:
    """Group items of similar lengths, so that little is padding.

    Args:
        lengths: (n,) of the items.
        total: what a group may come to at most, padding included; a longer item is a group of its own.

    Yields:
        Places of a group's items; all groups together hold each once. In a group the longest is at most a quarter, and 8,
        longer than the shortest.
    """
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        longest = lengths[place]
        if group and (longest > 1.25 * lengths[group[0]] + 8 or longest * (len(group) + 1) > total):
            yield group
            group = []
        group.append(place)
    if group:
        yield group
