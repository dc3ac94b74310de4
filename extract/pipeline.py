"""Clips in, features out: decode, encode, write. A clip that fails is reported and the others go on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from sadgr.align import PoolingError
from sadgr.cache import ClipRecord, FeatureSet, FeatureWriter, RefusedValueError
from sadgr.cache.publish import Method
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoders, Pending
from sadgr.extract.errors import AbsentError, ClipError
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.outcome import Report
from sadgr.extract.plan import Plan
from sadgr.extract.stages import Encoded, Stage

CLIPS_AT_ONCE = 8

Begun = tuple[Clip, dict[str, Pending]]
"""A clip, and what is being decoded for each stage."""


def extract(
    clips: Sequence[Clip],
    plan: Plan,
    feature_sets: Mapping[str, FeatureSet],
    stages: Sequence[Stage[Any]],
    method: Method,
    report: Report,
    decoders: Decoders,
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
        decoders: decode ahead of the encoders.
        stop: asked before every clip; what is done by then is published.
        progress: told how many clips are through.
    """
    work = decoders.ahead(
        plan.clips(clips, [stage.name for stage in stages]), lambda clip: _begin(clip, plan, stages, decoders)
    )
    with ExitStack() as stack:
        writers = {stage.name: stack.enter_context(FeatureWriter(feature_sets[stage.name], method)) for stage in stages}
        for batch in _batches(work, decoders):
            for stage in stages:
                wanting = [one for one in batch if one[0].clip_id in plan.todo[stage.name]]
                for start in range(0, len(wanting), stage.at_once):
                    part = wanting[start : start + stage.at_once]
                    if not stop():
                        _run_stage(stage, part, plan, writers[stage.name], report, stop)
            if stop():
                report.finished = False
                return
            progress(len(batch))


def _batches(work: Iterable[Begun], decoders: Decoders) -> Iterator[list[Begun]]:
    """Give several clips at a time, fewer where their sound is long."""
    batch: list[Begun] = []
    for one in work:
        batch.append(one)
        if len(batch) == CLIPS_AT_ONCE or decoders.are_full():
            yield batch
            batch = []
    if batch:
        yield batch


def _begin(clip: Clip, plan: Plan, stages: Sequence[Stage[Any]], decoders: Decoders) -> dict[str, Pending]:
    """Begin to decode what the stages want of a clip."""
    wanted = {stage.name: stage.wanted(clip) for stage in stages if clip.clip_id in plan.todo[stage.name]}
    return {name: decoders.begin(one) for name, one in wanted.items() if one is not None}


def _run_stage(
    stage: Stage[Any],
    clips: Sequence[Begun],
    plan: Plan,
    writer: FeatureWriter,
    report: Report,
    stop: Callable[[], bool],
) -> None:
    """Take some clips through one stage."""
    ready: list[tuple[Clip, Any]] = []
    sources = plan.sources[stage.name]
    with report.timed("loading"):
        stage.load()
    with report.timed(stage.name) as elapsed:
        for clip, pendings in clips:
            if stop():
                return
            begun = elapsed()
            pending = pendings.pop(stage.name, None)  # what it holds is large, and no longer needed
            try:
                decoded = pending.result() if pending else None
                ready.append((clip, stage.prepare(clip, decoded, plan.kept(stage.name, clip.clip_id))))
            except (AbsentError, StreamAbsent) as error:
                writer.add(ClipRecord(clip.clip_id, sources[clip.clip_id], None))
                report.tell(clip.clip_id, stage.name, "absent", str(error), elapsed() - begun)
            except (MediaError, ClipError, PoolingError) as error:
                if stop():  # the signal may have ended the decoder, too
                    return
                report.tell(clip.clip_id, stage.name, "failed", str(error), elapsed() - begun)
        if not ready:
            return
        for clip, encoded in _encoded(stage, ready):
            share = elapsed() / len(clips)
            if isinstance(encoded, Exception):
                report.tell(clip.clip_id, stage.name, "failed", f"its encoder failed: {encoded}", share)
            else:
                _write(clip, stage.name, encoded, sources[clip.clip_id], writer, report, share)


def _encoded(stage: Stage[Any], ready: Sequence[tuple[Clip, Any]]) -> Iterator[tuple[Clip, Encoded | Exception]]:
    """Compute clips together; one by one where that fails, so that one clip costs no other."""
    try:
        yield from zip([clip for clip, _ in ready], stage.encode([raw for _, raw in ready]), strict=True)
    except (RuntimeError, MemoryError) as error:  # torch's, out of memory among them
        if len(ready) == 1:
            yield ready[0][0], error
        else:
            for one in ready:
                yield from _encoded(stage, [one])


def _write(
    clip: Clip, stage: str, encoded: Encoded, source: str, writer: FeatureWriter, report: Report, seconds: float
) -> None:
    try:
        writer.add(ClipRecord(clip.clip_id, source, encoded.arrays))
    except RefusedValueError as error:
        report.tell(clip.clip_id, stage, "failed", str(error), seconds)
    else:
        report.tell(clip.clip_id, stage, "flagged" if encoded.flagged else "done", encoded.remark, seconds)
