"""Clips in, features out: decode, encode, write. A clip that fails is reported and the others go on."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

from sadgr.align import PoolingError
from sadgr.cache import ClipRecord, FeatureSet, FeatureWriter, RefusedValueError
from sadgr.cache.publish import Method
from sadgr.extract.clips import Clip
from sadgr.extract.errors import AbsentError, ClipError
from sadgr.extract.media.errors import MediaError
from sadgr.extract.outcome import Report
from sadgr.extract.plan import Plan
from sadgr.extract.stages import Encoded, Stage

CLIPS_AT_ONCE = 8


def extract(
    clips: Sequence[Clip],
    plan: Plan,
    feature_sets: Mapping[str, FeatureSet],
    stages: Sequence[Stage[Any]],
    method: Method,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Do what the plan says is to be done.

    Args:
        clips: the source's clips.
        plan: as `make_plan` gives.
        feature_sets: stage's name -> where its features go.
        stages: what is done with each batch of clips, one after the other.
        method: how files are published.
        report: is told of every clip.
        stop: asked before every clip; what is done by then is published.
        progress: told how many clips are through.
    """
    work = iter(plan.clips(clips, [stage.name for stage in stages]))
    with ExitStack() as stack:
        writers = {stage.name: stack.enter_context(FeatureWriter(feature_sets[stage.name], method)) for stage in stages}
        while batch := list(islice(work, CLIPS_AT_ONCE)):
            for stage in stages:
                wanting = [clip for clip in batch if clip.clip_id in plan.todo[stage.name]]
                _run_stage(stage, wanting, plan.sources[stage.name], writers[stage.name], report, stop)
            if stop():
                report.finished = False
                return
            progress(len(batch))


def _run_stage(
    stage: Stage[Any],
    clips: Sequence[Clip],
    sources: Mapping[str, str],
    writer: FeatureWriter,
    report: Report,
    stop: Callable[[], bool],
) -> None:
    """Take some clips through one stage."""
    ready: list[tuple[Clip, Any]] = []
    with report.timed(stage.name) as elapsed:
        for clip in clips:
            if stop():
                return
            begun = elapsed()
            try:
                ready.append((clip, stage.prepare(clip)))
            except AbsentError as error:
                writer.add(ClipRecord(clip.clip_id, sources[clip.clip_id], None))
                report.tell(clip.clip_id, stage.name, "absent", str(error), elapsed() - begun)
            except (MediaError, ClipError, PoolingError) as error:
                report.tell(clip.clip_id, stage.name, "failed", str(error), elapsed() - begun)
        if not ready:
            return
        features = stage.encode([raw for _, raw in ready])
        for (clip, _), encoded in zip(ready, features, strict=True):
            _write(clip, stage.name, encoded, sources[clip.clip_id], writer, report, elapsed() / len(clips))


def _write(
    clip: Clip, stage: str, encoded: Encoded, source: str, writer: FeatureWriter, report: Report, seconds: float
) -> None:
    try:
        writer.add(ClipRecord(clip.clip_id, source, encoded.arrays))
    except RefusedValueError as error:
        report.tell(clip.clip_id, stage, "failed", str(error), seconds)
    else:
        report.tell(clip.clip_id, stage, "flagged" if encoded.flagged else "done", encoded.remark, seconds)
