"""Sound and picture of a clip as files of a site, and what is to be said of where they came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.identity import file_sha256, source_digest
from sadgr.cache.media_paths import KINDS, Media, MediaPath, media_paths
from sadgr.cache.report.facts import Facts
from sadgr.cache.report.media import RATE_HZ, MediaUnreadableError, Sound, jpeg, opus, read_frames, read_sound
from sadgr.cache.report.site import File
from sadgr.cache.report.sound_picture import spectrogram_png
from sadgr.cache.report.timeline import Held, Seconds
from sadgr.cache.schema import Array

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
    """Return where the clips' media were; the run logs are read once for a report."""
    return media_paths(facts.cache.path, facts.data.name)


def shown_media(media: Media, held: Held, frame_seconds: Seconds, stem: str) -> ShownMedia:
    """Decode a clip's media and make them small.

    Args:
        media: where they were.
        held: the clip's features.
        frame_seconds: (Lv,) times of the sampled video frames.
        stem: what files of the clip are called.
    """
    faults: list[str] = []
    files: list[File] = []
    sound, frames = None, ()
    folder = f"media/{stem}"
    if not media:
        faults.append(
            "No run log says where this clip's sound and picture lie; running sadgr-extract on its source again notes it."
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


def _sources(media: Media, held: Held) -> Iterator[Mapping[str, str]]:
    for kind in KINDS:
        if kind in media:
            medium = media[kind]
            begin, end = medium.span
            span = "whole file" if begin is None and end is None else f"{begin or 0.0!r} s to {'its end' if end is None else f'{end!r} s'}"
            yield {"kind": kind, "path": str(medium.path), "span": span, "state": _state(kind, medium, held)}


def _state(kind: str, medium: MediaPath, held: Held) -> str:
    """Say whether a file is still the one that features were made from."""
    try:
        status = medium.path.stat()
        sha256 = _sha256(medium.path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    witnesses = ("video",) if kind == "video" else ("words", "audio")
    asked = [(one, arrays) for one, arrays in held if one.modality in witnesses]
    agreeing = [one.name for one, arrays in asked if _made_from(one, arrays, medium, sha256, held)]
    if agreeing:
        return f"the very file that {agreeing[0]} was made from (SHA-256 {sha256})"
    if not asked:
        return f"there; no features of it to hold it against (SHA-256 {sha256})"
    return f"perhaps another file than features were made from: it does not give their source digests (SHA-256 {sha256})"


@lru_cache(maxsize=256)
def _sha256(path: Path, _: int, __: int) -> str:
    """Return a file's SHA-256; many clips may be spans of one file, which is read again when size or time are others."""
    return file_sha256(path)


def _made_from(one: FeatureSet, arrays: Mapping[str, Array], medium: MediaPath, sha256: str, held: Held) -> bool:
    """Whether a record's source digest is that of this file and span; extraction's way to make them, see docs/cache-format.md."""
    entry_of = one.known_entries()
    heard = {"media": sha256, "span": list(medium.span)}
    transcripts: Iterable[Mapping[str, str]] = ({},)
    if one.modality != "video":
        spoken = {" ".join(map(str, own["text"].tolist())) for other, own in held if other.modality == "words"}
        transcripts = [{"transcript": text} for text in {*spoken, ""}]
    kept = [sorted(some) for count in (0, 1, 2, 3) for some in combinations(("words", "mean", "frames"), count)]
    digests = {
        source_digest(**heard, **said, **({"kept": names} if names else {})) for said in transcripts for names in kept
    }
    return any(digest in digests for digest in _digests(entry_of, arrays))
