"""Sound and picture of a clip as files of a site, and what is to be said of where they came from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from sadgr.cache.identity import file_sha256, source_digest
from sadgr.cache.media_paths import KINDS, Media, MediaPath, media_paths
from sadgr.cache.report.facts import Facts
from sadgr.cache.report.media import RATE_HZ, MediaUnreadableError, Sound, jpeg, opus, read_frames, read_sound
from sadgr.cache.report.site import File
from sadgr.cache.report.sound_picture import spectrogram_png
from sadgr.cache.report.timeline import Held, Seconds

MOST_FRAMES = 24
"""Pictures a page; a clip with more sampled video frames shows some of them, evenly chosen, and the times of all."""


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A video frame: when it is shown, and its picture's path in the site, width and height in pixels."""

    seconds: float
    path: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class ShownMedia:
    """What a page shows of a clip's media.

    Attributes:
        sound: (n,) mono at 16 kHz; None where it cannot be shown.
        frames: pictures.
        files: of the site, that the page refers to.
        sound_path: of the Opus file in the site; empty where there is no sound.
        spectrogram_path: of its picture; empty where there is no sound.
        sources: kind, path, span and state of each medium, for people.
        faults: why something cannot be shown.
    """

    sound: Sound | None
    frames: tuple[ShownFrame, ...]
    files: tuple[File, ...]
    sound_path: str
    spectrogram_path: str
    sources: tuple[Mapping[str, str], ...]
    faults: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Length of the sound; 0 where there is none."""
        return 0.0 if self.sound is None else len(self.sound) / RATE_HZ


@lru_cache(maxsize=2)
def media_of(facts: Facts) -> Mapping[str, Media]:
    """Return where the clips' media were; read once for a report."""
    return media_paths(facts.cache.path, facts.data.name)


def shown_media(media: Media, held: Sequence[Held], frame_seconds: Seconds, stem: str) -> ShownMedia:
    """Decode a clip's media and make them small.

    Args:
        media: where they were.
        held: the clip's features.
        frame_seconds: (Lv,) times of the sampled video frames.
        stem: what files of the clip are called.
    """
    faults: list[str] = []
    files: list[File] = []
    sound: Sound | None = None
    frames: tuple[ShownFrame, ...] = ()
    folder = f"media/{stem}"
    if not media:
        faults.append(
            "No run noted where this clip's sound and picture lie; running sadgr-extract on its source again notes it now."
        )
    if "audio" in media:
        try:
            sound = read_sound(media["audio"])
            if len(sound):
                files += [
                    File(f"{folder}/sound.ogg", opus(sound)),
                    File(f"{folder}/spectrogram.png", spectrogram_png(sound)),
                ]
            else:
                sound = None
                faults.append(f"Sound is not shown: {media['audio'].path}: there is none in the clip's span.")
        except MediaUnreadableError as error:
            faults.append(f"Sound is not shown: {error}.")
    if "video" in media and len(frame_seconds):
        try:
            frames, pictures = _frames(media["video"], _evenly(frame_seconds), folder)
            files += pictures
        except MediaUnreadableError as error:
            faults.append(f"Video frames are not shown: {error}.")
    return ShownMedia(
        sound,
        frames,
        tuple(files),
        f"{folder}/sound.ogg" if sound is not None else "",
        f"{folder}/spectrogram.png" if sound is not None else "",
        tuple(_sources(media, held)),
        tuple(faults),
    )


def _evenly(seconds: Seconds) -> list[float]:
    if len(seconds) <= MOST_FRAMES:
        return [float(one) for one in seconds]
    return [float(seconds[place]) for place in np.linspace(0, len(seconds) - 1, MOST_FRAMES).round().astype(int)]


def _frames(medium: MediaPath, seconds: Sequence[float], folder: str) -> tuple[tuple[ShownFrame, ...], list[File]]:
    pictures = read_frames(medium, seconds)
    paths = [f"{folder}/frame{number:03}.jpg" for number in range(len(pictures))]
    frames = tuple(ShownFrame(at, path, *one.size) for at, path, one in zip(seconds, paths, pictures, strict=True))
    return frames, [File(path, jpeg(one)) for path, one in zip(paths, pictures, strict=True)]


def _sources(media: Media, held: Sequence[Held]) -> Iterator[Mapping[str, str]]:
    for kind in KINDS:
        if kind in media:
            medium = media[kind]
            begin, end = medium.span
            span = (
                "whole file"
                if begin is None and end is None
                else f"{begin or 0.0!r} s to {'its end' if end is None else f'{end!r} s'}"
            )
            yield {"kind": kind, "path": str(medium.path), "span": span, "state": _state(kind, medium, held)}


def _state(kind: str, medium: MediaPath, held: Sequence[Held]) -> str:
    """Say whether a file is still the one that features were made from."""
    try:
        status = medium.path.stat()
        sha256 = _sha256(medium.path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    asked = [one for one in held if one.modality in (("video",) if kind == "video" else ("words", "audio"))]
    if not asked:
        return f"there; no features of it to hold it against (SHA-256 {sha256})"
    for one in asked:
        if one.entry.source in _digests(one.modality, medium, sha256, held):
            return f"the very file that {one.feature_set.name} was made from (SHA-256 {sha256})"
    return (
        f"perhaps another file than features were made from: it does not give their source digests (SHA-256 {sha256})"
    )


@lru_cache(maxsize=256)
def _sha256(path: Path, _: int, __: int) -> str:
    """Return a file's SHA-256; many clips may be spans of one file, which is read again when size or time are others."""
    return file_sha256(path)


def _digests(modality: str, medium: MediaPath, sha256: str, held: Sequence[Held]) -> set[str]:
    """Return the source digests that a record made from this file and span may have (docs/cache-format.md)."""
    heard = {"media": sha256, "span": list(medium.span)}
    spoken = {" ".join(map(str, one.arrays["text"].tolist())) for one in held if one.modality == "words"}
    said: list[Mapping[str, str]] = [{}] if modality == "video" else [{"transcript": text} for text in {*spoken, ""}]
    names = ("words", "mean", "frames")
    kept = [sorted(some) for count in range(1, len(names) + 1) for some in combinations(names, count)]
    more: list[Mapping[str, list[str]]] = [{}, *({"kept": some} for some in kept)]
    return {source_digest(**heard, **text, **stored) for text in said for stored in more}
