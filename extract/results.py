"""What becomes of clips at a stage, wherever that is computed: on this machine or on a cluster's."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from sadgr.align import PoolingError
from sadgr.cache.runlog import State
from sadgr.extract.errors import AbsentError, ClipError
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.stages import Arrays, Encoded, Stage

BATCH_BYTES = 256 * 2**20
"""What clips that wait to be computed together may take of memory; an hour of sound is a batch of its own."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Result:
    """What became of one clip at one stage.

    Attributes:
        clip_id: the clip.
        stage: text, audio or video.
        state: `done`, `flagged`, `absent` or `failed`.
        arrays: its features, where it is done or flagged.
        reason: why, where it is not `done`.
        seconds: time that it took; a clip's share where several were computed together.
        amount: how much there was to encode: words, seconds of sound, video frames.
    """

    clip_id: str
    stage: str
    state: State
    arrays: Arrays | None = None
    reason: str = ""
    seconds: float = 0.0
    amount: float = 0.0


def attempt(clip_id: str, stage: str, work: Callable[[], Found]) -> Found | Result:
    """Return what comes of work on a clip; where the clip itself is at fault, its result."""
    try:
        return work()
    except (AbsentError, StreamAbsent) as error:
        return Result(clip_id, stage, "absent", reason=str(error))
    except (MediaError, ClipError, PoolingError) as error:
        return Result(clip_id, stage, "failed", reason=str(error))


class Prepared(NamedTuple):
    """A clip made ready for a stage's encoder."""

    clip_id: str
    raw: Any


class Batch(NamedTuple):
    """Clips that are computed together."""

    stage: Stage[Any]
    clips: list[Prepared]


class Gathering:
    """Gathers clips that are computed together, for each stage as many as its encoder takes."""

    def __init__(self) -> None:
        self._waiting: dict[str, Batch] = {}

    def add(self, stage: Stage[Any], one: Prepared) -> Iterator[Batch]:
        """Add a clip; gives the batch that it makes full, if it does."""
        batch = self._waiting.setdefault(stage.name, Batch(stage, []))
        batch.clips.append(one)
        if len(batch.clips) >= stage.at_once or sum(clip.raw.nbytes for clip in batch.clips) >= BATCH_BYTES:
            yield self._waiting.pop(stage.name)

    def rest(self) -> Iterator[Batch]:
        """Give the batches that are not full."""
        while self._waiting:
            yield self._waiting.pop(next(iter(self._waiting)))


def encode(batch: Batch) -> list[Result]:
    """Compute clips together."""
    begun = time.monotonic()
    found = list(_encode(batch.stage, batch.clips))
    share = (time.monotonic() - begun) / len(found)
    return [_result(batch.stage.name, clip_id, one, share) for clip_id, one in found]


def _encode(stage: Stage[Any], clips: Sequence[Prepared]) -> Iterator[tuple[str, Encoded | Exception]]:
    """Compute clips together; one by one where that fails, so that one clip costs no other."""
    try:
        yield from zip([one.clip_id for one in clips], stage.encode([one.raw for one in clips]), strict=True)
    except (RuntimeError, MemoryError) as error:  # torch's, out of memory among them
        if len(clips) == 1:
            yield clips[0].clip_id, error
        else:
            for one in clips:
                yield from _encode(stage, [one])


def _result(stage: str, clip_id: str, found: Encoded | Exception, seconds: float) -> Result:
    if isinstance(found, Exception):
        return Result(clip_id, stage, "failed", reason=f"its encoder failed: {found}", seconds=seconds)
    state: State = "flagged" if found.flagged else "done"
    return Result(clip_id, stage, state, found.arrays, found.remark, seconds, found.amount)
