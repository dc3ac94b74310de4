"""What became of each clip, over all runs that ever wrote into a cache."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sadgr.cache.ids import normalise_id
from sadgr.cache.index import keys_of
from sadgr.cache.runlog import RUNS
from sadgr.cache.store import Dataset, FeatureCache

_PATH = re.compile(r"^\S*/.*?: ")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


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


@dataclass(frozen=True)
class Standing:
    """How far a feature set is; counts are of the clips that labels.csv names.

    Attributes:
        dataset: its data set.
        feature_set: its name.
        done: clips that it holds, those that were flagged among them.
        absent: clips that are known to lack the modality.
        flagged: clips that were done with a fallback.
        failed: kind of reason -> clips whose latest state is `failed`.
        left: clips that no run has come to yet.
    """

    dataset: str
    feature_set: str
    done: int
    absent: int
    flagged: int
    failed: Mapping[str, Sequence[str]]
    left: int

    def __str__(self) -> str:
        failed = sum(map(len, self.failed.values()))
        return (
            f"{self.dataset}/{self.feature_set}: {self.done} done ({self.flagged} flagged), {self.absent} absent, "
            f"{failed} failed, {self.left} left"
        )


def standings(data: Dataset, states: Sequence[ClipState]) -> Iterator[Standing]:
    """Tell how far each feature set of a data set is.

    Args:
        data: the data set.
        states: as `failures` gives.
    """
    ids = [normalise_id(clip_id) for clip_id in data.ids()]
    keys = keys_of(ids)
    for one in data.feature_sets():
        own = [state for state in states if state.dataset == data.name and state.feature_set == one.name]
        index = one.entries().index
        place = index.find(keys)
        here = place >= 0
        present = here & (index.present[place] if len(index) else False)
        failed: dict[str, list[str]] = {}
        for state in own:
            if state.state == "failed":
                failed.setdefault(kind_of(state.reason), []).append(state.clip)
        waiting = {clip_id for clip_id, is_here in zip(ids, here.tolist(), strict=True) if not is_here}
        yield Standing(
            dataset=data.name,
            feature_set=one.name,
            done=int(present.sum()),
            absent=int((here & ~present).sum()),
            flagged=sum(state.state == "flagged" for state in own),
            failed=failed,
            left=len(waiting - {state.clip for state in own if state.state == "failed"}),
        )


def kind_of(reason: str) -> str:
    """Return a reason without what differs from clip to clip: the file's path and numbers."""
    return _NUMBER.sub("N", _PATH.sub("", reason))


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """Give a log's lines; the last one of a run that was killed may be cut, and is left out."""
    for line in log.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content
