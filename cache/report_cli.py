"""`sadgr-cache report`: a site that shows what a cache holds."""

from pathlib import Path

import click

from sadgr.cache.console import Progress, friendly, say
from sadgr.cache.errors import CacheError
from sadgr.cache.upkeep_cli import CACHE, DATASET


@click.command()
@CACHE
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write; an earlier report there is replaced.",
)
@DATASET
@click.option(
    "--clips",
    metavar="ID|PATTERN",
    multiple=True,
    help="Clips that get a page, * and ? for any characters; repeatable. All up to 2,000 where none are named.",
)
@friendly(CacheError)
def report(cache: Path, out: Path, dataset: str | None, clips: tuple[str, ...]) -> None:
    """Write a site about a data set of CACHE that opens from disk: overview, table of clips, a page a clip."""
    from sadgr.cache.report import Site, cache_pages, choose_clips, gather, made_with, spoken, write_site
    from sadgr.cache.report.writing import check_replaceable
    from sadgr.cache.store import FeatureCache

    check_replaceable(out)
    facts = gather(FeatureCache(cache), dataset)
    chosen = choose_clips(facts, clips)
    site = Site(title=f"SADGR cache: {facts.data.name}", footer=made_with(facts))
    reading = Progress("word times", len(facts.labels))
    said = spoken(facts, reading.step)
    write_site(out, cache_pages(site, facts, chosen, said=said, step=Progress("clip pages", len(chosen)).step))
    if not clips and len(chosen) < len(facts.labels):
        say(f"{len(chosen)} of {len(facts.labels)} clips have a page; --clips selects others")
    click.echo(f"{out / 'index.html'}: {len(facts.labels)} clips, {len(chosen)} with a page")
