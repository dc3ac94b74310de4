"""From a run and a cache to a site: what is read, in which order pages are written, and where they go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sadgr.cache import FeatureCache
from sadgr.cache.console import Progress
from sadgr.cache.report import (
    Column,
    Facts,
    File,
    NavEntry,
    Site,
    cache_pages,
    choose_clips,
    clip_path,
    gather,
    href,
    made_with,
    spoken,
    write_site,
)
from sadgr.cache.report.build import MOST_CLIPS
from sadgr.cache.report.writing import check_replaceable
from sadgr.train.errors import TrainError
from sadgr.train.logs import Log
from sadgr.train.opened import Source, open_run
from sadgr.train.report_site.compared import compare
from sadgr.train.report_site.predictions import clip_errors, predictions_page, scatter, truth_told
from sadgr.train.report_site.scored import Scored, score
from sadgr.train.report_site.sections import clip_sections
from sadgr.train.sources import is_synthetic

PREDICTIONS = NavEntry("Predictions", "predictions.html")
COMPARED = NavEntry("Runs compared", "compared.html")
TEMPLATES = "sadgr.train.report_site"
STYLES = ("vendor/uplot.css", "predictions.css")


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        index: The first page.
        scored: Clips that the run answers for.
        paged: Clips with a page.
        split: Whose labelled clips are held against the truth; None for none.
        held: How many these are.
    """

    index: Path
    scored: int
    paged: int
    split: str | None
    held: int


def write_report(
    run: Path,
    source: Source,
    out: Path,
    split: str | None = None,
    patterns: Sequence[str] = (),
    others: Sequence[Path] = (),
    log: Log = lambda _: None,
) -> Written:
    """Write a run's report.

    Args:
        run: A finished run.
        source: Whose clips it is put to.
        out: Folder; an earlier report there is replaced.
        split: Whose labelled clips are held against the truth; None for test, or else valid.
        patterns: Clips that get a page; the split's, up to 2,000, where there are none.
        others: Runs that it is compared with.
        log: Takes what is worth knowing.

    Raises:
        TrainError: No finished run, clips that it cannot answer for, or runs that cannot be compared.
        sadgr.cache.CacheError: No such data set or clips, or a folder that is not ours to replace.
    """
    check_replaceable(out)
    opened = open_run(run, source, log)
    facts = gather(FeatureCache(source.cache), opened.data.name)
    compared = compare(run, others, split) if others else None
    scored = score(opened, facts.labels, split, log)
    paged = _paged(scored, facts, patterns)
    nav = [*Site("").nav, PREDICTIONS, *([COMPARED] if others else [])]
    synthetic = ", synthetic data" if is_synthetic(opened.data.name, opened.config["features"]) else ""
    site = Site(
        title=f"SADGR run {run.resolve().name} on {opened.data.name}{synthetic}",
        nav=tuple(nav),
        packages=("sadgr.cache.report", TEMPLATES),
        footer=f"{made_with(facts)}, and of the run {run.resolve().name}",
    )
    write_site(out, _files(site, facts, scored, paged, compared))
    return Written(out / "index.html", len(scored.ids), len(paged), scored.split, len(scored.chosen))


def _paged(scored: Scored, facts: Facts, patterns: Sequence[str]) -> list[str]:
    """Return the clips that get a page, among those that have a prediction."""
    if not patterns:
        own = [scored.ids[place] for place in scored.chosen.tolist()] or list(scored.ids)
        return own[:MOST_CLIPS]
    known = set(scored.ids)
    found = [one for one in choose_clips(facts, patterns) if one in known]
    if not found:
        raise TrainError(
            f"no clip of --clips {' '.join(patterns)} has features, and so none has a prediction: choose others"
        )
    return found


def _files(
    site: Site, facts: Facts, scored: Scored, paged: Sequence[str], compared: dict[str, Any] | None
) -> Iterator[File]:
    said = spoken(facts, Progress("word times", len(facts.labels)).step)
    columns = table_columns(scored)
    sections = clip_sections(scored, set(paged))
    pages = Progress("clip pages", len(paged))
    yield from cache_pages(site, facts, paged, columns, sections, scored.ids, said, pages.step)
    if scored.split is None:
        yield from site.page(
            PREDICTIONS.path, "predictions.html", PREDICTIONS.title, about=None, scored=len(scored.ids)
        )
    else:
        links = {one: href(clip_path(one)) for one in paged}
        about = predictions_page(scored, facts.labels, set(paged))
        yield from site.page(
            PREDICTIONS.path,
            "predictions.html",
            PREDICTIONS.title,
            data={"scatter": scatter(scored, links), "calibration": about["calibration"]},
            scripts=("vendor/uplot.js", "predictions.js"),
            styles=STYLES,
            about=about,
            scored=len(scored.ids),
        )
    if compared is not None:
        yield from site.page(COMPARED.path, "compared.html", COMPARED.title, styles=STYLES[1:], about=compared)


def table_columns(scored: Scored) -> list[Column]:
    """Return what the table of clips has of a run: prediction, truth, error, and what else `predict` says of all clips."""
    regression = scored.target.task == "regression"
    kind: Any = "number" if regression else "text"
    truths = [truth_told(one, scored.target) for one in scored.truth.tolist()]
    found = [
        Column("prediction", "prediction", [row["prediction"] for row in scored.rows], kind),
        Column("truth", "truth", truths, kind),
        Column("error", "error", clip_errors(scored.outputs, scored.truth, scored.target).tolist(), "number"),
    ]
    if "polarity" in scored.rows[0]:
        found.append(Column("polarity", "polarity", [row["polarity"] for row in scored.rows]))
    if "gate_mean" in scored.rows[0]:
        found.append(Column("gate", "gate", [row["gate_mean"] for row in scored.rows], "number"))
    has_truth = not np.isnan(scored.truth.numpy()).all()
    return found if has_truth else [one for one in found if one.key not in ("truth", "error")]
