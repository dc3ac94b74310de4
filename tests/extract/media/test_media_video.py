"""Films of numbered pictures, sampled: which frames come, when, and how they stand."""

import json

import numpy as np
import pytest

from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.sampling import Sampling
from sadgr.extract.media.video import VIDEO_POLICY, VideoFrames, read_frames

B_FRAMES = {"bf": "3", "g": "250", "sc_threshold": "0"}
MIDDLES_OF_60_IN_8 = [3, 11, 18, 26, 33, 41, 48, 56]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", B_FRAMES),
        ("a.mkv", "libx264", B_FRAMES),
        ("a.ts", "libx264", {"bf": "3", "g": "12"}),
        ("a.avi", "libx264", {"bf": "2", "g": "12"}),
        ("b.avi", "mpeg4", {"bf": "2", "g": "12"}),
        ("a.mp4", "mpeg4", {"bf": "2", "g": "12"}),
        ("a.mp4", "libx265", {"x265-params": "log-level=none:keyint=12:open-gop=1"}),
        ("a.mp4", "libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1"}),
        ("a.mkv", "libx264", {"bf": "0", "g": "20", "intra-refresh": "1"}),
        ("a.webm", "libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
        ("a.webm", "libvpx", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    ],
)
def test_uniform_frames_by_time(studio, name, codec, options):
    frames = read_frames(studio.film(name, 60, codec, options), 8)
    assert studio.numbers_of(frames) == MIDDLES_OF_60_IN_8
    first = frames.seconds[0] - 3 / 25  # AVI counts its first frame one late
    np.testing.assert_allclose(frames.seconds, first + np.array(MIDDLES_OF_60_IN_8) / 25, atol=1e-3)
    assert first == pytest.approx(1 / 25 if name.endswith("avi") else 0, abs=1e-3)


def test_frames_of_unequal_length_are_taken_by_time(studio):
    stamps = [*range(20), *range(60, 140, 4)]  # 20 short ones, the last of them long, 20 of 0.16 s
    frames = read_frames(studio.film("vfr.mp4", 40, options=B_FRAMES, stamps=stamps), 8)
    expected = [8, 19, 20, 24, 29, 33, 37]  # shown at 8.75, 26.25 and 43.75, 61.25, ..., 131.25 of 140
    assert studio.numbers_of(frames) == expected
    np.testing.assert_allclose(frames.seconds * 25, [stamps[number] for number in expected], atol=0.03)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_frames_than_asked_for_come_once_each(studio, count):
    frames = read_frames(studio.film("few.mp4", count), 16)
    assert studio.numbers_of(frames) == list(range(count))
    np.testing.assert_allclose(frames.seconds, np.arange(count) / 25, atol=1e-6)


def test_odd_sizes(studio):
    path = studio.film("odd.mp4", 10, size=(81, 45), pixel_format="yuv444p")
    frames = read_frames(path, 2)
    assert frames.pixels.shape == (2, 45, 81, 3)
    assert studio.numbers_of(frames) == [2, 7]


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3)])
def test_pictures_stand_upright(studio, degrees, turns):
    """The display matrix turns counter-clockwise, as np.rot90 does; the picture has no symmetry."""
    frames = read_frames(studio.film("turned.mp4", 4, options={"crf": "1"}, rotation=degrees), 1)
    expected = np.rot90(studio.picture(2), turns).astype(int)
    assert frames.pixels[0].shape == expected.shape
    assert np.abs(frames.pixels[0] - expected).mean() < 12
    others = [np.rot90(studio.picture(2), k).astype(int) for k in range(4) if k != turns]
    assert all(o.shape != expected.shape or np.abs(frames.pixels[0] - o).mean() > 40 for o in others)


def test_colours_come_as_rgb(studio):
    pixels = read_frames(studio.film("c.mp4", 3, options={"crf": "1"}), 1).pixels[0].astype(int)
    assert np.abs(pixels[30:44, 2:12].mean((0, 1)) - (220, 30, 30)).max() < 12
    assert np.abs(pixels[30:44, 24:60].mean((0, 1)) - (30, 60, 140)).max() < 12


def test_a_cut_without_reencoding_shows_what_its_edit_list_shows(studio):
    """3 s at 4.3 s out of one long group of pictures, whose head is hidden."""
    film = studio.film("long.mp4", 250, options=B_FRAMES)
    frames = read_frames(studio.cut(film, "cut.mp4", 4.3, 3, keep_head=True), 5)
    assert studio.numbers_of(frames) == [115, 130, 145, 160, 175]  # 108 (4.32 s) to 182: middles of 15 each


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_a_cut_without_any_key_frame_cannot_be_decoded(studio, name):
    film = studio.film("long.mp4", 200, options=B_FRAMES)
    with pytest.raises(MediaError, match=r"cut\.m.*key frame.*re-encoding"):
        read_frames(studio.cut(film, name, 4.3, 3, keep_head=False), 5)


def test_frames_before_the_first_key_frame_are_not_counted(studio):
    film = studio.film("short.mp4", 100, options={"bf": "0", "g": "40", "sc_threshold": "0"})  # keys at 0, 40, 80
    frames = read_frames(studio.cut(film, "cut.mkv", 1.2, 2.4, keep_head=False), 5)  # 30 to 89; 40 is the first key
    assert studio.numbers_of(frames) == [45, 55, 65, 75, 85]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_span_counts_from_its_own_start(studio, name):
    path = studio.film(name, 100, options={"bf": "2", "g": "12"})
    late = 1 if name.endswith("avi") else 0
    frames = read_frames(path, 4, 1.0, 2.6)  # frames 25 to 64
    assert studio.numbers_of(frames) == [number - late for number in (30, 40, 50, 60)]
    np.testing.assert_allclose(frames.seconds, [0.2, 0.6, 1.0, 1.4], atol=1e-3)


def test_a_frame_on_display_when_the_span_starts_belongs_to_it(studio):
    path = studio.film("slow.mp4", 5, stamps=range(0, 125, 25))  # a frame a second
    frames = read_frames(path, 16, 1.5, 3.5)
    assert studio.numbers_of(frames) == [1, 2, 3]
    np.testing.assert_allclose(frames.seconds, [0.0, 0.5, 1.5])


def test_a_span_outside_of_the_film_is_refused(studio):
    path = studio.film("a.mp4", 50)
    assert len(read_frames(path, 4, 1.0, 2.4).seconds) == 4
    with pytest.raises(MediaError, match=r"a\.mp4.*ends at 2\.000 s"):
        read_frames(path, 4, 1.0, 2.7)
    with pytest.raises(MediaError, match=r"ends at 2\.000 s"):
        read_frames(path, 4, 2.0)
    with pytest.raises(ValueError, match="span"):
        read_frames(path, 4, 1.0, 1.0)
    with pytest.raises(ValueError, match="how many"):
        read_frames(path, 0)


def test_a_film_that_starts_after_its_sound_keeps_its_place(studio):
    tone = np.zeros((1, 32000), np.float32)
    path = studio.film("late.mp4", 25, stamps=range(20, 45), tone=(tone, 16000, 0.0))
    frames = read_frames(path, 5)
    assert studio.numbers_of(frames) == [2, 7, 12, 17, 22]
    np.testing.assert_allclose(frames.seconds * 25, [22, 27, 32, 37, 42], atol=0.03)
    with pytest.raises(MediaError, match=r"no video frame is shown before 0\.5 s"):
        read_frames(path, 5, 0.0, 0.5)


def test_sound_alone_and_cover_art_are_no_film(studio):
    with pytest.raises(StreamAbsent, match=r"a\.wav.*no video"):
        read_frames(studio.sound("a.wav", np.zeros((1, 800)), 8000, "pcm_s16le"))
    with pytest.raises(StreamAbsent, match="no video"):
        read_frames(studio.song_with_cover("song.mp3"))


def test_policy_can_stand_in_a_fingerprint():
    assert json.loads(json.dumps(VIDEO_POLICY)) == VIDEO_POLICY
    assert isinstance(VIDEO_POLICY["version"], int)


@pytest.mark.parametrize(
    ("shape", "seconds"),
    [((2, 4, 4), [0, 1]), ((2, 4, 4, 3), [0]), ((0, 4, 4, 3), []), ((2, 4, 4, 3), [1, 1]), ((1, 4, 4, 3), [-1])],
)
def test_frames_that_do_not_fit_together_are_refused(shape, seconds):
    with pytest.raises(ValueError, match="must be"):
        VideoFrames(np.zeros(shape, np.uint8), np.array(seconds, float))


def test_key_frames_and_rates_are_taken_from_real_files(studio):
    path = studio.film("keys.mp4", 100, options={"g": "10", "keyint_min": "10", "sc_threshold": "0", "bf": "0"})
    keys = read_frames(path, Sampling("keyframe", 16))
    assert studio.numbers_of(keys) == list(range(0, 100, 10)) and not keys.fallback
    assert studio.numbers_of(read_frames(path, Sampling("keyframe", 5))) == [10, 30, 50, 70, 90]
    assert studio.numbers_of(read_frames(path, Sampling("keyframe", 16), 1.0, 2.0)) == [30, 40]
    assert studio.numbers_of(read_frames(path, Sampling("fps", 0, 5.0), 1.0, 2.0)) == [27, 32, 37, 42, 47]


def test_a_span_without_a_key_frame_is_sampled_uniformly_and_says_so(studio):
    path = studio.film("rare.mp4", 100, options={"g": "200", "sc_threshold": "0"})
    frames = read_frames(path, Sampling("keyframe", 4), 1.0, 2.0)
    assert "no key frame" in frames.fallback
    assert studio.numbers_of(frames) == studio.numbers_of(read_frames(path, 4, 1.0, 2.0))
