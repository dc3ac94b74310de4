"""Key frames and rates, taken from real files: held against what a decoder itself says of each frame."""

import av
import numpy as np
import pytest

from sadgr.extract.media import video
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.sampling import Sampling
from sadgr.extract.media.video import read_frames

FILMS = [
    ("a.mp4", "libx264", {"g": "11", "bf": "2"}),
    ("a.mkv", "libx264", {"g": "13", "bf": "3", "x264-params": "open-gop=1"}),
    ("a.ts", "libx264", {"g": "14", "bf": "2"}),
    ("a.avi", "mpeg4", {"g": "9"}),
    ("a.webm", "libvpx-vp9", {"g": "17", "deadline": "realtime", "cpu-used": "8"}),
]


def key_numbers(studio, path):
    """Decode a whole film; return the numbers in its key frames."""
    with av.open(str(path)) as container:
        return [int(studio.number_of(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0) if f.key_frame]


@pytest.mark.parametrize(("name", "codec", "options"), FILMS)
def test_key_frames_are_what_the_decoder_calls_so(studio, name, codec, options):
    path = studio.film(name, 100, codec, options)
    keys = key_numbers(studio, path)
    assert 5 < len(keys) < 16
    frames = read_frames(path, Sampling("keyframe", 16))
    assert studio.numbers_of(frames) == keys and not frames.fallback
    few = read_frames(path, Sampling("keyframe", 3))
    assert studio.numbers_of(few) == [keys[int((part + 0.5) * len(keys) / 3)] for part in range(3)]


@pytest.mark.parametrize(("name", "codec", "options"), FILMS)
def test_key_frames_of_a_span_are_those_on_display_in_it(studio, name, codec, options):
    path = studio.film(name, 100, codec, options)
    shown = [number for number in key_numbers(studio, path) if 25 <= number < 65]
    found = read_frames(path, Sampling("keyframe", 16), 1.0, 2.6)
    assert studio.numbers_of(found) == shown
    np.testing.assert_allclose(found.seconds, np.array(shown) / 25 - 1, atol=2e-3)


@pytest.mark.parametrize(("name", "codec", "options"), FILMS)
@pytest.mark.parametrize("sampling", [Sampling("uniform", 4), Sampling("fps", 0, 4.0)])
def test_a_rate_gives_the_same_frames_whatever_the_film(studio, name, codec, options, sampling):
    path = studio.film(name, 100, codec, options)
    frames = read_frames(path, sampling, 1.0, 2.0)
    assert studio.numbers_of(frames) == [28, 34, 40, 46]  # centres 1.125, 1.375, ...
    np.testing.assert_allclose(frames.seconds, [0.12, 0.36, 0.6, 0.84], atol=2e-3)


def test_more_pixels_than_memory_would_hold_are_refused_before_they_are_decoded(studio, monkeypatch):
    path = studio.film("a.mp4", 50)
    monkeypatch.setattr(video, "MOST_PIXEL_BYTES", 20 * 64 * 48 * 3)
    assert len(read_frames(path, Sampling("fps", 0, 10.0)).seconds) == 20
    with pytest.raises(MediaError, match=r"a\.mp4: 50 video frames of 64 x 48 .*ask for fewer"):
        read_frames(path, Sampling("fps", 0, 25.0))
