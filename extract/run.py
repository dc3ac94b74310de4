"""A whole extraction: source, plan, engines, pipeline, report."""

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import pandas as pd

from sadgr.align import Aligner
from sadgr.cache import (
    Dataset,
    FeatureCache,
    FeatureSet,
    FeatureSetSpec,
    FeatureWriter,
    RunLog,
    create_feature_set,
    labels_hash,
    publishing_method,
    write_labels,
)
from sadgr.cache.console import Progress
from sadgr.cache.failures import ClipState, failures
from sadgr.cache.labels import LABELS_FILE
from sadgr.cache.media_paths import MediaPath, media_paths, note_media
from sadgr.cache.publish import Method
from sadgr.extract.alignment import align_clips
from sadgr.extract.clips import Clip, Source
from sadgr.extract.decoding import Decoders
from sadgr.extract.engines import engine_of
from sadgr.extract.errors import SourceError, StopRequested
from sadgr.extract.media_hashes import MediaHashes
from sadgr.extract.outcome import Report, Summary
from sadgr.extract.pace import pace
from sadgr.extract.pipeline import write
from sadgr.extract.plan import Plan, make_plan
from sadgr.extract.request import Request, checkpoints_of, specs_of, words_of
from sadgr.extract.shard import in_words
from sadgr.extract.sources import open_source, read_clips

_PACKAGES = ("sadgr", "torch", "transformers", "av", "h5py", "numpy")


def run(request: Request, aligner: Aligner | None, stop: Callable[[], bool], say: Callable[[str], None]) -> Summary:
    """Align and extract what the cache lacks.

    Args:
        request: what was asked for.
        aligner: gives word times; None uses those that the cache has.
        stop: asked before every clip.
        say: told what goes on, a line at a time.

    Raises:
        ExtractError: source or models cannot be used.
        CacheError: the cache cannot be used.
    """
    source = open_source(request.source, request.layout)
    of_source = read_clips(source)
    # Which clips failed is known later, and the first few are to be the first few of those.
    choice = replace(request.choice, limit=None) if request.retry_failed else request.choice
    chosen = choice.of(of_source)
    clips = choice.here(of_source, chosen)
    name = request.dataset or source.dataset
    if name is None:
        raise SourceError(f"a source of layout {source.layout!r} does not name itself; add --dataset NAME")
    cache = FeatureCache.create(request.cache)
    method = publishing_method(cache.path)
    number = f"{len(clips)} of {len(of_source)}" if len(clips) < len(of_source) else str(len(clips))
    part = f", shard {in_words(choice.shards)}" if choice.shards else ""
    say(f"{name}: {number} clips ({source.layout}{part}); shards are published by {method} in {cache.path}")
    if not clips:
        say("no clip falls to this shard, so there is nothing for it to do")
    data = cache.create_dataset(name)
    # What there is to do goes by all chosen clips: a part without sound or pictures agrees with the others about it.
    checkpoints = checkpoints_of(request, chosen, say)
    words = words_of(request, aligner, data, chosen)
    specs = specs_of(request, words, checkpoints, data, say)
    feature_sets = {kind: create_feature_set(data.path, spec) for kind, spec in specs.items()}
    earlier = failures(cache, name)
    if request.retry_failed:
        failed = _failed(chosen, feature_sets, earlier)
        say(f"{len(failed)} clips failed when they were last worked on")
        clips = choice.here(of_source, failed[: request.choice.limit])
    _publish_labels(data, chosen, of_source, say)
    hashes = MediaHashes(request.source, stop)
    reading = Progress("reading media", len(clips))
    with ExitStack() as stack:
        log = stack.enter_context(RunLog(cache.path, _settings(request, source, data, specs)))
        decoders = stack.enter_context(Decoders())
        report = Report(log, name)
        try:
            plan = make_plan(clips, feature_sets, request.recipe.kept if request.recipe else {}, hashes, reading.step)
        except StopRequested:
            report.finished = False
            return _summary(report, clips, 0, len(clips), feature_sets)
        _say_what_is_done_again(plan, say)
        _tell_what_is_known(report, plan, feature_sets, earlier)
        todo = plan.clips(clips, feature_sets)
        say(f"{len(todo)} of {len(clips)} clips to do")
        _note_media(log, cache, name, clips)
        # Before the alignment, which may take long: is there such a device, or cluster?
        engine = None
        if request.recipe and checkpoints and todo:
            try:
                words_here = feature_sets.get("words")
                engine = stack.enter_context(engine_of(request, checkpoints, words_here, decoders, say))
            except StopRequested:
                report.finished = False
                return _summary(report, clips, len(clips) - len(todo), len(todo), feature_sets)
        if "words" in feature_sets and aligner:
            _align(clips, plan, aligner, feature_sets["words"], method, report, decoders, stop)
        if report.finished and engine:
            filled: dict[str, FeatureSet] = {kind: feature_sets[kind] for kind in checkpoints}
            shown = Progress("clips", len(plan.clips(clips, filled)), partial(pace, report))
            with report.timed("extracting"), closing(engine(clips, plan, report, stop)) as results:
                write(results, clips, plan, filled, method, report, stop, shown.step)
    needed_nothing = len(clips) - len({clip.clip_id for clip in todo} | plan.unreadable.keys())
    left = 0 if report.finished else len(_left(todo, plan, report))
    return _summary(report, clips, needed_nothing, left, feature_sets)


def _summary(
    report: Report, clips: Sequence[Clip], skipped: int, left: int, feature_sets: Mapping[str, FeatureSet]
) -> Summary:
    return Summary(
        dataset=report.dataset,
        clips=len(clips),
        skipped=skipped,
        left=left,
        done=dict(report.done),
        troubles=report.troubles,
        failed=report.failed_clips(),
        seconds={stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        amounts={stage: round(amount, 3) for stage, amount in report.amounts.items()},
        bytes_written=dict(report.bytes_written),
        feature_sets={kind: one.name for kind, one in feature_sets.items()},
        log=report.log.path,
        finished=report.finished,
    )


def _left(todo: Sequence[Clip], plan: Plan, report: Report) -> list[Clip]:
    """Return the clips with a stage of which nothing was told."""
    missing = {clip_id for stage, ids in plan.todo.items() for clip_id in ids if (clip_id, stage) not in report.told}
    return [clip for clip in todo if clip.clip_id in missing]


def _failed(clips: Sequence[Clip], feature_sets: Mapping[str, FeatureSet], earlier: Sequence[ClipState]) -> list[Clip]:
    """Return those clips whose latest state in one of the run's feature sets is `failed`."""
    names = {one.name for one in feature_sets.values()}
    ids = {said.clip for said in earlier if said.state == "failed" and said.feature_set in names}
    return [clip for clip in clips if clip.clip_id in ids]


def _say_what_is_done_again(plan: Plan, say: Callable[[str], None]) -> None:
    for modality, keep in plan.keep.items():
        if keep:
            say(
                f"{modality}: the cache has {len(keep)} clips without all of {', '.join(sorted(plan.wanted[modality]))}; "
                "they are computed again, and keep what they had"
            )


def _align(
    clips: Sequence[Clip],
    plan: Plan,
    aligner: Aligner,
    words: FeatureSet,
    method: Method,
    report: Report,
    decoders: Decoders,
    stop: Callable[[], bool],
) -> None:
    wanting = plan.clips(clips, ["words"])
    if wanting:
        shown = Progress(f"word times ({aligner.name})", len(wanting))
        with FeatureWriter(words, method) as writer:
            align_clips(wanting, plan.sources["words"], aligner, writer, report, decoders, stop, shown.step)
        report.bytes_written["words"] += writer.bytes_written
        words.entries()  # the audio stage reads the new ones


def _publish_labels(
    data: Dataset, clips: Sequence[Clip], of_source: Sequence[Clip], say: Callable[[str], None]
) -> None:
    """Write the labels of all chosen clips, whichever process does them: so processes that write at once write the same."""
    named = pd.Index([clip.clip_id for clip in of_source])
    rows = pd.DataFrame([{**clip.columns, "text": clip.transcript} for clip in clips])
    rows.index = pd.Index([clip.clip_id for clip in clips], name="id")
    if (data.path / LABELS_FILE).exists() and (others := data.labels().index.difference(named)).size:
        say(
            f"{data.name} holds {others.size} clips that this source does not name ({others[0]}, ...); they stay as they are"
        )
    if changed := write_labels(data.path, rows):
        say(f"labels.csv: {len(changed)} rows stood there with other values and follow the source now ({changed[0]})")


def _settings(request: Request, source: Source, data: Dataset, specs: Mapping[str, FeatureSetSpec]) -> dict[str, Any]:
    return {
        "command": "sadgr-align" if request.recipe is None else "sadgr-extract",
        "source": str(request.source),
        "layout": source.layout,
        "dataset": data.name,
        "labels_sha256": labels_hash(data.path),
        "feature_sets": {kind: {"name": spec.name, "fingerprint": spec.fingerprint} for kind, spec in specs.items()},
        "choice": {**asdict(request.choice), "retry_failed": request.retry_failed},
        "device": request.device,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def _note_media(log: RunLog, cache: FeatureCache, dataset: str, clips: Sequence[Clip]) -> None:
    """Write the paths that no earlier run told, so that a report finds sound and picture."""
    known = media_paths(cache.path, dataset)
    found = {
        clip.clip_id: {
            kind: MediaPath(medium.path.absolute(), *medium.span)
            for kind, medium in (("audio", clip.audio), ("video", clip.video))
            if medium is not None
        }
        for clip in clips
    }
    note_media(log.path, dataset, {one: media for one, media in found.items() if media != known.get(one, {})})


def _tell_what_is_known(
    report: Report, plan: Plan, feature_sets: Mapping[str, FeatureSet], earlier: Sequence[ClipState]
) -> None:
    """Report what no run can cure: media that cannot be read, modalities known to be absent, times in doubt."""
    for clip_id, reasons in plan.unreadable.items():
        for stage, reason in reasons.items():
            report.tell(clip_id, stage, "failed", reason)
    for stage, one in feature_sets.items():
        for clip_id in one.absent(plan.sources[stage]):
            report.tell(clip_id, stage, "absent", f"the clip has no {stage}, as an earlier run found")
    for said in earlier:
        here = feature_sets.get(said.stage)
        is_current = here is not None and said.feature_set == here.name and said.clip in plan.sources[said.stage]
        if said.state == "flagged" and is_current and said.clip not in plan.todo[said.stage]:
            report.tell(said.clip, said.stage, "flagged", said.reason)
