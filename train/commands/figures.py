"""`efficiency`, `tsne` and `gate`: what the paper shows of a run besides its scores."""

import json
from pathlib import Path

import click

from sadgr.cache import CacheError
from sadgr.cache.console import config_option, friendly
from sadgr.train.commands.common import (
    FOLDER,
    audio_option,
    chosen,
    data_options,
    dataset_option,
    json_option,
    log,
    text_option,
)
from sadgr.train.errors import TrainError
from sadgr.train.studies.defaults import MOST_CLIPS, WINDOW_SECONDS

needed_heads_option = click.option("--heads", type=FOLDER, required=True, help="OUT of sadgr-train pretrain.")


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@needed_heads_option
@click.option("--without", type=FOLDER, help="Run without pretrained heads, for the correlation that they gain.")
@data_options
@json_option
@config_option
@friendly(TrainError, CacheError)
def efficiency(
    run: Path,
    cache: Path,
    heads: Path,
    without: Path | None,
    as_json: bool,
    **data: str | None,
) -> None:
    """Measure what alignment and gate cost, and what they gain.

    The paper's Table 5: epochs, parameters and correlation gained; and how time grows with length, for clips of random
    features, 16 to 4,096 words long. Leave the machine idle meanwhile. Files go to RUN.
    """
    from sadgr.train.studies.efficiency import run_efficiency
    from sadgr.train.studies.efficiency_report import efficiency_text

    told = run_efficiency(run, cache, heads, without, *chosen(data), log)
    click.echo(json.dumps(told) if as_json else efficiency_text(told))


@click.command()
@click.argument("cache", type=FOLDER)
@click.argument("out", type=FOLDER)
@needed_heads_option
@click.option("--clips", type=click.IntRange(min=2), default=MOST_CLIPS, show_default=True, help="Clips at most.")
@dataset_option
@text_option
@audio_option
@json_option
@config_option
@friendly(TrainError, CacheError)
def tsne(
    cache: Path,
    out: Path,
    heads: Path,
    clips: int,
    dataset: str | None,
    text: str | None,
    audio: str | None,
    as_json: bool,
) -> None:
    """Map text and audio of held-out clips by t-SNE.

    The paper's Fig. 4: where they lie in the shared space, before and after alignment. Files go to OUT.
    """
    from sadgr.train.studies.tsne import run_tsne, separability_table

    told = run_tsne(cache, heads, out, clips, dataset, text, audio, log)
    click.echo(json.dumps(told) if as_json else separability_table(told))


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@click.argument("clip")
@click.option("-o", "--output", type=FOLDER, help="Folder for the files.  [default: RUN]")
@click.option(
    "--window",
    type=float,
    default=WINDOW_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Width of the window that audio is pooled in.",
)
@click.option(
    "--media",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The clip's audio or video file, for its waveform; the cache holds none.",
)
@click.option(
    "--begin",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Where the clip begins in --media.",
)
@data_options
@json_option
@config_option
@friendly(TrainError, CacheError)
def gate(
    run: Path,
    cache: Path,
    clip: str,
    output: Path | None,
    window: float,
    media: Path | None,
    begin: float,
    as_json: bool,
    **data: str | None,
) -> None:
    """Draw the gate over time in one clip.

    The paper's Fig. 5, by pooling the clip's audio in a sliding window. Files are called gate-CLIP.
    """
    if begin and media is None:
        raise click.UsageError("--begin says where the clip begins in a media file: give it with --media")
    from sadgr.train.studies.gate_figure import run_gate, words_table

    opened = None if media is None else (media, begin)
    told = run_gate(run, cache, clip, output or run, window, opened, *chosen(data))
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else f"{words_table(told)}\n{told['caption']}")
