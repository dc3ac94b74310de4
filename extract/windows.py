"""Long sequences in overlapping windows: where each begins and ends, and which part of it counts."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Window:
    """A window over a sequence of steps (audio frames, wordpieces), and the steps that are taken from it.

    Attributes:
        start: first step that the model sees.
        stop: one past the last step that it sees.
        first: first step that counts.
        last: one past the last step that counts.
    """

    start: int
    stop: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.first <= self.last <= self.stop:
            raise ValueError(f"{self} is no window; what counts must lie inside what is seen")

    @property
    def kept(self) -> slice:
        """The steps that count, counted from the window's own start."""
        return slice(self.first - self.start, self.last - self.start)


def spread(count: int, longest: int, overlap: int) -> list[Window]:
    """Cover a sequence by windows.

    As few full windows as overlap by at least so much, evenly spread, so that no last one is short of context. Each step
    counts in the window in which it stands furthest from an edge; the ends of the sequence are no edges.

    Args:
        count: steps of the sequence.
        longest: steps of a window.
        overlap: the least number of steps that two neighbours share; less than `longest`.

    Returns:
        The windows in order; their counting parts cover every step once. One window where the sequence fits into it.

    Raises:
        ValueError: no windows can be so.
    """
    if count < 0 or not 0 <= overlap < longest:
        raise ValueError(f"{count} steps cannot be cut into windows of {longest} that overlap by {overlap}")
    if count <= longest:
        return [Window(0, count, 0, count)]
    steps = -(-(count - longest) // (longest - overlap))
    starts = [number * (count - longest) // steps for number in range(steps + 1)]
    return join([(start, start + longest) for start in starts], count)


def spread_words(words: Sequence[int], longest: int, overlap: int) -> list[Window]:
    """Cover wordpieces by windows, as `spread`, with edges and joints between words where words are short enough.

    Args:
        words: the word of each wordpiece, not falling.
        longest: wordpieces of a window.
        overlap: as in `spread`; edges move by a quarter of it at most, so that half of it stays.

    Returns:
        The windows in order.
    """
    count = len(words)
    between = [0, *(at for at in range(1, count) if words[at - 1] != words[at]), count]
    edges = []
    for window in spread(count, longest, overlap):
        start = between[bisect_left(between, window.start)]
        stop = between[bisect_right(between, window.stop) - 1]
        edges.append(
            (
                start if start - window.start <= overlap // 4 else window.start,
                stop if window.stop - stop <= overlap // 4 else window.stop,
            )
        )
    return join(edges, count, between)


def join(edges: Sequence[tuple[int, int]], count: int, between: Sequence[int] = ()) -> list[Window]:
    """Let each step count in one window.

    Args:
        edges: start and stop of each window, in order; they cover all steps.
        count: steps of the sequence.
        between: where windows had better be joined, rising.

    Returns:
        The windows. Two are joined in the middle of their overlap, or at the place of `between` nearest to it there.
    """
    joints = [0]
    for (_, stop), (start, _) in pairwise(edges):
        middle = (start + stop) // 2
        inside = between[bisect_left(between, start) : bisect_right(between, stop)]
        joints.append(min(inside, key=lambda at: abs(at - middle), default=middle))
    joints.append(count)
    return [Window(*edge, *joint) for edge, joint in zip(edges, pairwise(joints), strict=True)]
