"""Probing tells what is there, from headers where they say it."""

import numpy as np
import pytest

from sadgr.extract.media.probe import MediaInfo, probe


def test_film_with_sound(studio):
    info = probe(studio.film("a.mp4", 50, tone=(np.zeros((1, 48000)), 16000, 0.0)))
    assert (info.has_video, info.has_audio) == (True, True)
    assert info.duration_seconds == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_film_alone(studio, name):
    info = probe(studio.film(name, 50))
    assert (info.has_video, info.has_audio) == (True, False)
    assert info.duration_seconds == pytest.approx(2.0, abs=0.09)


def test_sound_alone_and_with_cover(studio):
    assert probe(studio.sound("a.wav", np.zeros((1, 12000)), 8000, "pcm_s16le")) == MediaInfo(1.5, False, True)
    info = probe(studio.song_with_cover("song.mp3"))
    assert (info.has_video, info.has_audio) == (False, True)


def test_late_start_does_not_count(studio):
    assert probe(studio.film("a.mp4", 50, stamps=range(25, 75))).duration_seconds == pytest.approx(2.0, abs=0.05)


def test_a_film_without_a_declared_length_is_walked(studio):
    path = studio.film("live.mkv", 50, muxer={"live": "1"})
    assert probe(path).duration_seconds == pytest.approx(2.0, abs=0.05)


def test_subtitles_are_neither(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    assert probe(path) == MediaInfo(0.0, False, False)
