"""What a clip's page shows beside what the cache knows: the prediction, the gate over time, the nearest clips."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from sadgr.cache.report import Section, clip_path
from sadgr.train.report_site.gate_section import gate_sections
from sadgr.train.report_site.nearest import Near, heads_of, nearest
from sadgr.train.report_site.predictions import clip_errors, truth_told
from sadgr.train.report_site.scored import Scored

NEAREST = "Nearest in the aligned space"
DIRECTIONS = (("its text, among audio", False), ("its audio, among text", True))
NAMES = {
    "class_7": "class of seven",
    "gate_mean": "gate, mean over its dimensions",
    "low": "lowest seed",
    "high": "highest seed",
}


def clip_sections(scored: Scored, paged: Collection[str]) -> Callable[[str], Sequence[Section]]:
    """Return what gives a clip's sections.

    Args:
        scored: What the run says.
        paged: Ids of clips that have a page: all that are asked for, and those that may be linked to.
    """
    gate = gate_sections(scored.opened)
    near = _near(scored, paged)
    errors = clip_errors(scored.outputs, scored.truth, scored.target)
    places = {clip_id: place for place, clip_id in enumerate(scored.ids)}
    order = errors[scored.chosen].argsort(descending=True, stable=True)
    ranks = {scored.ids[int(scored.chosen[place])]: rank for rank, place in enumerate(order.tolist(), 1)}

    def sections(clip_id: str) -> list[Section]:
        place = places[clip_id]
        rank = f"{ranks[clip_id]} of {len(ranks)}" if clip_id in ranks else None
        return [_prediction(scored, place, float(errors[place]), rank), gate(clip_id), near(clip_id)]

    return sections


def _prediction(scored: Scored, place: int, error: float, rank: str | None) -> Section:
    told = dict(scored.rows[place])
    told.pop("clip_id")
    rows: list[list[Any]] = [["prediction", told.pop("prediction")]]
    truth = truth_told(scored.truth[place].tolist(), scored.target)
    if truth is not None:
        rows += [["truth", truth], ["error", error]]
    if rank is not None:
        rows.append([f"place among the errors of split {scored.split}, the worst first", rank])
    rows += [[NAMES.get(name, name.replace("_", " ", 1)), value] for name, value in told.items()]
    unseen = scored.ids[place] in scored.unseen
    seeds = scored.seeds
    note = f"{', '.join(scored.target.columns)} as {scored.target.task}; " + (
        f"mean over {len(seeds)} seeds." if len(seeds) > 1 else f"seed {seeds[0]}."
    )
    note += " The clip has no features: learned vectors stand for them." if unseen else ""
    return {"title": "Prediction", "kind": "table", "columns": ["what", "value"], "rows": rows, "note": note}


def _near(scored: Scored, paged: Collection[str]) -> Callable[[str], Section]:
    heads = heads_of(scored.opened.models)
    if heads is None:
        reason = "The run's model has no heads that project text and audio into one space."
        return lambda _: _without(reason)
    pairs = scored.paired.nonzero()[:, 0].tolist()  # P clips
    ids = [scored.ids[place] for place in pairs]
    asking = [number for number, clip_id in enumerate(ids) if clip_id in paged]
    text, audio = scored.text_mean[scored.paired], scored.audio_mean[scored.paired]
    found = {
        title: dict(
            zip(
                (ids[number] for number in asking),
                nearest(heads, text, audio, torch.tensor(asking), backwards),
                strict=True,
            )
        )
        for title, backwards in DIRECTIONS
        if asking
    }

    def section(clip_id: str) -> Section:
        near = [(title, of_clips[clip_id]) for title, of_clips in found.items() if clip_id in of_clips]
        if not near:
            return _without("The clip has not both text and audio.")
        rows = [row for title, one in near for row in _rows(title, one, clip_id, ids, paged)]
        own = " and ".join(f"number {one.rank} of {one.among} for {title}" for title, one in near)
        note = f"Cosine of projected means (eq. 7-8), over seeds the mean. Its own other half is {own}."
        return {
            "title": NEAREST,
            "kind": "table",
            "columns": ["asked", "number", "clip", "cosine"],
            "rows": rows,
            "note": note,
        }

    return section


def _rows(title: str, near: Near, clip_id: str, ids: Sequence[str], paged: Collection[str]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for number, (place, cosine) in enumerate(zip(near.places, near.cosines, strict=True), 1):
        other = ids[place]
        if other == clip_id:
            cell: Any = f"{other} (its own)"
        else:
            cell = {"text": other, "href": clip_path(other)} if other in paged else other
        rows.append([title, number, cell, cosine])
    return rows


def _without(reason: str) -> Section:
    return {"title": NEAREST, "kind": "text", "text": reason}
