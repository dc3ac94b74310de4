"""Writes hostile media and a manifest of what reading each must come to.

python tests/media/make_media.py FOLDER
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from breaking import broken_cases
from cutting import Edit, copy_cut, edit_list
from expecting import NO_AUDIO, NO_VIDEO, SPAN, Case, expected_audio, expected_video, shown_by
from planting import Film, Sound, shown_size, steady, write

COUNT = 60
FILM, SOUND = Film(steady(COUNT)), Sound()
OPUS = Sound(codec="libopus", rate=48_000)
FAST = {"preset": "veryfast", "sc_threshold": "0"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "g": "20"}


def case(
    folder: Path,
    name: str,
    why: str,
    film: Film | None = FILM,
    sound: Sound | None = SOUND,
    span: tuple[Fraction, Fraction] = SPAN,
    **muxer: str,
) -> Case:
    """Write a file of one film and one sound, either of which may be missing."""
    write(folder / name, [film] if film else [], [sound] if sound else [], muxer)
    video = expected_video(shown_by(film), film.end, shown_size(film), span=span) if film else NO_VIDEO
    return Case(name, why, video, expected_audio(sound, span=span) if sound else NO_AUDIO)


def codecs(folder: Path) -> Iterator[Case]:
    """Codecs, pixel formats, sizes, turns."""
    yield case(folder, "cfr.mp4", "25 pictures a second")
    yield case(folder, "b_frames.mp4", "B-frames", replace(FILM, options={**FAST, "bf": "3", "g": "250"}))
    open_groups = {**FAST, "bf": "3", "g": "12", "x264-params": "open-gop=1"}
    yield case(folder, "open_groups.mp4", "open groups of pictures", replace(FILM, options=open_groups))
    yield case(folder, "10_bit.mp4", "10-bit H.264", replace(FILM, pixel_format="yuv420p10le"))
    hevc = replace(FILM, codec="libx265", options={"x265-params": "log-level=none"}, pixel_format="yuv420p10le")
    yield case(folder, "10_bit.mkv", "10-bit HEVC", hevc)
    yield case(folder, "odd_size.mp4", "81 x 45", replace(FILM, size=(81, 45), pixel_format="yuv444p"))
    yield case(
        folder, "odd_size.mkv", "83 x 47 in 4:2:0", replace(FILM, size=(83, 47), codec="libvpx-vp9", options=VP9)
    )
    yield case(folder, "1080p.mp4", "1920 x 1080", replace(FILM, size=(1920, 1080)))
    yield case(folder, "vp9.webm", "VP9 and Opus", replace(FILM, codec="libvpx-vp9", options=VP9), OPUS)
    av1 = replace(FILM, codec="libsvtav1", options={"preset": "12", "svtav1-params": "keyint=20"})
    yield case(folder, "av1.mp4", "AV1", av1)
    yield case(folder, "av1.webm", "AV1 and Opus", av1, OPUS)
    for turned in (90, 180, 270):
        yield case(folder, f"turned_{turned}.mp4", f"to be turned by {turned} degrees", replace(FILM, turned=turned))


def times(folder: Path) -> Iterator[Case]:
    """When pictures are shown and sound is heard."""
    uneven = [Fraction(8 * n + 31 * (n // 9) + 13 * n * n % 5, 200) for n in range(40)]
    vfr = Film(uneven, Fraction(31, 200), time_base=Fraction(1, 1000), options={**FAST, "bf": "2"})
    yield case(folder, "vfr.mp4", "pictures of unequal length", vfr)
    yield case(folder, "vfr.mkv", "pictures of unequal length", vfr)
    for suffix in ("mp4", "mkv"):
        yield case(
            folder, f"late_audio.{suffix}", "sound starts at 0.7 s", FILM, replace(SOUND, start=0.7, seconds=2.5)
        )
        one = replace(FILM, starts=[Fraction(0)])
        yield case(
            folder, f"one_frame.{suffix}", "a single picture of 0.04 s", one, span=(Fraction("0.01"), Fraction("0.03"))
        )
    slow = Film(steady(3000, 5), Fraction(1, 5), time_base=Fraction(1, 5))
    tone = replace(SOUND, onset=590.8, offset=591.6, seconds=600.0)
    yield case(folder, "10_minutes.mp4", "10 minutes", slow, tone, span=(Fraction("590.7"), Fraction("591.9")))


def sounds(folder: Path) -> Iterator[Case]:
    """Channels, rates and codecs of sound."""
    surround = Sound(rate=48_000, layout="5.1", levels=(0.6, 0.5, 0.4, 0.0, 0.3, 0.2))
    yield case(folder, "surround.mp4", "5.1 in AAC", FILM, surround)
    yield case(folder, "surround.flac", "5.1 in FLAC", None, replace(surround, codec="flac"))
    yield case(folder, "8_khz.mp4", "8 kHz in AAC", FILM, replace(SOUND, rate=8_000))
    yield case(folder, "8_khz.wav", "8 kHz", None, replace(SOUND, codec="pcm_s16le", rate=8_000))
    yield case(folder, "44100_hz.mp4", "44.1 kHz in AAC", FILM, replace(SOUND, rate=44_100))
    mp3 = case(folder, "44100_hz.mp3", "44.1 kHz in MP3", None, replace(SOUND, codec="libmp3lame", rate=44_100))
    yield replace(mp3, audio=mp3.audio | {"level": 0.95 * SOUND.level})  # LAME leaves itself that much room
    yield case(folder, "opus.ogg", "Opus", None, OPUS)
    yield case(folder, "mute.mp4", "no sound", FILM, None)


def containers(folder: Path) -> Iterator[Case]:
    """What containers do not say, or say elsewhere."""
    grouped = replace(FILM, options={"preset": "ultrafast", "g": "12"})
    yield case(folder, "no_duration.mkv", "declares no duration", grouped, live="1")
    yield case(folder, "fragmented.mp4", "fragments", grouped, movflags="frag_keyframe+delay_moov+default_base_moof")
    flac = replace(SOUND, codec="flac")
    yield case(folder, "empty_moov.mp4", "fragments, written live", grouped, flac, movflags="frag_keyframe+empty_moov")
    yield from cuts(folder)
    yield from several(folder)
    for name in ("two words.mp4", "film \U0001f3ac\U0001f469‍\U0001f52c.mp4", "line\nbreak.mp4"):
        whole = case(folder, "cfr.mp4", "")
        shutil.copy(folder / "cfr.mp4", folder / name)
        yield replace(whole, name=name, why="its name")


def cuts(folder: Path) -> Iterator[Case]:
    """Cuts without re-encoding."""
    film = Film(steady(150), options={**FAST, "bf": "2", "g": "30"})
    tone = replace(SOUND, onset=2.5, offset=3.3, seconds=6.0)
    source = write(folder / "uncut.mkv", [film], [tone])
    start, seconds, head, next_key = Fraction("1.7"), Fraction("2.4"), Fraction(30, 25), Fraction(60, 25)
    stop = start + seconds
    copy_cut(source, folder / "cut.mp4", start, seconds)
    # At 1.7 s a picture is on display already. FFmpeg hides it, and shows the next one, of 1.72 s, from 1.7 s on.
    shift = Fraction("0.02")
    yield cut_case("cut.mp4", "an edit list hides its head", film, (start, stop), start, shift=shift)
    copy_cut(source, folder / "cut.mkv", start, seconds)
    yield cut_case("cut.mkv", "shows from its key frame on", film, (head, stop), head)
    # Here t = 0 is the first block of sound from 1.7 s on; Matroska drops one more, as the encoder's delay.
    for suffix, origin in (("mp4", Fraction(27 * 1024, 16_000)), ("mkv", Fraction(28 * 1024, 16_000))):
        copy_cut(source, folder / f"cut_after.{suffix}", start, seconds, keeps_head=False)
        name, why = f"cut_after.{suffix}", "its picture starts after its sound"
        yield cut_case(name, why, film, (next_key, stop), origin, span=(Fraction("0.5"), Fraction("1.6")))
    yield edited(
        folder,
        "tail_hidden.mp4",
        "an edit list hides its head and tail",
        (Fraction("0.32"), Fraction("1.72")),
        span=(Fraction("0.5"), Fraction("1.5")),
    )


def cut_case(name: str, why: str, film: Film, kept: tuple[Fraction, Fraction], origin: Fraction, **more: Any) -> Case:
    """Return what a cut must give: the pictures that come on display in a part of the film, counted from `origin`."""
    shift = more.pop("shift", Fraction(0))
    shown = [(number, time - origin - shift) for number, time in shown_by(film) if kept[0] <= time < kept[1]]
    sound = replace(SOUND, onset=2.5 - float(origin), offset=3.3 - float(origin))
    return Case(
        name, why, expected_video(shown, shown[-1][1] + film.last_seconds, film.size, **more), expected_audio(sound)
    )


def edited(folder: Path, name: str, why: str, edit: Edit, **more: Any) -> Case:
    """Write a file with an edit list of one edit, which starts with a picture and holds the whole tone."""
    film = replace(FILM, options={**FAST, "bf": "2", "g": "24"})
    edit_list(write(folder / name, [film], [SOUND]), [edit])
    start, length = edit
    shown = [(number, time - start) for number, time in shown_by(film) if start <= time < start + length]
    sound = replace(SOUND, onset=SOUND.onset - float(start), offset=SOUND.offset - float(start))
    return Case(name, why, expected_video(shown, length, film.size, **more), expected_audio(sound, **more))


def several(folder: Path) -> Iterator[Case]:
    """Several streams of a kind."""
    other = replace(FILM, first_number=1000, size=(96, 64), is_default=False)
    noise = replace(SOUND, hz=1500.0, rate=48_000, is_default=False)
    for suffix in ("mp4", "mkv"):
        name = f"several.{suffix}"
        write(folder / name, [other, FILM], [noise, SOUND])
        video = expected_video(shown_by(FILM), FILM.end, FILM.size, said="video stream 1 of 0 to 1 (the default)")
        yield Case(
            name,
            "its default streams come second",
            video,
            expected_audio(SOUND, said="audio stream 1 of 0 to 1 (the default)"),
        )


def main(folder: Path) -> None:
    """Write everything, and manifest.json."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = [one for make in (codecs, times, sounds, containers, broken_cases) for one in make(folder)]
    (folder / "manifest.json").write_text(json.dumps([asdict(one) for one in cases], indent=1), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 speaks to stderr by itself
    main(Path(sys.argv[1]))
