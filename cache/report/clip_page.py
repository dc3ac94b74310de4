"""A clip's page: its frames, sound, words and features on one time line, and all that the cache says of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sadgr.cache.identity import canonical_json
from sadgr.cache.report.clip_media import ShownMedia, media_of, shown_media
from sadgr.cache.report.facts import Facts
from sadgr.cache.report.site import ClipPlace, File, Section, Site, clip_path, clip_stem
from sadgr.cache.report.sound_picture import envelope
from sadgr.cache.report.timeline import Held, TimeLine, WordLane, held_arrays, time_line

_KINDS = ("curve", "table", "text")
_LONGEST_SETTING = 2_000
"""Characters of one setting's JSON that a page shows at once; the rest stands in featureset.json."""


def clip_files(site: Site, facts: Facts, place: ClipPlace, sections: Sequence[Section]) -> Iterator[File]:
    """Give a clip's page, its data, and its media made small.

    Args:
        site: what the pages share.
        facts: the data set.
        place: the clip.
        sections: what else to show of it, after what the cache knows; curves stand on the time line as well.

    Raises:
        ValueError: a section is none of those that `Section` describes.
    """
    held = held_arrays(facts.feature_sets, place.clip_id)
    line = time_line(held)
    media = shown_media(media_of(facts).get(place.clip_id, {}), held, line.frame_seconds, clip_stem(place.clip_id))
    shown = [*norm_sections(line), *(_checked(one) for one in sections)]
    curves = [one for one in shown if one["kind"] == "curve"]
    yield from media.files
    yield from site.page(
        clip_path(place.clip_id),
        "clip.html",
        f"{place.clip_id}",
        data={"clip": _data(line, media, curves)},
        scripts=("vendor/uplot.js", "vendor/wavesurfer.js", "clip.js"),
        styles=("vendor/uplot.css", "clip.css"),
        previous=place.previous,
        next=place.next,
        clip_id=place.clip_id,
        seconds=_length(line, media, curves),
        lanes=[_lane(lane) for lane in line.lanes],
        media=media,
        frame_seconds=line.frame_seconds.tolist(),
        sections=shown,
        curves=curves,
        **_about(facts, place.clip_id, held),
    )


def norm_sections(line: TimeLine) -> list[Section]:
    """Return the norms of a clip's features as sections of its page."""
    note = "Euclidean norm of each feature vector as stored; a word's stands at its middle."
    return [
        {
            "title": f"Feature norm: {curve.name}",
            "kind": "curve",
            "unit": "norm",
            "note": note,
            "series": [{"name": curve.name, "seconds": curve.seconds.tolist(), "values": curve.values.tolist()}],
        }
        for curve in line.norms
    ]


def _checked(section: Section) -> Section:
    """Return a section with all of its parts, `note` among them."""
    needed = {"curve": ("unit", "series"), "table": ("columns", "rows"), "text": ("text",)}
    kind = section.get("kind")
    if kind not in needed or any(name not in section for name in ("title", *needed[kind])):
        raise ValueError(
            f"a section has title, kind ({', '.join(needed)}) and what belongs to it, not {sorted(section)}"
        )
    for series in section["series"] if kind == "curve" else ():
        if len(series["seconds"]) != len(series["values"]):
            raise ValueError(
                f"{section['title']}: {series['name']} has {len(series['values'])} values at {len(series['seconds'])} times"
            )
    return {"note": "", **section}


def _data(line: TimeLine, media: ShownMedia, curves: Sequence[Section]) -> Mapping[str, Any]:
    """Return what the page's script draws."""
    low, high = envelope(media.sound) if media.sound is not None else ((), ())
    return {
        "seconds": _length(line, media, curves),
        "soundSeconds": media.seconds,
        "peaks": [high, low] if media.sound is not None else None,
        "curves": [{"unit": one["unit"], "series": one["series"]} for one in curves],
    }


def _length(line: TimeLine, media: ShownMedia, curves: Sequence[Section]) -> float:
    """Return how long the time line is: to the end of the sound, and of whatever lies behind it."""
    behind = [at for one in curves for series in one["series"] for at in series["seconds"] if at is not None]
    return max([media.seconds, line.seconds, *(float(at) for at in behind)])


def _lane(lane: WordLane) -> Mapping[str, Any]:
    times = lane.times
    columns = (one.tolist() for one in (times.text, times.start, times.end, times.score, times.flag))
    names = ("text", "start", "end", "score", "flag")
    return {"name": lane.name, "words": [dict(zip(names, word, strict=True)) for word in zip(*columns, strict=True)]}


def _about(facts: Facts, clip_id: str, held: Sequence[Held]) -> Mapping[str, Any]:
    """Return labels, transcript, failures and provenance for the template."""
    row = facts.labels.loc[clip_id].to_dict() if clip_id in facts.labels.index else {}
    labels = {
        str(name): value for name, value in row.items() if value == value and value != ""
    }  # NaN differs from itself
    transcript = labels.pop("text", "")
    return {
        "transcript": str(transcript),
        "labels": list(labels.items()),
        "split": labels.get("mode", ""),
        "troubles": facts.states.get(clip_id, ()),
        "records": [_record(one, clip_id, held) for one in facts.feature_sets if clip_id in one.known_entries()],
        "missing": [one.name for one in facts.feature_sets if clip_id not in one.known_entries()],
    }


def _record(one: Any, clip_id: str, held: Sequence[Held]) -> Mapping[str, Any]:
    entry = one.known_entries()[clip_id]
    arrays = next((own.arrays for own in held if own.feature_set is one), {})
    return {
        "name": one.name,
        "modality": one.modality,
        "present": entry.present,
        "source": entry.source,
        "shard": entry.shard,
        "fingerprint": one.fingerprint,
        "arrays": [(name, " × ".join(map(str, array.shape)), array.dtype.name) for name, array in arrays.items()],
        "settings": [*_settings(one.spec.settings), *_settings(one.spec.about, "about.")],
    }


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        text = value if isinstance(value, str) else canonical_json(value).decode()
        yield f"{prefix}{name}", text if len(text) <= _LONGEST_SETTING else f"{text[:_LONGEST_SETTING]}…"
