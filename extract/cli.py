"""`sadgr-extract`: features of a data set into a cache."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sadgr.align.errors import AlignError
from sadgr.cache.console import (
    EXIT_CLIPS_FAILED,
    EXIT_UNFINISHED,
    config_option,
    friendly,
    stop_requested,
)
from sadgr.cache.errors import CacheError
from sadgr.extract.errors import ExtractError, SourceError
from sadgr.extract.presets import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    from sadgr.align import Aligner
    from sadgr.extract.presets import Preset
    from sadgr.extract.run import Summary


def _failure_limit(_: click.Context, __: click.Parameter, text: str) -> tuple[float, bool]:
    """Read `12` or `2%` before any work begins; gives the number, and whether it is a share in percent."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise click.BadParameter(f"{text!r}: expected a number such as 12 or a share such as 2%")
    return number, text.endswith("%")


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Exit codes: 0 complete; 2 used wrongly; 3 done, but some clips failed (they are listed); 75 stopped by a "
    "signal, start again to go on.",
)
@click.version_option(package_name="sadgr")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("cache", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dataset", metavar="NAME", help="Name in the cache; needed where the source does not name itself.")
@click.option("--preset", type=click.Choice(sorted(PRESETS)), default=DEFAULT_PRESET, help="Which frozen encoders.")
@click.option("--text-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--audio-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--video-model", metavar="MODEL", help="Folder or HUB_ID[@REVISION], instead of the preset's.")
@click.option("--local-files-only", is_flag=True, help="Never ask the model hub; as HF_HUB_OFFLINE=1 does.")
@click.option(
    "--aligner",
    type=click.Choice(["pocketsphinx", "textgrid"]),
    default="pocketsphinx",
    help="Where word times come from: the embedded aligner, or what MFA wrote (--alignments).",
)
@click.option(
    "--alignments", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Folder of TextGrids."
)
@click.option("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")
@click.option(
    "--max-failures",
    metavar="N|P%",
    callback=_failure_limit,
    default="0",
    help="So many failed clips still end with exit code 0.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@config_option
@friendly(AlignError, CacheError, ExtractError)
def main(
    source: Path,
    cache: Path,
    dataset: str | None,
    preset: str,
    text_model: str | None,
    audio_model: str | None,
    video_model: str | None,
    local_files_only: bool,
    aligner: str,
    alignments: Path | None,
    device: str,
    max_failures: tuple[float, bool],
    as_json: bool,
) -> None:
    """Extract features of the clips in SOURCE into CACHE.

    SOURCE is a folder in MMSA's layout (label.csv), LibriSpeech, or media with subtitles beside them. What CACHE holds
    already is skipped, so that starting again goes on where a run ended.
    """
    if not source.exists():
        raise SourceError(f"source {source} does not exist")
    models = _models(preset, text_model, audio_model, video_model)
    from sadgr.extract.run import Request, run

    request = Request(source, cache, dataset, models, device, local_files_only)
    with stop_requested() as stop:
        summary = run(request, _aligner(aligner, alignments), stop, lambda line: click.echo(line, err=True))
    _tell(summary, as_json)
    if not summary.finished:
        raise SystemExit(EXIT_UNFINISHED)
    number, in_percent = max_failures
    if len(summary.failed) > (number * summary.clips / 100 if in_percent else number):
        raise SystemExit(EXIT_CLIPS_FAILED)


def _models(preset: str, text: str | None, audio: str | None, video: str | None) -> "Preset":
    from dataclasses import replace

    from sadgr.extract.checkpoint import ModelName

    named = {"text": text, "audio": audio, "video": video}
    return replace(PRESETS[preset], **{kind: ModelName.parse(name) for kind, name in named.items() if name})


def _aligner(name: str, alignments: Path | None) -> "Aligner":
    from sadgr.align.pocketsphinx import PocketSphinxAligner
    from sadgr.align.textgrid import TextGridAligner

    if name == "textgrid":
        if alignments is None:
            raise click.UsageError("--aligner textgrid reads a folder: add --alignments FOLDER")
        return TextGridAligner(alignments)
    if alignments is not None:
        raise click.UsageError("--alignments goes with --aligner textgrid")
    return PocketSphinxAligner()


def _tell(summary: "Summary", as_json: bool) -> None:
    from sadgr.extract.run import count_states, failures_in_words

    for line in failures_in_words(summary.troubles):
        click.echo(line, err=True)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2, ensure_ascii=False))
        return
    click.echo(f"{summary.dataset}: {summary.clips} clips, {summary.skipped} needed nothing")
    for stage, name in sorted(summary.feature_sets.items()):
        seconds = summary.seconds.get(stage, 0.0)
        click.echo(f"  {stage:5}: {summary.done.get(stage, 0)} clips in {seconds:.1f} s -> {name}")
    states = count_states(summary.troubles)
    click.echo("  " + ", ".join(f"{states[state]} {state}" for state in ("failed", "absent", "flagged")))
    click.echo(f"  log: {summary.log}")
