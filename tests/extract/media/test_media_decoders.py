"""decord and PyAV must be one decoder: same frames, same times, same pixels; and decord only where it is right."""

import re
import sys

import numpy as np
import pytest

from sadgr.extract.media import video
from sadgr.extract.media.video import read_frames
from sadgr.extract.media.with_decord import DecordUnfit

pytest.importorskip("decord", reason="decord has wheels for x86-64 only")

CLOSED = [
    ("a.mp4", "libx264", {"bf": "3", "g": "250"}),
    ("a.mp4", "libx264", {"bf": "3", "g": "12"}),
    ("a.mkv", "libx264", {"bf": "3", "g": "12"}),
    ("a.mp4", "libx265", {"x265-params": "log-level=none:keyint=12:open-gop=0"}),
    ("a.mp4", "mpeg4", {"bf": "0", "g": "12"}),
]


@pytest.fixture
def without_decord(monkeypatch):
    def refuse(*_):
        raise DecordUnfit("switched off")

    def switch():
        monkeypatch.setattr(video, "check_fit", refuse)

    return switch


@pytest.mark.parametrize(("name", "codec", "options"), CLOSED)
@pytest.mark.parametrize("span", [(None, None), (0.7, 1.9)])
def test_both_decoders_agree(studio, without_decord, name, codec, options, span):
    path = studio.film(name, 60, codec, options)
    by_decord = read_frames(path, 16, *span)
    without_decord()
    by_pyav = read_frames(path, 16, *span)
    assert (by_decord.decoder, by_decord.remark) == ("decord", "")
    assert (by_pyav.decoder, by_pyav.remark) == ("pyav", "switched off")
    assert studio.numbers_of(by_decord) == studio.numbers_of(by_pyav)
    np.testing.assert_array_equal(by_decord.seconds, by_pyav.seconds)
    assert np.abs(by_decord.pixels.astype(int) - by_pyav.pixels).max() <= 2


@pytest.mark.parametrize(
    ("name", "codec", "options", "remark"),
    [
        ("a.mp4", "libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1"}, "open"),
        ("a.mp4", "libx265", {"x265-params": "log-level=none:keyint=12:open-gop=1"}, "open"),
        ("a.mp4", "mpeg4", {"bf": "2", "g": "12"}, "open"),
        ("a.mp4", "libx264", {"bf": "0", "g": "20", "intra-refresh": "1"}, "count wrongly|from the start"),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, "vp9"),
    ],
)
def test_decord_is_left_where_it_returns_other_frames(studio, name, codec, options, remark):
    frames = read_frames(studio.film(name, 120, codec, options), 16)
    assert frames.decoder == "pyav"
    assert re.search(remark, frames.remark)
    assert studio.numbers_of(frames) == [int((part + 0.5) * 120 / 16) for part in range(16)]


def test_decord_is_left_for_turned_pictures(studio):
    frames = read_frames(studio.film("r.mp4", 4, rotation=90), 2)
    assert (frames.decoder, frames.remark) == ("pyav", "the pictures have to be turned")


def test_a_machine_without_decord_reads_the_same(studio, monkeypatch):
    path = studio.film("a.mp4", 30)
    expected = read_frames(path, 4)
    monkeypatch.setitem(sys.modules, "decord", None)
    found = read_frames(path, 4)
    assert found.decoder == "pyav"
    assert "cannot be imported" in found.remark
    np.testing.assert_array_equal(found.pixels, expected.pixels)


def test_decord_that_disagrees_on_times_is_left(studio, monkeypatch):
    import decord

    path = studio.film("a.mp4", 30)
    honest = decord.VideoReader.get_frame_timestamp
    monkeypatch.setattr(decord.VideoReader, "get_frame_timestamp", lambda self, i: honest(self, i) * 1.1)
    frames = read_frames(path, 4)
    assert frames.decoder == "pyav"
    assert "s off" in frames.remark
    assert studio.numbers_of(frames) == [3, 11, 18, 26]
