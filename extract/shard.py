"""A part of a source, for one of several processes or machines that fill one cache together."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sadgr.extract.clips import Clip


@dataclass(frozen=True)
class Shard:
    """One of `count` parts, which together hold every clip once.

    Attributes:
        index: which part, from 0.
        count: of how many.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        """Check that there is such a part."""
        if not 0 <= self.index < self.count:
            raise ValueError(f"{self}: the parts of {self.count} are 0 to {self.count - 1}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`.

        Raises:
            ValueError: it is something else, or there is no such part.
        """
        index, _, count = text.partition("/")
        if not (_is_number(index) and _is_number(count)):
            raise ValueError(f"{text!r}: expected I/N, such as 0/4 for the first of four parts")
        return cls(int(index), int(count))

    @classmethod
    def of_slurm(cls, environment: Mapping[str, str]) -> "Shard | None":
        """Return the part that this task of a SLURM job array does; None outside of one.

        Ids may begin anywhere and go up in steps (`--array=1-9:2`); what counts is a task's place among them.

        Args:
            environment: variables, of which those that begin with SLURM_ARRAY_TASK_ are read.

        Raises:
            ValueError: the ids are no regular range, so that the place cannot be told.
        """
        names = ("ID", "COUNT", "MIN", "MAX", "STEP")
        said = {name: environment.get(f"SLURM_ARRAY_TASK_{name}", "") for name in names}
        if not (said["ID"] and said["COUNT"]):
            return None
        if not all(_is_number(text) for text in said.values() if text):
            raise ValueError(_irregular(said))
        number, count = int(said["ID"]), int(said["COUNT"])
        first, step = int(said["MIN"] or 0), max(1, int(said["STEP"] or 1))
        last = int(said["MAX"] or first + (count - 1) * step)
        index, rest = divmod(number - first, step)
        if rest or not 0 <= index < count or (last - first) // step + 1 != count:
            raise ValueError(_irregular(said))
        return cls(index, count)

    def of(self, clips: Iterable[Clip]) -> list[Clip]:
        """Return this part of some clips, in their order.

        Clips of one speaker stay together: the Montreal Forced Aligner adapts to a speaker, and word times must not depend on
        how many machines there are. The largest group goes first, each to the part that has the fewest clips so far; of
        groups of one size, that of the first name. The same clips are so divided alike everywhere, however they are listed.

        Args:
            clips: what is divided; every process must divide the same.
        """
        clips = list(clips)
        groups: dict[tuple[str, str], list[str]] = {}
        for clip in clips:
            groups.setdefault(_group(clip), []).append(clip.clip_id)
        parts = [(0, index) for index in range(self.count)]  # clips so far, part
        mine = set[str]()
        for name in sorted(groups, key=lambda name: (-len(groups[name]), name)):
            size, index = parts[0]
            heapq.heapreplace(parts, (size + len(groups[name]), index))
            if index == self.index:
                mine.update(groups[name])
        return [clip for clip in clips if clip.clip_id in mine]


def parse_shards(text: str) -> tuple[Shard, ...]:
    """Read `I/N`, or several with commas between, each of which divides what the one before leaves.

    Raises:
        ValueError: see `Shard.parse`.
    """
    return tuple(Shard.parse(one) for one in text.split(","))


def in_words(shards: Sequence[Shard]) -> str:
    """Return successive parts for people and for `--shard`, such as `1/4,0/2`."""
    return ",".join(str(one) for one in shards)


def _group(clip: Clip) -> tuple[str, str]:
    return ("speaker", clip.speaker) if clip.speaker else ("clip", clip.clip_id)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _irregular(said: Mapping[str, str]) -> str:
    """Say what SLURM said, and what helps."""
    told = ", ".join(f"SLURM_ARRAY_TASK_{name}={text}" for name, text in said.items() if text)
    return (
        f"the tasks of this SLURM array are no regular range ({told}): add --shard I/N, or --shard 0/1 for everything"
    )
