"""Media that cannot be read, each with the reason that a reader must give."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from expecting import Case, expected_audio
from planting import Film, Sound, steady, write

FILM = Film(steady(60), options={"preset": "ultrafast", "g": "12"})
SOUND = Sound()
LOST = "truncated|damaged"
NO_MEDIUM = "not a media file"
TEXT = "Dear Sir,\nthis is no film.\n" * 40


def noise(seed: int, size: int) -> bytes:
    """Return random bytes, the same for each seed."""
    return np.random.default_rng(seed).bytes(size)


def failing(name: str, why: str, reason: str, audio_reason: str | None = None) -> Case:
    """Return the case of a file of which neither picture nor sound can be read."""
    return Case(name, why, {"failure": reason}, {"failure": audio_reason or reason})


def broken_cases(folder: Path) -> Iterator[Case]:
    """Write all of them."""
    yield from truncated(folder)
    yield from corrupted(folder)
    yield from no_media(folder)


def truncated(folder: Path) -> Iterator[Case]:
    """Files that stop too early."""
    vp9 = replace(FILM, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    opus = Sound(codec="libopus", rate=48_000)
    kinds = {
        "index_behind.mp4": (FILM, SOUND, {}, NO_MEDIUM),
        "index_ahead.mp4": (FILM, SOUND, {"movflags": "faststart"}, LOST),
        "fragmented.mp4": (FILM, SOUND, {"movflags": "frag_keyframe+delay_moov"}, LOST),
        "clusters.mkv": (FILM, SOUND, {}, LOST),
        "no_duration.mkv": (FILM, SOUND, {"live": "1"}, LOST),
        "clusters.webm": (vp9, opus, {}, LOST),
        "sound.wav": (None, replace(SOUND, codec="pcm_s16le"), {}, LOST),
        "sound.flac": (None, replace(SOUND, codec="flac"), {}, LOST),
        "sound.mp3": (None, replace(SOUND, codec="libmp3lame"), {}, LOST),
        "sound.ogg": (None, opus, {}, LOST),
    }
    for kind, (film, sound, muxer, reason) in kinds.items():
        whole = write(folder / "whole", [film] if film else [], [sound], muxer, container_of(kind)).read_bytes()
        for percent in (30, 60, 90):
            name = f"{percent}_of_100_of_{kind}"
            (folder / name).write_bytes(whole[: len(whole) * percent // 100])
            # of FLAC, which has room for tags at its head, the first 30 % hold no sound
            seen = reason if film or name == "30_of_100_of_sound.flac" else "no video stream"
            yield Case(name, f"truncated at {percent} %", {"failure": seen}, {"failure": reason})
    (folder / "whole").unlink()


def corrupted(folder: Path) -> Iterator[Case]:
    """Files with a tenth in the middle overwritten."""
    vp9 = replace(FILM, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    av1 = replace(FILM, codec="libsvtav1", options={"preset": "12"})
    hevc = replace(FILM, codec="libx265", options={"x265-params": "log-level=none"})
    opus = Sound(codec="libopus", rate=48_000)
    kinds = {
        "h264.mp4": (FILM, SOUND),
        "h264.mkv": (FILM, SOUND),
        "hevc.mp4": (hevc, SOUND),
        "vp9.webm": (vp9, opus),
        "av1.mp4": (av1, SOUND),
        "sound.flac": (None, replace(SOUND, codec="flac")),
        "sound.mp3": (None, replace(SOUND, codec="libmp3lame")),
        "sound.ogg": (None, opus),
    }
    for kind, (film, sound) in kinds.items():
        whole = write(folder / "whole", [film] if film else [], [sound], {}, container_of(kind)).read_bytes()
        for filler in ("random", "zeros"):
            name = f"{filler}_in_{kind}"
            content = bytearray(whole)
            first, size = len(whole) * 60 // 100, len(whole) // 10
            content[first : first + size] = noise(0, size) if filler == "random" else bytes(size)
            (folder / name).write_bytes(content)
            yield Case(
                name, f"{filler} in the middle", {"failure": LOST if film else "no video stream"}, {"failure": LOST}
            )
    yield scratched(folder)
    (folder / "whole").unlink()


def scratched(folder: Path) -> Case:
    """Write H.264 whose pictures are overwritten inside, which its decoder patches up unless it is watched."""
    film = replace(FILM, size=(160, 120), grain=40, options={"preset": "veryfast", "g": "60", "bf": "0"})
    path = write(folder / "scratched.mp4", [film], [SOUND])
    with av.open(str(path)) as container:
        packets = [(entry.pos, entry.size) for entry in container.streams.video[0].index_entries]
    content = bytearray(path.read_bytes())
    for number, (position, size) in enumerate(packets[10:50]):
        content[position + size // 2 : position + size // 2 + 64] = noise(number, 64)
    path.write_bytes(content)
    whole_sound = expected_audio(SOUND)
    return Case(
        "scratched.mp4", "64 bytes overwritten in most pictures", {"failure": "the video is damaged"}, whole_sound
    )


def container_of(name: str) -> str:
    """Return FFmpeg's name of a container."""
    suffix = name.rpartition(".")[2]
    return {"mkv": "matroska"}.get(suffix, suffix)


def no_media(folder: Path) -> Iterator[Case]:
    """What is no medium at all."""
    contents = {
        "empty.mp4": (b"", "0 bytes"),
        "zeros.mp4": (bytes(100_000), NO_MEDIUM),
        "text.mp4": (TEXT.encode(), NO_MEDIUM),
        "text.txt": (TEXT.encode(), "text file|not a media file"),
        "forbidden.mp4": (b"something", "no permission"),
    }
    contents |= {f"random_{seed}.mp4": (noise(seed, 100_000), NO_MEDIUM) for seed in range(3)}
    for name, (content, reason) in contents.items():
        (folder / name).write_bytes(content)
        yield failing(name, "no medium", reason)
    (folder / "forbidden.mp4").chmod(0)
    (folder / "directory.mp4").mkdir(exist_ok=True)
    yield failing("directory.mp4", "a directory", "not a file")
    if not (folder / "pipe.mp4").exists():
        os.mkfifo(folder / "pipe.mp4")
    yield failing("pipe.mp4", "a FIFO that nobody writes to", "not a file")
    yield failing("absent.mp4", "is not there", "no such file")
