"""Files that are cut, damaged or something else altogether: told in plain words, never silently shortened."""

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sadgr.extract.media.audio import read_audio
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.probe import probe
from sadgr.extract.media.video import read_frames

READERS = [read_audio, read_frames, probe]


def shortened(path, part):
    """Keep the first part of a file's bytes."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    return path


def noise(seconds, rate):
    return 0.3 * np.random.default_rng(0).standard_normal((1, round(seconds * rate)))


@pytest.mark.parametrize("part", [0.3, 0.6, 0.85])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.mp3", "libmp3lame"),
        ("a.m4a", "aac"),
        ("a.mkv", "aac"),
        ("a.webm", "libopus"),
        ("a.ogg", "libopus"),
        ("a.avi", "libmp3lame"),
        ("a.aac", "aac"),
    ],
)
def test_truncated_sound(studio, name, codec, part):
    path = studio.sound(name, noise(4, 48000), 48000, codec)
    assert len(read_audio(path)) >= 4 * 16000
    with pytest.raises(MediaError, match=rf"{name}: .*truncated"):
        read_audio(shortened(path, part))


@pytest.mark.parametrize("part", [0.3, 0.6, 0.85])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "front.mp4"])
def test_truncated_film(studio, name, part):
    muxer = {"movflags": "faststart"} if name == "front.mp4" else None
    path = studio.film(name, 250, options={"g": "12"}, tone=(noise(10, 16000), 16000, 0.0), muxer=muxer)
    read_frames(path, 4)
    shortened(path, part)
    with pytest.raises(MediaError, match=rf"{name}: .*(truncated|damaged)"):
        read_frames(path, 4)
    with pytest.raises(MediaError, match=rf"{name}: .*(truncated|damaged)"):
        read_audio(path)


def test_a_stream_shorter_than_the_other_is_whole(studio):
    """In Matroska the container declares the length of its longest stream."""
    path = studio.film("a.mkv", 25, tone=(noise(4, 16000), 16000, 0.0))
    assert len(read_frames(path, 4).seconds) == 4
    assert len(read_audio(path)) >= 4 * 16000


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus")])
def test_damage_in_the_middle_of_sound(studio, name, codec):
    path = studio.sound(name, noise(4, 48000), 48000, codec)
    content = bytearray(path.read_bytes())
    half, size = len(content) // 2, len(content) // 10
    content[half : half + size] = np.random.default_rng(1).bytes(size)
    path.write_bytes(content)
    with pytest.raises(MediaError, match=rf"{name}: .*damaged"):
        read_audio(path)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damage_in_the_middle_of_a_film(studio, codec):
    path = studio.film("a.mp4", 60, codec, {"g": "250"})
    content = bytearray(path.read_bytes())
    first = content.find(b"mdat") + 4
    size = int.from_bytes(content[first - 8 : first - 4], "big") - 8
    scrambled = np.random.default_rng(0).integers(0, 256, size * 4 // 10, dtype=np.uint8).tobytes()
    content[first + size // 2 : first + size // 2 + len(scrambled)] = scrambled
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4: .*damaged"):
        read_frames(path, 8)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_medium(tmp_path, reader):
    cases = {
        "absent.mp4": (None, "no such file"),
        "empty.mp4": (b"", "0 bytes"),
        "letter.mp4": (b"Dear Sir,\nthis is no film.\n" * 40, "not a media file"),
        "letter.txt": (b"Dear Sir,\nthis is no film.\n" * 40, "text file|not a media file"),
        "bytes.wav": (bytes(range(256)) * 40, "not a media file"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(MediaError, match=rf"{re.escape(name)}: .*({reason})") as caught:
            reader(path)
        assert not isinstance(caught.value, StreamAbsent)
        assert "\n" not in str(caught.value)
    with pytest.raises(MediaError, match="not a file"):
        reader(tmp_path)


@contextmanager
def as_nobody():
    """Give up root's right to read everything for a while."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0, 0o755), (0o644, 0o600)])
def test_no_permission(reader, file_mode, folder_mode):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        path.write_bytes(b"something")
        path.chmod(file_mode)
        Path(folder).chmod(folder_mode)
        with as_nobody(), pytest.raises(MediaError, match=r"a\.mp4: no permission"):
            reader(path)
        Path(folder).chmod(0o700)


@pytest.mark.parametrize("name", ["-a b.mp4", "a:b.mp4", "ein schöner Tag.mp4", "50%d#?.mp4", "http:x.mp4"])
def test_names_are_taken_literally(studio, name):
    path = studio.film(name, 10, tone=(noise(0.4, 16000), 16000, 0.0))
    assert len(read_frames(path, 2).seconds) == 2
    assert len(read_audio(path)) > 0


def test_random_bytes_are_no_medium_whatever_their_ending_says(tmp_path):
    """FFmpeg takes a .flac by its name, and finds a stream of 0 Hz in it."""
    for ending in (".flac", ".mp3", ".mp4", ".wav"):
        path = tmp_path / f"noise{ending}"
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
        for read in (read_audio, read_frames):
            with pytest.raises(MediaError) as error:
                read(path)
            assert not isinstance(error.value, StreamAbsent), ending
