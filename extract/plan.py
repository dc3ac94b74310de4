"""What a run has to do: digests of the clips' sources held against what the cache already has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sadgr.cache import FeatureSet, file_sha256, source_digest
from sadgr.extract.clips import Clip


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        sources: modality -> clip id -> digest of what its features are made from.
        todo: modality -> ids of clips that the cache does not hold for that source.
        unreadable: clip id -> modality -> why its medium, or what the source says of it, could not even be read.
    """

    sources: Mapping[str, Mapping[str, str]]
    todo: Mapping[str, frozenset[str]]
    unreadable: Mapping[str, Mapping[str, str]]

    def clips(self, clips: Iterable[Clip], stages: Iterable[str]) -> list[Clip]:
        """Return those clips for which any of these stages is to be done."""
        wanted = [self.todo[stage] for stage in stages]
        return [clip for clip in clips if any(clip.clip_id in ids for ids in wanted)]


def make_plan(clips: Iterable[Clip], feature_sets: Mapping[str, FeatureSet]) -> Plan:
    """Compare the source's clips with the cache.

    Each modality's digest covers only what that modality is made from: a corrected transcript re-extracts text and
    audio (whose words it changes), never video.

    Args:
        clips: the source's clips.
        feature_sets: modality -> where its features go.
    """
    hashes = _MediaHashes()
    sources: dict[str, dict[str, str]] = {modality: {} for modality in feature_sets}
    unreadable: dict[str, dict[str, str]] = {}
    for clip in clips:
        if clip.fault:
            unreadable[clip.clip_id] = dict.fromkeys(feature_sets, clip.fault)
            continue
        for modality in feature_sets:
            try:
                sources[modality][clip.clip_id] = _digest(clip, modality, hashes)
            except OSError as error:
                medium = clip.video if modality == "video" else clip.audio
                where = medium.path if medium else clip.clip_id
                unreadable.setdefault(clip.clip_id, {})[modality] = f"{where}: {error.strerror or error}"
    todo = {modality: frozenset(one.missing(sources[modality])) for modality, one in feature_sets.items()}
    return Plan(sources, todo, unreadable)


def _digest(clip: Clip, modality: str, hashes: "_MediaHashes") -> str:
    transcript = " ".join(clip.words)
    if modality == "text":
        return source_digest(transcript=transcript)
    medium = clip.video if modality == "video" else clip.audio
    span = [None, None] if medium is None else list(medium.span)
    media = None if medium is None else hashes[medium.path]
    if modality == "video":
        return source_digest(media=media, span=span)
    return source_digest(media=media, span=span, transcript=transcript)


class _MediaHashes(dict[Path, str]):
    """SHA-256 of files, each read once a run: many clips may come out of one recording."""

    def __missing__(self, path: Path) -> str:
        self[path] = file_sha256(path)
        return self[path]
