"""Clips in, features out. Decoding, encoding and writing overlap; a clip that fails is reported and the others go on.

What computes features gives a stream of `Result`s, wherever it does so; `write` takes them into the cache.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from sadgr.cache import ClipRecord, FeatureSet, FeatureWriter, RefusedValueError
from sadgr.cache.publish import Method
from sadgr.extract.background import Background
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoders, Pending
from sadgr.extract.outcome import Report
from sadgr.extract.plan import Plan
from sadgr.extract.results import Batch, Gathering, Prepared, Result, attempt, encode
from sadgr.extract.stages import Stage

BATCHES_WAITING = 2
RESULTS_WAITING = 16


def write(
    results: Iterable[Result],
    clips: Sequence[Clip],
    plan: Plan,
    feature_sets: Mapping[str, FeatureSet],
    method: Method,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Write results into the cache as they come.

    Args:
        results: of the clips' stages, in any order.
        clips: that are worked on.
        plan: as `make_plan` gives.
        feature_sets: stage's name -> where its features go.
        method: how files are published.
        report: is told of every result.
        stop: asked after each; what came by then is published.
        progress: told how many clips are through.
    """
    left = {clip.clip_id: sum(clip.clip_id in plan.todo[stage] for stage in feature_sets) for clip in clips}
    with ExitStack() as stack:
        writers = {stage: stack.enter_context(FeatureWriter(one, method)) for stage, one in feature_sets.items()}
        for result in results:
            with report.timed("writing"):
                _take(result, plan.sources[result.stage], writers[result.stage], report)
            left[result.clip_id] -= 1
            if left[result.clip_id] == 0:
                progress(1)
            if stop():
                break
        report.finished = report.finished and not stop()
    for stage, writer in writers.items():
        report.bytes_written[stage] += writer.bytes_written


def _take(result: Result, sources: Mapping[str, str], writer: FeatureWriter, report: Report) -> None:
    state, reason = result.state, result.reason
    try:
        if state != "failed":
            writer.add(ClipRecord(result.clip_id, sources[result.clip_id], result.arrays))
    except RefusedValueError as error:
        state, reason = "failed", str(error)
    report.tell(result.clip_id, result.stage, state, reason, result.seconds)
    report.seconds[result.stage] += result.seconds
    report.amounts[result.stage] += result.amount


def compute(
    clips: Sequence[Clip],
    plan: Plan,
    stages: Sequence[Stage[Any]],
    decoders: Decoders,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Result]:
    """Compute on this machine what the plan says is to be done.

    One thread waits for the decoders and makes clips ready, one encodes, and whoever takes the results may write meanwhile.

    Args:
        clips: the source's clips.
        plan: as `make_plan` gives.
        stages: what is done with the clips.
        decoders: decode ahead of the encoders.
        report: is told what takes how long.
        stop: ends the results early.
    """
    prepared = _prepared(clips, plan, stages, decoders, report, stop)
    with (
        Background(prepared, BATCHES_WAITING) as batches,
        Background(_encoded(batches, report), RESULTS_WAITING, stop) as results,
    ):
        yield from results


def _prepared(
    clips: Sequence[Clip],
    plan: Plan,
    stages: Sequence[Stage[Any]],
    decoders: Decoders,
    report: Report,
    stop: Callable[[], bool],
) -> Iterator[Batch | Result]:
    """Make clips ready, and gather those that are computed together; gives results of those that cannot be."""
    todo = plan.clips(clips, [stage.name for stage in stages])
    gathering = Gathering()
    for number, (clip, pendings) in enumerate(decoders.ahead(todo, lambda clip: _begin(clip, plan, stages, decoders))):
        if number == 0:  # the first clips are being decoded meanwhile
            with report.timed("loading"):
                for stage in stages:
                    if plan.todo[stage.name]:
                        stage.load()
        for stage in stages:
            if clip.clip_id not in plan.todo[stage.name]:
                continue
            found = _prepare(clip, stage, pendings.pop(stage.name, None), plan)
            if stop():  # the signal may have ended the decoder, too
                return
            if isinstance(found, Result):
                yield found
            else:
                yield from gathering.add(stage, found)
    yield from gathering.rest()


def _begin(clip: Clip, plan: Plan, stages: Sequence[Stage[Any]], decoders: Decoders) -> dict[str, Pending]:
    """Begin to decode what the stages want of a clip."""
    wanted = {stage.name: stage.wanted(clip) for stage in stages if clip.clip_id in plan.todo[stage.name]}
    return {name: decoders.begin(one) for name, one in wanted.items() if one is not None}


def _prepare(clip: Clip, stage: Stage[Any], pending: Pending | None, plan: Plan) -> Prepared | Result:
    def work() -> Prepared:
        decoded = pending.result() if pending else None
        return Prepared(clip.clip_id, stage.prepare(clip, decoded, plan.kept(stage.name, clip.clip_id)))

    return attempt(clip.clip_id, stage.name, work)


def _waited_for(batches: Iterable[Batch | Result], report: Report) -> Iterator[Batch | Result]:
    """Give the batches, and count the time until each is there; loading, which comes before the first, counts by itself."""
    waiting, loaded = iter(batches), report.seconds["loading"]
    while True:
        with report.timed("waiting") as waited:
            batch = next(waiting, None)
            loading = report.seconds["loading"] - loaded
            # Another thread loads: it may have begun before there was a wait.
            report.seconds["waiting"] -= min(waited(), loading)
        loaded = report.seconds["loading"]
        if batch is None:
            return
        yield batch


def _encoded(batches: Iterable[Batch | Result], report: Report) -> Iterator[Result]:
    for batch in _waited_for(batches, report):
        if isinstance(batch, Result):
            yield batch
        else:
            yield from encode(batch)
