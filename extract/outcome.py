"""What became of each clip, for the log, the summary and the exit code."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sadgr.cache import RunLog
from sadgr.cache.runlog import State


@dataclass(frozen=True)
class Outcome:
    """Something to say about a clip: `failed`, `absent` (it has no such modality) or `flagged` (done with a fallback)."""

    clip_id: str
    stage: str
    state: State
    reason: str


@dataclass
class Report:
    """Gathers what happened, and writes it to the run's log as it happens.

    Args:
        log: the run's log.
        dataset: the data set's name in it.
    """

    log: RunLog
    dataset: str
    troubles: list[Outcome] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    amounts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    bytes_written: Counter[str] = field(default_factory=Counter)
    told: set[tuple[str, str]] = field(default_factory=set)
    finished: bool = True

    def tell(self, clip_id: str, stage: str, state: State, reason: str = "", seconds: float = 0.0) -> None:
        """Note a clip's outcome at a stage.

        Args:
            clip_id: the clip.
            stage: words, text, audio or video.
            state: see `Outcome`; or `done`.
            reason: why, where it is not `done`.
            seconds: time that it took; a clip's share where several were computed together.
        """
        self.log.clip(self.dataset, clip_id, state, stage, reason, seconds)
        self.told.add((clip_id, stage))
        if state == "done":
            self.done[stage] += 1
        else:
            self.troubles.append(Outcome(clip_id, stage, state, reason))

    @contextmanager
    def timed(self, stage: str) -> Iterator[Callable[[], float]]:
        """Add what the block takes to a stage's seconds; gives the seconds since the block began."""
        begun = time.monotonic()
        try:
            yield lambda: time.monotonic() - begun
        finally:
            self.seconds[stage] += time.monotonic() - begun

    def failed_clips(self) -> list[str]:
        """Return ids of clips with a stage that failed or a modality that is absent, each once, in order."""
        return list(dict.fromkeys(one.clip_id for one in self.troubles if one.state in ("failed", "absent")))


@dataclass(frozen=True)
class Summary:
    """What a run came to; counts are of clips.

    Attributes:
        dataset: its name.
        clips: in the source.
        skipped: that needed nothing.
        left: still to be done, where a signal stopped the run.
        done: stage -> how many it did.
        troubles: what failed, is absent or flagged, in order.
        failed: ids of clips with a failed or absent stage.
        seconds: stage -> time spent; `loading` the encoders, their `waiting` for decoding and `writing` beside them, and all
            of the `extracting`, too.
        amounts: stage -> how much was encoded: words of text, seconds of sound, video frames.
        bytes_written: stage -> bytes that its shards came to.
        feature_sets: stage -> feature set's name.
        log: the run's log.
        finished: False when a signal stopped it.
        more_logs: of further processes, where several worked together.
    """

    dataset: str
    clips: int
    skipped: int
    left: int
    done: Mapping[str, int]
    troubles: Sequence[Outcome]
    failed: Sequence[str]
    seconds: Mapping[str, float]
    amounts: Mapping[str, float]
    bytes_written: Mapping[str, int]
    feature_sets: Mapping[str, str]
    log: Path
    finished: bool
    more_logs: Sequence[Path] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the same for `--json`."""
        return {**asdict(self), "log": str(self.log), "more_logs": [str(log) for log in self.more_logs]}


def failures_in_words(troubles: Sequence[Outcome]) -> list[str]:
    """Return one line a clip and reason, its stages joined."""
    stages: dict[tuple[str, str, str], list[str]] = {}
    for one in troubles:
        stages.setdefault((one.clip_id, one.state, one.reason), []).append(one.stage)
    return [f"{clip}: {state}: {', '.join(found)}: {reason}" for (clip, state, reason), found in stages.items()]


def count_states(troubles: Sequence[Outcome]) -> Counter[str]:
    """Return how many clips failed, lack a modality or were flagged."""
    return Counter(state for _, state in {(one.clip_id, one.state) for one in troubles})
