"""What a run has to do: digests of the clips' sources held against what the cache already has."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from sadgr.cache import FeatureSet, source_digest
from sadgr.extract.clips import Clip
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media_hashes import MediaHashes
from sadgr.extract.recipe import KEEPABLE, KEPT


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        wanted: modality -> what is wanted of it.
        sources: modality -> clip id -> digest of what its features are made from, and of what is kept of them.
        todo: modality -> ids of clips that the cache does not hold for that source.
        keep: modality -> clip id -> what to keep of a clip that is done again: what is wanted now, and what the cache had
            of it already.
        unreadable: clip id -> modality -> why its medium, or what the source says of it, could not even be read.
    """

    wanted: Mapping[str, frozenset[str]]
    sources: Mapping[str, Mapping[str, str]]
    todo: Mapping[str, frozenset[str]]
    keep: Mapping[str, Mapping[str, frozenset[str]]]
    unreadable: Mapping[str, Mapping[str, str]]

    def clips(self, clips: Iterable[Clip], stages: Iterable[str]) -> list[Clip]:
        """Return those clips for which any of these stages is to be done."""
        wanted = [self.todo[stage] for stage in stages]
        return [clip for clip in clips if any(clip.clip_id in ids for ids in wanted)]

    def kept(self, modality: str, clip_id: str) -> frozenset[str]:
        """Return what to keep of a clip's features."""
        return self.keep[modality].get(clip_id) or self.wanted.get(modality, frozenset())


def make_plan(
    clips: Iterable[Clip],
    feature_sets: Mapping[str, FeatureSet],
    kept: Mapping[str, frozenset[str]],
    hashes: MediaHashes,
    progress: Callable[[int], None] = lambda _: None,
) -> Plan:
    """Compare the source's clips with the cache.

    Each modality's digest covers only what that modality is made from: a corrected transcript re-extracts text and
    audio (whose words it changes), never video.

    Args:
        clips: the source's clips.
        feature_sets: modality -> where its features go.
        kept: modality -> what is wanted of it, for those whose encoders give several things.
        hashes: of the media.
        progress: told how many clips were looked at.

    Raises:
        StopRequested: a signal came while media were read.
    """
    made_from: dict[str, dict[str, Mapping[str, object]]] = {modality: {} for modality in feature_sets}
    unreadable: dict[str, dict[str, str]] = {}
    for clip in clips:
        if clip.fault:
            unreadable[clip.clip_id] = dict.fromkeys(feature_sets, clip.fault)
            progress(1)
            continue
        for modality in feature_sets:
            try:
                made_from[modality][clip.clip_id] = _made_from(clip, modality, hashes)
            except MediaError as error:
                unreadable.setdefault(clip.clip_id, {})[modality] = str(error)
        progress(1)
    hashes.save()
    sources: dict[str, dict[str, str]] = {}
    todo: dict[str, frozenset[str]] = {}
    keep: dict[str, dict[str, frozenset[str]]] = {}
    for modality, one in feature_sets.items():
        wanted = kept.get(modality, frozenset())
        held = _held(one, modality, made_from[modality], wanted)
        as_held = {clip_id: _digest(modality, made_from[modality][clip_id], names) for clip_id, names in held.items()}
        absent = set(one.absent(as_held))  # a clip that lacks the modality lacks it whatever is wanted of it
        enough = {clip_id for clip_id, names in held.items() if names >= wanted or clip_id in absent}
        todo[modality] = frozenset(made_from[modality]) - enough
        keep[modality] = {clip_id: names | wanted for clip_id, names in held.items() if clip_id not in enough}
        sources[modality] = {
            clip_id: as_held[clip_id]
            if clip_id in enough
            else _digest(modality, what, keep[modality].get(clip_id, wanted))
            for clip_id, what in made_from[modality].items()
        }
    return Plan(kept, sources, todo, keep, unreadable)


def _held(
    one: FeatureSet, modality: str, made_from: Mapping[str, Mapping[str, object]], wanted: frozenset[str]
) -> dict[str, frozenset[str]]:
    """Return what the cache holds of each clip, for those that it holds from this very source."""
    held: dict[str, frozenset[str]] = {}
    names = KEEPABLE.get(modality, ())
    others = (frozenset(some) for count in range(len(names), 0, -1) for some in combinations(names, count))
    for some in (wanted, *(some for some in others if some != wanted)) if len(one.entries()) else ():
        left = {clip_id: what for clip_id, what in made_from.items() if clip_id not in held}
        digests = {clip_id: _digest(modality, what, some) for clip_id, what in left.items()}
        held |= dict.fromkeys(digests.keys() - set(one.missing(digests)), some)
    return held


def _digest(modality: str, made_from: Mapping[str, object], kept: frozenset[str]) -> str:
    """Return the digest that a record says it was made from; only what is not usual is said of what it keeps."""
    return source_digest(**made_from, **({"kept": sorted(kept)} if kept != KEPT.get(modality, frozenset()) else {}))


def _made_from(clip: Clip, modality: str, hashes: MediaHashes) -> Mapping[str, object]:
    transcript = " ".join(clip.words)
    if modality == "text":
        return {"transcript": transcript}
    medium = clip.video if modality == "video" else clip.audio
    media = None if medium is None else hashes[medium.path]
    heard = {"media": media, "span": [None, None] if medium is None else list(medium.span)}
    return heard if modality == "video" else {**heard, "transcript": transcript}
