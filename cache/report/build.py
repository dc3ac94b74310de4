"""The pages of a cache's report, in the order in which they are written."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

import pandas as pd

from sadgr.cache.errors import SelectionError
from sadgr.cache.report.clip_page import clip_files
from sadgr.cache.report.facts import Facts, Spoken, nothing, spoken
from sadgr.cache.report.overview import overview
from sadgr.cache.report.site import ClipPlace, File, Section, Site, assets, clip_path
from sadgr.cache.report.table import Column, columns_of, table_data, taken

MOST_CLIPS = 2000
"""Clips that get a page where none were chosen: each brings sound and pictures."""


def no_sections(_: str) -> Sequence[Section]:
    """Return nothing more for a clip's page."""
    return ()


def choose_clips(facts: Facts, patterns: Sequence[str] = (), most: int = MOST_CLIPS) -> list[str]:
    """Return the clips that get a page, in the order of `labels.csv`.

    Args:
        facts: the data set.
        patterns: ids, or patterns with `*`, `?` and `[...]`; an id that looks like a pattern is taken as an id first.
        most: how many where no pattern is given.

    Raises:
        SelectionError: a pattern fits no clip.
    """
    ids = list(facts.labels.index)
    if not patterns:
        return ids[:most]
    known, chosen = set(ids), set()
    for pattern in patterns:
        normal = unicodedata.normalize("NFC", pattern)  # as ids are
        found = {normal} if normal in known else {one for one in ids if fnmatchcase(one, normal)}
        if not found:
            raise SelectionError(
                f"{facts.data.name} has no clip {pattern!r}; `sadgr-cache ls CACHE --clips` lists its ids (* and ? may stand in)"
            )
        chosen |= found
    return [one for one in ids if one in chosen]


def cache_pages(
    site: Site,
    facts: Facts,
    ids: Sequence[str],
    columns: Sequence[Column] = (),
    sections: Callable[[str], Sequence[Section]] = no_sections,
    listed: Sequence[str] | None = None,
    said: Spoken | None = None,
    step: Callable[[int], None] = nothing,
) -> Iterator[File]:
    """Give the report of a cache: static parts, overview, table of clips, and a page for each of `ids`.

    Args:
        site: what the pages share.
        facts: the data set.
        ids: clips that get a page, in the order in which j and k go.
        columns: further columns of the table, one value for each of `listed`; they stand first.
        sections: gives what a clip's page shows beside what the cache knows.
        listed: clips of the table; None for all of `labels.csv`.
        said: word times where they were read already.
        step: told of each clip whose page is done.
    """
    yield from assets(site)
    said = said if said is not None else spoken(facts)
    about = overview(facts, said, ids)
    yield from site.page(
        "index.html",
        "overview.html",
        "Overview",
        data={"charts": about["charts"]},
        scripts=("vendor/uplot.js", "charts.js"),
        styles=("vendor/uplot.css", "overview.css"),
        about=about,
    )
    yield from _table_page(site, facts, said, ids, columns, listed)
    for number, clip_id in enumerate(ids):
        around = (ids[number - 1] if number else None, ids[number + 1] if number + 1 < len(ids) else None)
        before, after = (None if one is None else clip_path(one) for one in around)
        yield from clip_files(site, facts, ClipPlace(clip_id, before, after), sections(clip_id))
        step(1)


def _table_page(
    site: Site,
    facts: Facts,
    said: Spoken,
    ids: Sequence[str],
    columns: Sequence[Column],
    listed: Sequence[str] | None,
) -> Iterator[File]:
    own = columns_of(facts, said)
    names = list(facts.labels.index) if listed is None else list(listed)
    if listed is not None:
        rows = facts.labels.index.get_indexer(pd.Index(names, dtype=object))
        if (rows < 0).any():
            raise SelectionError(f"{facts.data.name}: labels.csv has no clip {names[int((rows < 0).argmax())]!r}")
        own = taken(own, rows.tolist())
    yield from site.page(
        "clips.html",
        "clips.html",
        "Clips",
        data={"clips": table_data(names, [*columns, *own], ids)},
        scripts=("vendor/tabulator.js", "clips.js"),
        styles=("vendor/tabulator.css", "table.css"),
        clips=len(names),
        paged=len(ids),
    )
