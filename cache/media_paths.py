"""Where a clip's sound and picture were when its features were made: paths beside the run logs, as information alone.

A path may lead nowhere by now, or to another file; what a record of features says of its source (see `source_digest`)
tells whether a file is still the one that they were made from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadgr.cache.ids import normalise_id
from sadgr.cache.publish import replace
from sadgr.cache.runlog import RUNS

KINDS = ("audio", "video")
SUFFIX = ".media"
"""A run's paths stand beside its log, in a file of the log's name with this ending: one JSON object a line."""


@dataclass(frozen=True)
class MediaPath:
    """A media file, or the span of it that a clip is.

    Attributes:
        path: where the file was.
        start_seconds: where the clip begins in it; None for the beginning.
        end_seconds: where it ends; None for the end.
    """

    path: Path
    start_seconds: float | None = None
    end_seconds: float | None = None

    @property
    def span(self) -> tuple[float | None, float | None]:
        """Both bounds."""
        return self.start_seconds, self.end_seconds

    def as_json(self) -> dict[str, Any]:
        """Return what a file of paths holds of it."""
        return {"path": str(self.path), "span": list(self.span)}


Media = Mapping[str, MediaPath]
"""`audio`, `video` -> where it is; a kind that the source lacks is left out."""


def note_media(log: Path, dataset: str, found: Mapping[str, Media]) -> None:
    """Write where clips' media are, beside the log of the run that saw them.

    Args:
        log: the run's log.
        dataset: name of the data set.
        found: clip id -> where its media are; no file is written where there is none.
    """
    if found:
        lines = (
            {"dataset": dataset, "clip": clip_id, **{kind: one.as_json() for kind, one in media.items()}}
            for clip_id, media in found.items()
        )
        # ASCII alone: a file's name that is no text in UTF-8 is escaped, and comes back as it was.
        replace(log.with_suffix(SUFFIX), "".join(f"{json.dumps(line)}\n" for line in lines).encode())


def media_paths(cache: Path, dataset: str) -> dict[str, Media]:
    """Return clip id -> where its media were, as the latest run that told says.

    Args:
        cache: the cache's folder.
        dataset: name of the data set.
    """
    found: dict[str, Media] = {}
    for file in sorted((cache / RUNS).glob(f"*{SUFFIX}")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if told := _told(line, dataset):
                found[told[0]] = told[1]
    return found


def _told(line: str, dataset: str) -> tuple[str, Media] | None:
    """Return what a line says of a clip; None for another data set's, and for what is not of this form."""
    try:
        said = json.loads(line)
        if said["dataset"] != dataset:
            return None
        kinds = {kind: said[kind] for kind in KINDS if said.get(kind)}
        return normalise_id(said["clip"]), {
            kind: MediaPath(Path(one["path"]), *(None if edge is None else float(edge) for edge in one["span"]))
            for kind, one in kinds.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
