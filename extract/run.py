"""A whole extraction: source, plan, engines, pipeline, report."""

import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    RunLog,
    create_feature_set,
    labels_hash,
    publishing_method,
    write_labels,
)
from sadgr.cache.console import Progress
from sadgr.extract.checkpoint import Checkpoint, Kind, resolve
from sadgr.extract.clips import Clip, Source
from sadgr.extract.errors import SourceError
from sadgr.extract.feature_sets import encoder_specs, words_spec
from sadgr.extract.outcome import Outcome, Report
from sadgr.extract.pipeline import extract
from sadgr.extract.plan import Plan, make_plan
from sadgr.extract.presets import Preset
from sadgr.extract.sources import open_source, read_clips
from sadgr.extract.stages import AudioStage, Lazy, Sound, Stage, TextStage, VideoStage, WordsStage

_PACKAGES = ("sadgr", "torch", "transformers", "av", "h5py", "numpy")


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes:
        source: where the data set lies.
        cache: where features go; made where nothing stands.
        dataset: name of the data set in the cache; None where the source names itself.
        models: which encoders.
        device: `auto`, `cpu`, `cuda`, ...
        local_files_only: never ask the model hub.
    """

    source: Path
    cache: Path
    dataset: str | None
    models: Preset
    device: str = "auto"
    local_files_only: bool = False


@dataclass(frozen=True)
class Summary:
    """What a run came to; counts are of clips.

    Attributes:
        dataset: its name.
        clips: in the source.
        skipped: that needed nothing.
        done: stage -> how many it did.
        troubles: what failed, is absent or flagged, in order.
        failed: ids of clips with a failed or absent stage.
        seconds: stage -> time spent.
        feature_sets: stage -> feature set's name.
        log: the run's log.
        finished: False when a signal stopped it.
    """

    dataset: str
    clips: int
    skipped: int
    done: Mapping[str, int]
    troubles: Sequence[Outcome]
    failed: Sequence[str]
    seconds: Mapping[str, float]
    feature_sets: Mapping[str, str]
    log: Path
    finished: bool

    def as_json(self) -> dict[str, Any]:
        """Return the same for `--json`."""
        return {**asdict(self), "log": str(self.log)}


def run(request: Request, aligner: Aligner, stop: Callable[[], bool], say: Callable[[str], None]) -> Summary:
    """Extract what the cache lacks.

    Args:
        request: what was asked for.
        aligner: gives word times.
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
    checkpoints = {
        kind: resolve(getattr(request.models, kind), kind, request.local_files_only, say) for kind in _kinds(clips)
    }
    words = words_spec(aligner)
    encoders = encoder_specs(checkpoints, words)
    specs = {
        kind: spec for kind, spec in {**encoders, "words": words}.items() if kind != "words" or "audio" in encoders
    }
    _publish_labels(data, clips, say)
    feature_sets = {kind: create_feature_set(data.path, spec) for kind, spec in specs.items()}
    plan = make_plan(clips, feature_sets)
    with RunLog(cache.path, _settings(request, source, data, specs)) as log:
        report = Report(log, name)
        _tell_what_is_known(report, clips, plan, feature_sets)
        todo = plan.clips(clips)
        say(f"{len(todo)} clips to do, {len(clips) - len(todo)} need nothing")
        sound = Sound(feature_sets.get("words"))
        stages = _stages(checkpoints, request.device, aligner, sound)
        shown = Progress("clips", len(todo))
        extract(clips, plan, feature_sets, stages, sound, method, report, stop, shown.step)
    return Summary(
        dataset=name,
        clips=len(clips),
        skipped=len(clips) - len(todo),
        done=dict(report.done),
        troubles=report.troubles,
        failed=report.failed_clips(),
        seconds={stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        feature_sets={kind: one.name for kind, one in feature_sets.items()},
        log=log.path,
        finished=report.finished,
    )


def _kinds(clips: Sequence[Clip]) -> list[Kind]:
    """Return the modalities that the source has at all; LibriSpeech has no video, and nobody misses it."""
    has_audio = any(clip.audio is not None for clip in clips)
    has_video = any(clip.video is not None for clip in clips)
    return ["text", *(["audio"] if has_audio else []), *(["video"] if has_video else [])]  # type: ignore[list-item]


def _publish_labels(data: Dataset, clips: Sequence[Clip], say: Callable[[str], None]) -> None:
    rows = pd.DataFrame([{**clip.columns, "text": clip.transcript} for clip in clips])
    rows.index = pd.Index([clip.clip_id for clip in clips], name="id")
    if changed := write_labels(data.path, rows):
        say(f"labels.csv: {len(changed)} rows stood there with other values and follow the source now ({changed[0]})")


def _settings(request: Request, source: Source, data: Dataset, specs: Mapping[str, FeatureSetSpec]) -> dict[str, Any]:
    return {
        "command": "sadgr-extract",
        "source": str(request.source),
        "layout": source.layout,
        "dataset": data.name,
        "labels_sha256": labels_hash(data.path),
        "feature_sets": {kind: {"name": spec.name, "fingerprint": spec.fingerprint} for kind, spec in specs.items()},
        "device": request.device,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def _tell_what_is_known(
    report: Report, clips: Sequence[Clip], plan: Plan, feature_sets: Mapping[str, FeatureSet]
) -> None:
    """Report what no run can cure: media that cannot be read, and modalities known to be absent."""
    for clip_id, reasons in plan.unreadable.items():
        for stage, reason in reasons.items():
            report.tell(clip_id, stage, "failed", reason)
    for stage, one in feature_sets.items():
        entries = one.known_entries()
        for clip in clips:
            entry = entries.get(clip.clip_id)
            if entry and not entry.present and entry.source == plan.sources[stage].get(clip.clip_id):
                report.tell(clip.clip_id, stage, "absent", f"the clip has no {stage}, as an earlier run found")


def _stages(
    checkpoints: Mapping[Kind, Checkpoint], device_name: str, aligner: Aligner, sound: Sound
) -> list[Stage[Any]]:
    """Build the stages; torch and the encoders' modules are imported when an encoder is first needed."""
    from sadgr.extract.audio import load_audio_encoder
    from sadgr.extract.encoder import choose_device
    from sadgr.extract.text import TextEncoder
    from sadgr.extract.video import VideoEncoder

    device = choose_device(device_name)
    stages: list[Stage[Any]] = [TextStage(Lazy(lambda: TextEncoder(checkpoints["text"], device)))]
    if "audio" in checkpoints:
        stages.append(WordsStage(aligner, sound))
        stages.append(AudioStage(Lazy(lambda: load_audio_encoder(checkpoints["audio"], device)), sound))
    if "video" in checkpoints:
        stages.append(VideoStage(Lazy(lambda: VideoEncoder(checkpoints["video"], device))))
    return stages


def failures_in_words(troubles: Sequence[Outcome]) -> list[str]:
    """Return one line a clip and reason, its stages joined."""
    stages: dict[tuple[str, str, str], list[str]] = {}
    for one in troubles:
        stages.setdefault((one.clip_id, one.state, one.reason), []).append(one.stage)
    return [f"{clip}: {state}: {', '.join(found)}: {reason}" for (clip, state, reason), found in stages.items()]


def count_states(troubles: Sequence[Outcome]) -> Counter[str]:
    """Return how many clips failed, lack a modality or were flagged."""
    return Counter(state for _, state in {(one.clip_id, one.state) for one in troubles})
