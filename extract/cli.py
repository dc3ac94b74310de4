"""`sadgr-extract`: features of a data set into a cache."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sadgr.align.errors import AlignError
from sadgr.cache.console import EXIT_UNEXPECTED, config_option, friendly, stop_requested
from sadgr.cache.errors import CacheError
from sadgr.extract.aligner_options import AlignerOptions, aligner_options
from sadgr.extract.console import COMMAND, EPILOG, dataset_option, finish, json_option, max_failures_option, say
from sadgr.extract.errors import ExtractError, SourceError
from sadgr.extract.presets import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    from sadgr.extract.presets import Preset


@click.command(context_settings=COMMAND, epilog=EPILOG)
@click.version_option(package_name="sadgr")
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.argument("cache", type=click.Path(path_type=Path, file_okay=False), required=False)
@dataset_option
@click.option("--preset", type=click.Choice(sorted(PRESETS)), default=DEFAULT_PRESET, help="Which frozen encoders.")
@click.option("--text-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--audio-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--video-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--local-files-only", is_flag=True, help="Never ask the model hub; as HF_HUB_OFFLINE=1 does.")
@aligner_options("cached")
@click.option("--words", metavar="FEATURE_SET", help="With --aligner cached: which, where CACHE has several.")
@click.option("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")
@click.option("--doctor", is_flag=True, help="Say what is missing on this machine and what to do about it; alone.")
@max_failures_option
@json_option
@config_option
@friendly(AlignError, CacheError, ExtractError)
def main(
    source: Path | None,
    cache: Path | None,
    dataset: str | None,
    preset: str,
    text_model: str | None,
    audio_model: str | None,
    video_model: str | None,
    local_files_only: bool,
    aligner: AlignerOptions,
    words: str | None,
    device: str,
    doctor: bool,
    max_failures: tuple[float, bool],
    as_json: bool,
) -> None:
    """Extract features of the clips in SOURCE into CACHE.

    SOURCE is a folder in MMSA's layout (label.csv), LibriSpeech, or media with their text beside them (.srt, .vtt, .lab,
    .txt), a file or folders. What CACHE holds already is skipped, so that starting again goes on where a run ended.
    """
    models = _models(preset, text_model, audio_model, video_model)
    if doctor:
        if source is not None:
            raise click.UsageError("--doctor looks at this machine alone: leave SOURCE and CACHE out")
        _examine(models, preset, aligner, as_json)
        return
    if source is None or cache is None:
        raise click.UsageError("SOURCE and CACHE are both needed: what to extract from, and where features go")
    if not source.exists():
        raise SourceError(f"source {source} does not exist")
    if words and aligner.aligner != "cached":
        raise click.UsageError("--words names word times that CACHE has: add --aligner cached")
    with stop_requested() as stop:  # from here on: importing what is heavy takes seconds
        from sadgr.extract.run import Request, run

        request = Request(source, cache, dataset, models, device, local_files_only, words)
        summary = run(request, aligner.build(stop, say), stop, say)
    finish(summary, max_failures, as_json)


def _models(preset: str, text: str | None, audio: str | None, video: str | None) -> "Preset":
    from dataclasses import replace

    from sadgr.extract.checkpoint import ModelName

    named = {"text": text, "audio": audio, "video": video}
    return replace(PRESETS[preset], **{kind: ModelName.parse(name) for kind, name in named.items() if name})


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
