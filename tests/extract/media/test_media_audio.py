"""Planted tones, decoded: their pitch, place, level and mixing against the ideal sine."""

import json

import numpy as np
import pytest

from sadgr.extract.media.audio import AUDIO_POLICY, SAMPLE_RATE_HZ, read_audio
from sadgr.extract.media.errors import MediaError, StreamAbsent


def sine(tone_hz, level, seconds, rate, onset=0.0):
    time = np.arange(round(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * tone_hz * (time - onset)) * (time >= onset)


def snr_db(found, ideal, start=0.1, end=0.1):
    """Signal to noise ratio of what was decoded, but for the edges (seconds), where filters and codecs ring."""
    count = min(len(found), len(ideal))
    inside = slice(round(start * SAMPLE_RATE_HZ), count - round(end * SAMPLE_RATE_HZ))
    noise = np.mean((found[inside] - ideal[inside]) ** 2)
    return 10 * np.log10(np.mean(ideal[inside] ** 2) / max(noise, 1e-20))


# Moved by one sample this tone keeps 15 dB, so these limits prove its place as well.
@pytest.mark.parametrize(
    ("name", "codec", "rate", "limit_db"),
    [
        ("a.wav", "pcm_s16le", 8000, 60),
        ("a.wav", "pcm_s16le", 16000, 80),
        ("a.wav", "pcm_f32le", 44100, 80),
        ("a.wav", "pcm_u8", 22050, 35),
        ("a.flac", "flac", 44100, 60),
        ("a.mp3", "libmp3lame", 44100, 22),
        ("a.m4a", "aac", 44100, 30),
        ("a.m4a", "aac", 16000, 30),
        ("a.ogg", "libopus", 48000, 22),
    ],
)
def test_a_tone_is_where_it_was_planted(studio, name, codec, rate, limit_db):
    path = studio.sound(name, sine(440, 0.5, 2, rate)[None], rate, codec)
    found = read_audio(path)
    assert found.dtype == np.float32
    assert abs(len(found) - 2 * SAMPLE_RATE_HZ) < 0.07 * SAMPLE_RATE_HZ  # a codec fills its last frame
    assert snr_db(found, sine(440, 0.5, 2, SAMPLE_RATE_HZ)) > limit_db


def test_stereo_is_the_mean_of_its_channels(studio):
    left, right = sine(440, 0.6, 1.5, 44100), sine(1000, 0.3, 1.5, 44100)
    found = read_audio(studio.sound("s.wav", np.stack([left, right]), 44100, "pcm_s16le", "stereo"))
    ideal = (sine(440, 0.6, 1.5, 16000) + sine(1000, 0.3, 1.5, 16000)) / 2
    assert snr_db(found, ideal) > 60


def test_opposite_channels_cancel(studio):
    left = sine(440, 0.6, 0.5, 16000)
    assert np.abs(read_audio(studio.sound("s.flac", np.stack([left, -left]), 16000, "flac", "stereo"))).max() < 1e-4


def test_surround_is_the_mean_of_all_six(studio):
    tones = [200, 300, 400, 500, 600, 700]
    channels = np.stack([sine(hz, 0.5, 1, 48000) for hz in tones])
    found = read_audio(studio.sound("s.flac", channels, 48000, "flac", "5.1"))
    assert snr_db(found, np.mean([sine(hz, 0.5, 1, 16000) for hz in tones], axis=0)) > 60


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_sound_that_starts_late_comes_late(studio, name):
    # 0.7 s less AAC's priming of 1024 samples is a whole number of milliseconds, the grain of both containers' starts.
    found = read_audio(studio.film(name, count=60, tone=(sine(440, 0.5, 1.5, 16000)[None], 16000, 0.7)))
    assert np.abs(found[: round(0.6 * SAMPLE_RATE_HZ)]).max() == 0
    ideal = sine(440, 0.5, 2.2, SAMPLE_RATE_HZ, onset=0.7)
    assert snr_db(found, ideal, start=0.75, end=0.1) > 25


def test_a_late_picture_does_not_move_the_sound(studio):
    tone = sine(440, 0.5, 1.5, 16000)[None]
    path = studio.film("v.mp4", count=30, stamps=range(20, 50), tone=(tone, 16000, 0.0))
    assert snr_db(read_audio(path), sine(440, 0.5, 1.5, SAMPLE_RATE_HZ)) > 25


@pytest.mark.parametrize(
    ("name", "codec", "rate", "limit_db"),
    [
        ("a.wav", "pcm_s16le", 44100, 90),
        ("a.flac", "flac", 44100, 90),
        ("a.flac", "flac", 16000, 90),
        ("a.mp3", "libmp3lame", 44100, 40),
        ("a.m4a", "aac", 44100, 40),
        ("a.mkv", "aac", 44100, 90),
        ("a.ogg", "libopus", 48000, 40),
        ("a.webm", "libopus", 48000, 90),
    ],
)
def test_a_span_is_the_slice_of_the_whole(studio, name, codec, rate, limit_db):
    sweep = 0.5 * np.sin(2 * np.pi * np.cumsum(np.linspace(200, 3000, 12 * rate)) / rate)
    path = studio.sound(name, sweep[None], rate, codec)
    whole = read_audio(path)
    for start, end in [(0.0, 0.5), (0.2004, 1.0), (4.30007, 5.1234), (9.99, 11.5)]:
        found = read_audio(path, start, end)
        first, count = round(start * SAMPLE_RATE_HZ), round((end - start) * SAMPLE_RATE_HZ)
        assert len(found) == count
        ideal = whole[first : first + count]
        assert snr_db(found, ideal, 0, 0.001) > limit_db


def test_an_open_span_reaches_the_end(studio):
    path = studio.sound("a.wav", sine(440, 0.5, 3, 16000)[None], 16000, "pcm_s16le")
    np.testing.assert_array_equal(read_audio(path, start_seconds=1.25), read_audio(path)[20000:])
    np.testing.assert_array_equal(read_audio(path, end_seconds=1.25), read_audio(path)[:20000])


def test_a_span_may_run_over_the_end_a_little_only(studio):
    path = studio.sound("a.wav", sine(440, 0.5, 3, 16000)[None], 16000, "pcm_s16le")
    assert len(read_audio(path, 2.0, 3.4)) == 16000
    with pytest.raises(MediaError, match=r"a\.wav.*2\.000 s to 3\.600 s.*ends at 3\.000 s"):
        read_audio(path, 2.0, 3.6)
    with pytest.raises(MediaError, match=r"ends at 3\.000 s"):
        read_audio(path, 50.0, 51.0)
    with pytest.raises(MediaError, match=r"ends at 3\.000 s"):
        read_audio(path, 3.0)


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (-1.0, 1.0)])
def test_empty_spans_are_refused(studio, bounds):
    path = studio.sound("a.wav", sine(440, 0.5, 1, 16000)[None], 16000, "pcm_s16le")
    with pytest.raises(ValueError, match="span"):
        read_audio(path, *bounds)


def test_no_audio_is_told_apart(studio):
    with pytest.raises(StreamAbsent, match=r"mute\.mp4.*no audio"):
        read_audio(studio.film("mute.mp4", 5))


def test_policy_can_stand_in_a_fingerprint():
    assert json.loads(json.dumps(AUDIO_POLICY)) == AUDIO_POLICY
    assert isinstance(AUDIO_POLICY["version"], int)
