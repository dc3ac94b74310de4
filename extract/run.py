"""A whole extraction: source, plan, engines, pipeline, report."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
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
from sadgr.cache.publish import Method
from sadgr.extract.alignment import align_clips
from sadgr.extract.checkpoint import Checkpoint, Kind, ModelName, resolve
from sadgr.extract.clips import Clip, Source
from sadgr.extract.errors import SourceError
from sadgr.extract.feature_sets import encoder_specs, words_spec
from sadgr.extract.outcome import Report, Summary
from sadgr.extract.pipeline import extract
from sadgr.extract.plan import Plan, make_plan
from sadgr.extract.presets import Preset
from sadgr.extract.sources import open_source, read_clips
from sadgr.extract.stages import AudioStage, Lazy, Stage, TextStage, VideoStage

_PACKAGES = ("sadgr", "torch", "transformers", "av", "h5py", "numpy")


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes:
        source: where the data set lies.
        cache: where features go; made where nothing stands.
        dataset: name of the data set in the cache; None where the source names itself.
        models: which encoders; None only aligns.
        device: `auto`, `cpu`, `cuda`, ...
        local_files_only: never ask the model hub.
        words: name of the word times to use, where the cache has several and no aligner is given.
    """

    source: Path
    cache: Path
    dataset: str | None
    models: Preset | None
    device: str = "auto"
    local_files_only: bool = False
    words: str | None = None


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
    source = open_source(request.source)
    clips = read_clips(source)
    name = request.dataset or source.dataset
    if name is None:
        raise SourceError(f"a source of layout {source.layout!r} does not name itself; add --dataset NAME")
    cache = FeatureCache.create(request.cache)
    method = publishing_method(cache.path)
    say(f"{name}: {len(clips)} clips ({source.layout}); shards are published by {method} in {cache.path}")
    data = cache.create_dataset(name)
    checkpoints = _checkpoints(request, clips, say)
    words = words_spec(aligner) if aligner else _cached_words(data, request.words)
    specs = _specs(words, checkpoints, clips)
    _publish_labels(data, clips, say)
    feature_sets = {kind: create_feature_set(data.path, spec) for kind, spec in specs.items()}
    plan = make_plan(clips, feature_sets)
    with RunLog(cache.path, _settings(request, source, data, specs)) as log:
        report = Report(log, name)
        _tell_what_is_known(report, plan, feature_sets, failures(cache, name))
        todo = plan.clips(clips, feature_sets)
        say(f"{len(todo)} of {len(clips)} clips to do")
        # Before the alignment, which may take long: is there such a device?
        stages = _stages(checkpoints, request.device, feature_sets.get("words")) if checkpoints else []
        if "words" in feature_sets and aligner:
            _align(clips, plan, aligner, feature_sets["words"], method, report, stop)
        if report.finished and checkpoints:
            shown = Progress("clips", len(plan.clips(clips, checkpoints)))
            extract(clips, plan, feature_sets, stages, method, report, stop, shown.step)
    return Summary(
        dataset=name,
        clips=len(clips),
        skipped=len(clips) - len({clip.clip_id for clip in todo} | plan.unreadable.keys()),
        left=0 if report.finished else len(make_plan(clips, feature_sets).clips(clips, feature_sets)),
        done=dict(report.done),
        troubles=report.troubles,
        failed=report.failed_clips(),
        seconds={stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        feature_sets={kind: one.name for kind, one in feature_sets.items()},
        log=log.path,
        finished=report.finished,
    )


def _checkpoints(request: Request, clips: Sequence[Clip], say: Callable[[str], None]) -> dict[Kind, Checkpoint]:
    """Find the encoder of each modality that the source has at all; LibriSpeech has no video, and nobody misses it."""
    if request.models is None:
        return {}
    wanted: dict[Kind, ModelName] = {"text": request.models.text}
    if any(clip.audio is not None for clip in clips):
        wanted["audio"] = request.models.audio
    if any(clip.video is not None for clip in clips):
        wanted["video"] = request.models.video
    return {kind: resolve(name, kind, request.local_files_only, say) for kind, name in wanted.items()}


def _cached_words(data: Dataset, name: str | None) -> FeatureSetSpec:
    found = data.feature_set("words", name)
    if found is None:
        raise SourceError(
            f"{data.path} holds no word times; run `sadgr-align SOURCE CACHE` first, or choose an --aligner"
        )
    return found.spec


def _specs(
    words: FeatureSetSpec, checkpoints: Mapping[Kind, Checkpoint], clips: Sequence[Clip]
) -> dict[str, FeatureSetSpec]:
    """Specify the run's feature sets; word times come first, since audio is pooled by them."""
    has_sound = any(clip.audio is not None for clip in clips)
    if not has_sound and not checkpoints:
        raise SourceError("the source names no sound for any clip, so there is nothing to align")
    return {**({"words": words} if has_sound else {}), **encoder_specs(checkpoints, words if has_sound else None)}


def _align(
    clips: Sequence[Clip],
    plan: Plan,
    aligner: Aligner,
    words: FeatureSet,
    method: Method,
    report: Report,
    stop: Callable[[], bool],
) -> None:
    wanting = plan.clips(clips, ["words"])
    if wanting:
        shown = Progress(f"word times ({aligner.name})", len(wanting))
        with FeatureWriter(words, method) as writer:
            align_clips(wanting, plan.sources["words"], aligner, writer, report, stop, shown.step)
        words.entries()  # the audio stage reads the new ones


def _publish_labels(data: Dataset, clips: Sequence[Clip], say: Callable[[str], None]) -> None:
    rows = pd.DataFrame([{**clip.columns, "text": clip.transcript} for clip in clips])
    rows.index = pd.Index([clip.clip_id for clip in clips], name="id")
    if (data.path / LABELS_FILE).exists() and (others := data.labels().index.difference(rows.index)).size:
        say(
            f"{data.name} holds {others.size} clips that this source does not name ({others[0]}, ...); they stay as they are"
        )
    if changed := write_labels(data.path, rows):
        say(f"labels.csv: {len(changed)} rows stood there with other values and follow the source now ({changed[0]})")


def _settings(request: Request, source: Source, data: Dataset, specs: Mapping[str, FeatureSetSpec]) -> dict[str, Any]:
    return {
        "command": "sadgr-align" if request.models is None else "sadgr-extract",
        "source": str(request.source),
        "layout": source.layout,
        "dataset": data.name,
        "labels_sha256": labels_hash(data.path),
        "feature_sets": {kind: {"name": spec.name, "fingerprint": spec.fingerprint} for kind, spec in specs.items()},
        "device": request.device,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


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


def _stages(checkpoints: Mapping[Kind, Checkpoint], device_name: str, words: FeatureSet | None) -> list[Stage[Any]]:
    """Build the stages; torch and the encoders' modules are imported when an encoder is first needed."""
    from sadgr.extract.audio import load_audio_encoder
    from sadgr.extract.encoder import choose_device
    from sadgr.extract.text import TextEncoder
    from sadgr.extract.video import VideoEncoder

    device = choose_device(device_name)
    stages: list[Stage[Any]] = [TextStage(Lazy(lambda: TextEncoder(checkpoints["text"], device)))]
    if "audio" in checkpoints and words is not None:
        stages.append(AudioStage(Lazy(lambda: load_audio_encoder(checkpoints["audio"], device)), words))
    if "video" in checkpoints:
        stages.append(VideoStage(Lazy(lambda: VideoEncoder(checkpoints["video"], device))))
    return stages
