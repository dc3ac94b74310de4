"""What became of each clip, for the log, the summary and the exit code."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
