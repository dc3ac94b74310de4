"""The log of a run: one JSON line a clip and stage, so that a lab knows what happened to every clip."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from sadgr.cache.publish import make_folder, next_stem, writable

State = Literal["done", "failed", "absent", "flagged"]
RUNS = "runs"


class RunLog:
    """Appends to a file of this run alone, `runs/<time>-<host>-<pid>-<random>.jsonl`.

    Args:
        cache: the cache's folder.
        settings: first line of the log: versions, source, feature sets, labels' hash.
    """

    def __init__(self, cache: Path, settings: Mapping[str, Any]) -> None:
        folder = cache / RUNS
        with writable(folder):
            make_folder(folder)
            self.path = folder / f"{next_stem(log.name for log in folder.glob('*.jsonl'))}.jsonl"
            self._file = self.path.open("x", encoding="utf-8")
        self._line({"run": settings})

    def clip(self, dataset: str, clip_id: str, state: State, stage: str, reason: str = "", seconds: float = 0) -> None:
        """Write one line about a clip.

        Args:
            dataset: name of the data set.
            clip_id: the clip.
            state: `done`; `failed`; `absent`, the clip has no such modality; `flagged`, done with a fallback.
            stage: words, text, audio, video.
            reason: why, where it is not `done`.
            seconds: time that it took.
        """
        self._line(
            {"dataset": dataset, "clip": clip_id, "state": state, "stage": stage, "reason": reason}
            | {"seconds": round(seconds, 4)}
        )

    def _line(self, content: Mapping[str, Any]) -> None:
        with writable(self.path.parent):
            self._file.write(json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the file; what a full disk refused was said when it was written."""
        try:
            self._file.close()
        except OSError:
            if error is None:
                raise
