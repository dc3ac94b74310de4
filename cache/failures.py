"""What became of each clip, over all runs that ever wrote into a cache."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadgr.cache.runlog import RUNS
from sadgr.cache.store import FeatureCache


@dataclass(frozen=True)
class ClipState:
    """The latest word about a clip at a stage.

    Attributes:
        dataset: its data set.
        clip: its id.
        stage: words, text, audio or video.
        state: `failed`, `absent` or `flagged`.
        reason: why.
        feature_set: name of the feature set that was worked on.
        run: the log that says so.
    """

    dataset: str
    clip: str
    stage: str
    state: str
    reason: str
    feature_set: str
    run: str


def failures(cache: FeatureCache, dataset: str | None = None) -> list[ClipState]:
    """Return clips whose latest state in a feature set is not `done`, sorted by data set, clip and stage.

    Args:
        cache: the cache.
        dataset: only those of this data set.
    """
    latest: dict[tuple[str, str, str, str], ClipState] = {}
    for log in sorted((cache.path / RUNS).glob("*.jsonl")):
        names: dict[str, str] = {}
        for line in _lines(log):
            if "run" in line:
                names = {stage: one["name"] for stage, one in line["run"].get("feature_sets", {}).items()}
            elif "clip" in line and dataset in (None, line["dataset"]):
                where = (line["dataset"], line["clip"], line["stage"])
                name = names.get(line["stage"], "")
                latest[*where, name] = ClipState(*where, line["state"], line["reason"], name, log.stem)
    return [latest[key] for key in sorted(latest) if latest[key].state != "done"]


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """Give a log's lines; the last one of a run that was killed may be cut, and is left out."""
    for line in log.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content
