"""`sadgr-align`: word times of a source, into a cache or into files that people open."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sadgr.align.errors import AlignError
from sadgr.cache.console import EXIT_UNFINISHED, config_option, friendly, log_json_option, stop_requested
from sadgr.cache.errors import CacheError
from sadgr.extract.aligner_options import AlignerOptions, aligner_options
from sadgr.extract.console import (
    COMMAND,
    EPILOG,
    dataset_option,
    end_by_failures,
    finish,
    json_option,
    layout_option,
    max_failures_option,
    say,
    shard_option,
    shards_of,
)
from sadgr.extract.errors import ExtractError, SourceError

if TYPE_CHECKING:
    from sadgr.extract.shard import Shard
    from sadgr.extract.word_files import Format


PICTURES = (".png", ".svg", ".pdf")


@click.command(context_settings=COMMAND, epilog=EPILOG)
@click.version_option(package_name="sadgr")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("cache", type=click.Path(path_type=Path, file_okay=False), required=False)
@dataset_option
@layout_option
@shard_option
@aligner_options()
@click.option(
    "--format", "form", type=click.Choice(["json", "textgrid", "csv"]), help="Without CACHE.  [default: json]"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Without CACHE: a file, or for several clips a folder (CSV holds all in one file), instead of stdout.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Without CACHE: draw waveform, words and confidence; of several clips, each id is put into FILE's name.",
)
@max_failures_option
@json_option
@log_json_option
@config_option
@friendly(AlignError, CacheError, ExtractError)
def main(
    source: Path,
    cache: Path | None,
    dataset: str | None,
    layout: str | None,
    shard: "tuple[Shard, ...] | None",
    aligner: AlignerOptions,
    form: "Format | None",
    output: Path | None,
    plot: Path | None,
    max_failures: tuple[float, bool],
    as_json: bool,
) -> None:
    """Find when each word of the clips in SOURCE is spoken.

    With CACHE, word times go into it, where sadgr-extract finds them: alignment needs no GPU. Without, they are
    printed, or written with -o, as JSON, TextGrid or CSV, in seconds from the beginning of each media file. SOURCE is
    what sadgr-extract reads, such as a media file with its text (.srt, .vtt, .lab, .txt) beside it.
    """
    if not source.exists():
        raise SourceError(f"source {source} does not exist")
    if cache is not None and (form or output or plot):
        raise click.UsageError("--format, --output and --plot go with SOURCE alone; with CACHE, word times go into it")
    if cache is None and dataset:
        raise click.UsageError("--dataset names a data set in CACHE, and no CACHE was given")
    if plot is not None and plot.suffix not in PICTURES:
        raise click.UsageError(f"{plot} names no kind of picture; give it one of the endings {', '.join(PICTURES)}")
    if cache is None and as_json:
        raise click.UsageError("--json is the summary of a run with CACHE; word times as JSON are --format json")
    with stop_requested() as stop:
        chosen = aligner.build(stop, say)
        assert chosen is not None  # noqa: S101  # this command has no --aligner cached
        from sadgr.extract.choice import Choice

        if cache is not None:
            from sadgr.extract.request import Request
            from sadgr.extract.run import run

            choice = Choice(shards=shards_of(shard, say))
            request = Request(source, cache, dataset, None, layout=layout, choice=choice)
            finish(run(request, chosen, stop, say), max_failures, as_json)
            return
        from sadgr.extract.word_files import write_words

        choice = Choice(shards=shard or ())
        written = write_words(
            source, layout, choice, chosen, form or "json", output, plot, stop, say, partial(click.echo, nl=False)
        )
    if not written.finished:
        raise SystemExit(EXIT_UNFINISHED)
    end_by_failures(written.failed, written.clips, max_failures)
