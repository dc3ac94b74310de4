"""`report`: a site that shows what a run says of a cache's clips."""

from pathlib import Path

import click

from sadgr.cache import CacheError
from sadgr.cache.console import config_option, friendly, say
from sadgr.train.commands.common import FOLDER, data_options, log
from sadgr.train.errors import TrainError


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@click.option("-o", "--out", type=FOLDER, required=True, help="Folder to write; an earlier report there is replaced.")
@click.option("--split", help="Whose labelled clips are held against the truth.  [default: test, or else valid]")
@click.option(
    "--clips",
    metavar="ID|PATTERN",
    multiple=True,
    help="Clips that get a page, * and ? for any characters; repeatable. The split's, up to 2,000, where none are named.",
)
@click.option("--with", "others", type=FOLDER, multiple=True, metavar="RUN", help="Compare with this run; repeatable.")
@data_options
@config_option
@friendly(TrainError, CacheError)
def report(
    run: Path,
    cache: Path,
    out: Path,
    split: str | None,
    clips: tuple[str, ...],
    others: tuple[Path, ...],
    dataset: str | None,
    text: str | None,
    audio: str | None,
    video: str | None,
) -> None:
    """Write a site about RUN on the clips of CACHE that opens from disk.

    It holds what sadgr-cache report shows, and besides: predictions against the truth, the worst errors first, confusion,
    calibration, the gate over time, the nearest clips in the space of text and audio, and runs compared.
    """
    from sadgr.train.opened import Source
    from sadgr.train.report_site.build import write_report

    written = write_report(run, Source(cache, dataset, (text, audio, video)), out, split, clips, others, log)
    if not clips and written.paged < written.scored:
        say(f"{written.paged} of {written.scored} clips that have a prediction have a page; --clips selects others")
    held = (
        f"{written.held} of split {written.split} held against the truth"
        if written.split
        else "no labels to hold them against"
    )
    click.echo(f"{written.index}: {written.scored} clips with a prediction, {held}, {written.paged} with a page")
