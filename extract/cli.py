"""`sadgr-extract`: features of a data set into a cache."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sadgr.align.errors import AlignError
from sadgr.cache.allocator import keep_freed_memory
from sadgr.cache.console import (
    EXIT_UNEXPECTED,
    EXIT_UNFINISHED,
    config_option,
    friendly,
    log_json_option,
    stop_requested,
)
from sadgr.cache.errors import CacheError
from sadgr.extract.aligner_options import AlignerOptions, aligner_options
from sadgr.extract.console import (
    COMMAND,
    EPILOG,
    dataset_option,
    finish,
    json_option,
    layout_option,
    max_failures_option,
    say,
    shard_option,
    shards_of,
    tell_check,
)
from sadgr.extract.device_options import Remembering, devices_option, named_devices, share_out
from sadgr.extract.engine_options import address_option, check_engine, engine_option
from sadgr.extract.errors import ExtractError, SourceError, StopRequested
from sadgr.extract.presets import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    from sadgr.extract.presets import Preset
    from sadgr.extract.recipe import Recipe
    from sadgr.extract.shard import Shard

MODALITIES = ("text", "audio", "video")
SPLITS = ("train", "valid", "test")


@click.command(cls=Remembering, context_settings=COMMAND, epilog=EPILOG)
@click.version_option(package_name="sadgr")
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.argument("cache", type=click.Path(path_type=Path, file_okay=False), required=False)
@dataset_option
@layout_option
@click.option("--split", multiple=True, type=click.Choice(SPLITS), help="Only clips of this split; repeatable.")
@click.option(
    "--select", multiple=True, metavar="ID|PATTERN|FILE", help="Only these clips; FILE holds an id a line; repeatable."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N clips of those.")
@click.option("--retry-failed", is_flag=True, help="Only clips that failed when they were last worked on.")
@shard_option
@click.option(
    "--modality", multiple=True, type=click.Choice(MODALITIES), help="Only this one; repeatable.  [default: all]"
)
@click.option("--preset", type=click.Choice(sorted(PRESETS)), default=DEFAULT_PRESET, help="Which frozen encoders.")
@click.option("--text-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--audio-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--video-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--revision", metavar="COMMIT", help="Of the one --text-model, --audio-model or --video-model given.")
@click.option(
    "--text-layer", default="last", metavar="LAYER", help="last, a number, or last:K for the mean of the last K."
)
@click.option("--audio-layer", default="last", metavar="LAYER", help="The same for sound.")
@click.option("--video-frames", type=click.IntRange(min=1), metavar="N", help="Video frames a clip.  [default: 16]")
@click.option(
    "--video-sampling",
    default="uniform",
    metavar="HOW",
    help="uniform, keyframe, or fps=K for K video frames a second.",
)
@click.option(
    "--store",
    metavar="WHAT,...",
    help="What to keep of each modality that gives it: words, mean, frames, tokens.  "
    "[default: words,mean; frames of video]",
)
@click.option("--local-files-only", is_flag=True, help="Never ask the model hub; as HF_HUB_OFFLINE=1 does.")
@aligner_options("cached")
@click.option("--words", metavar="FEATURE_SET", help="With --aligner cached: which, where CACHE has several.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    help="What encoders compute in; another feature set each.",
)
@click.option("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")
@devices_option
@engine_option
@address_option
@click.option("--check", is_flag=True, help="Read SOURCE and say what is to be expected, without extracting.")
@click.option("--doctor", is_flag=True, help="Say what is missing on this machine and what to do about it; alone.")
@max_failures_option
@json_option
@log_json_option
@config_option
@friendly(AlignError, CacheError, ExtractError)
def main(
    source: Path | None,
    cache: Path | None,
    dataset: str | None,
    layout: str | None,
    split: tuple[str, ...],
    select: tuple[str, ...],
    limit: int | None,
    retry_failed: bool,
    shard: "tuple[Shard, ...] | None",
    modality: tuple[str, ...],
    preset: str,
    text_model: str | None,
    audio_model: str | None,
    video_model: str | None,
    revision: str | None,
    text_layer: str,
    audio_layer: str,
    video_frames: int | None,
    video_sampling: str,
    store: str | None,
    local_files_only: bool,
    aligner: AlignerOptions,
    words: str | None,
    dtype: str,
    device: str,
    devices: str | None,
    engine: str,
    address: str | None,
    check: bool,
    doctor: bool,
    max_failures: tuple[float, bool],
    as_json: bool,
) -> None:
    """Extract features of the clips in SOURCE into CACHE.

    SOURCE is CMU-MOSI or CMU-MOSEI as published, a folder in MMSA's layout (label.csv), LibriSpeech, a manifest (.csv,
    .jsonl, .parquet: id, video, audio, text, start, end, label, split, speaker), or media with their text beside them
    (.srt, .vtt, .lab, .txt), a file or folders. What CACHE holds already is skipped, so that starting again goes on where
    a run ended.
    """
    models = _models(preset, text_model, audio_model, video_model, revision)
    if doctor:
        if source is not None:
            raise click.UsageError("--doctor looks at this machine alone: leave SOURCE and CACHE out")
        _examine(models, preset, aligner, as_json)
        return
    if source is None or (cache is None and not check):
        raise click.UsageError("SOURCE and CACHE are both needed: what to extract from, and where features go")
    if not source.exists():
        raise SourceError(f"source {source} does not exist")
    if words and aligner.aligner != "cached":
        raise click.UsageError("--words names word times that CACHE has: add --aligner cached")
    if video_frames and video_sampling.startswith("fps="):
        raise click.UsageError("--video-frames and --video-sampling fps=K both say how many video frames; give one")
    if devices is not None and device != "auto":
        raise click.UsageError("--device and --devices both say where encoders compute; give one")
    check_engine(engine, address, device, devices)
    with stop_requested() as stop:  # from here on: importing what is heavy takes seconds
        shards = shards_of(shard, say)
        if devices is not None:
            device, *others = named = named_devices(devices)
            if others and not check:
                share_out(named, shards, stop, max_failures, as_json)
                return
        keep_freed_memory()
        from sadgr.extract.choice import Choice
        from sadgr.extract.request import Request
        from sadgr.extract.run import run

        recipe = _recipe(models, modality, store, video_sampling, video_frames, text_layer, audio_layer, dtype)
        choice = Choice(split, select, limit, shards)
        request = Request(
            source,
            cache or Path(),
            dataset,
            recipe,
            device,
            local_files_only,
            words,
            layout,
            choice,
            retry_failed,
            engine,
            address,
        )
        chosen = aligner.build(stop, say) if recipe.needs_words else None
        if check:
            from sadgr.extract.check import check as examine_source

            try:
                tell_check(examine_source(request, chosen, stop, say), as_json)
            except StopRequested:
                say("stopped before everything was looked at: nothing can be said of the source yet")
                raise SystemExit(EXIT_UNFINISHED) from None
            return
        summary = run(request, chosen, stop, say)
    finish(summary, max_failures, as_json)


def _models(preset: str, text: str | None, audio: str | None, video: str | None, revision: str | None) -> "Preset":
    from dataclasses import replace

    from sadgr.extract.checkpoint import ModelName

    named = {kind: name for kind, name in (("text", text), ("audio", audio), ("video", video)) if name}
    if revision and len(named) != 1:
        raise click.UsageError(
            "--revision is of one model: give one of --text-model, --audio-model, --video-model, or "
            "write MODEL@REVISION for each"
        )
    models = {kind: ModelName.parse(name) for kind, name in named.items()}
    if revision:
        models = {kind: replace(name, revision=revision) for kind, name in models.items()}
    return replace(PRESETS[preset], **models)


def _recipe(
    models: "Preset",
    modalities: tuple[str, ...],
    store: str | None,
    sampling: str,
    frames: int | None,
    text_layer: str,
    audio_layer: str,
    dtype: str,
) -> "Recipe":
    from sadgr.extract.layers import Layer
    from sadgr.extract.media.sampling import DEFAULT_FRAME_COUNT, Sampling
    from sadgr.extract.recipe import Recipe

    kept = None if store is None else frozenset(name.strip() for name in store.split(","))
    try:
        return Recipe(
            models,
            tuple(one for one in MODALITIES if one in modalities or not modalities),
            kept,
            Sampling.parse(sampling, frames or DEFAULT_FRAME_COUNT),
            Layer.parse(text_layer),
            Layer.parse(audio_layer),
            dtype,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _examine(models: "Preset", preset: str, aligner: AlignerOptions, as_json: bool) -> None:
    """Print what this machine has and lacks; exit code 1 where something is missing that extraction needs."""
    from dataclasses import asdict

    from sadgr.extract.doctor import examine

    findings = []
    for finding in examine(models, preset, aligner.aligner, aligner.mfa_settings()):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.state:8}  {finding.name}: {finding.detail}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    if any(finding.state == "missing" for finding in findings):
        raise SystemExit(EXIT_UNEXPECTED)


if __name__ == "__main__":
    main(prog_name="sadgr-extract")
