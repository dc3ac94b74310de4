"""Sound and picture for a page: the right span, at the right time, and small; extraction's own reading is the oracle."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from sadgr.cache.media_paths import MediaPath, media_paths, note_media
from sadgr.cache.report.media import MediaUnreadableError, jpeg, opus, read_frames, read_sound
from sadgr.cache.report.sound_picture import RANGE_DB, envelope, spectrogram_db, spectrogram_png
from sadgr.cache.runlog import RunLog
from sadgr.extract.media.audio import read_audio

RATE_HZ = 16_000
SPANS = [(None, None), (0.5, None), (None, 1.0), (0.5, 1.25), (3.0, 3.7)]


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE_HZ).astype(np.float32)


@pytest.mark.parametrize("span", SPANS)
def test_sound_of_a_span_is_sample_for_sample_the_file(tmp_path: Path, planting: Any, noise: np.ndarray, span) -> None:
    path = planting.wav(tmp_path / "a.wav", noise)
    begin, end = (None if edge is None else round(edge * RATE_HZ) for edge in span)
    np.testing.assert_allclose(read_sound(MediaPath(path, *span)), noise[begin:end], atol=1e-4)


@pytest.mark.parametrize("span", SPANS)
def test_sound_of_a_film_is_what_extraction_hears(tmp_path: Path, planting: Any, noise: np.ndarray, span) -> None:
    path = planting.video(tmp_path / "a.mp4", seconds=4, sound=noise)
    expected = read_audio(path, *span)
    found = read_sound(MediaPath(path, *span))
    assert abs(len(found) - len(expected)) <= RATE_HZ // 100
    shared = min(len(found), len(expected))
    assert np.abs(found[:shared] - expected[:shared]).max() < 1e-3


def shifted(path: Path, target: Path, seconds: dict[str, float]) -> Path:
    """Mux a film anew, with later time stamps for some kinds of streams; AAC begins 64 ms before its first sample."""
    with av.open(str(path)) as source, av.open(str(target), "w") as file:
        streams = {one.index: file.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                shift = round(seconds.get(packet.stream.type, 0) / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                file.mux(packet)
    return target


@pytest.mark.parametrize(
    ("seconds", "late"),
    [({"audio": 0.5}, 0.5), ({"audio": 0.564, "video": 0.5}, 0.064), ({"audio": 2, "video": 1.5}, 0.5)],
)
def test_time_begins_where_the_first_stream_does(tmp_path: Path, planting: Any, seconds: dict, late: float) -> None:
    path = shifted(planting.video(tmp_path / "a.mp4", sound=planting.sound()), tmp_path / "late.mkv", seconds)
    found = read_sound(MediaPath(path))
    assert np.abs(found[: int((late + 0.2) * RATE_HZ)]).max() < 0.05
    first = np.flatnonzero(np.abs(found) > 0.2)[0] / RATE_HZ
    assert first == pytest.approx(late + planting.starts[0], abs=0.02)
    expected = read_audio(path)
    shared = min(len(found), len(expected))
    assert np.abs(found[:shared] - expected[:shared]).max() < 5e-2
    [picture] = read_frames(MediaPath(path), [0.7])
    assert abs(np.asarray(picture.convert("L")).mean() - planting.level_of(7)) < 4


def test_two_channels_become_their_mean(tmp_path: Path, noise: np.ndarray) -> None:
    import wave

    both = np.stack([noise, np.zeros_like(noise)], axis=1)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes((both * 32767).round().astype("<i2").tobytes())
    np.testing.assert_allclose(read_sound(MediaPath(tmp_path / "a.wav")), noise / 2, atol=1e-4)


@pytest.mark.parametrize("begin", [None, 0.4, 3.0])
def test_frames_are_those_shown_at_their_times(tmp_path: Path, planting: Any, begin: float | None) -> None:
    path = planting.video(tmp_path / "a.mp4", seconds=4)
    seconds = [0.0, 0.1, 0.44, 0.9]
    found = read_frames(MediaPath(path, begin, None), seconds)
    for at, picture in zip(seconds, found, strict=True):
        number = round(((begin or 0.0) + at) * 10)
        assert abs(np.asarray(picture.convert("L")).mean() - planting.level_of(number)) < 4, at
    decoded = Image.open(io.BytesIO(jpeg(found[0])))
    assert decoded.format == "JPEG" and decoded.size == (64, 48)


def test_times_after_the_last_frame_show_the_last_one(tmp_path: Path, planting: Any) -> None:
    path = planting.video(tmp_path / "a.mp4", seconds=1)
    found = read_frames(MediaPath(path), [0.9, 5.0, 6.0])
    assert len(found) == 3
    assert abs(np.asarray(found[2].convert("L")).mean() - planting.level_of(9)) < 4


def test_pixels_that_are_not_square_are_stretched_and_large_pictures_made_small(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        video.codec_context.sample_aspect_ratio = 2
        for packet in [*video.encode(av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8))), *video.encode()]:
            file.mux(packet)
    [picture] = read_frames(MediaPath(path), [0.0])
    assert picture.width == 240 and picture.height == 90


def test_what_cannot_be_read_is_said_with_the_files_name(tmp_path: Path, planting: Any) -> None:
    with pytest.raises(MediaUnreadableError, match=r"gone\.mp4: no such file any more"):
        read_sound(MediaPath(tmp_path / "gone.mp4"))
    (tmp_path / "text.mp4").write_text("no medium")
    with pytest.raises(MediaUnreadableError, match=r"text\.mp4: cannot be read"):
        read_frames(MediaPath(tmp_path / "text.mp4"), [0.0])
    silent = planting.video(tmp_path / "silent.mp4")
    with pytest.raises(MediaUnreadableError, match="has no sound"):
        read_sound(MediaPath(silent))
    with pytest.raises(MediaUnreadableError, match="has no picture"):
        read_frames(MediaPath(planting.wav(tmp_path / "a.wav", planting.sound())), [0.0])


def test_opus_is_small_and_sounds_alike(decode: Any, tmp_path: Path, planting: Any) -> None:
    sound = planting.sound()
    (tmp_path / "a.ogg").write_bytes(content := opus(sound))
    assert content == opus(sound), "the same sound gives the same file"
    with av.open(str(tmp_path / "a.ogg")) as file:
        assert file.streams.audio[0].codec_context.name in ("opus", "libopus")
    back = decode(tmp_path / "a.ogg")
    assert abs(len(back) - len(sound)) < RATE_HZ // 10
    shared = min(len(back), len(sound)) // 400 * 400
    loud = [np.abs(one[:shared].reshape(-1, 400)).mean(axis=1) for one in (sound, back)]
    assert np.corrcoef(*loud)[0, 1] > 0.95
    assert len(opus(np.tile(sound, 10))) * 8 / (len(sound) * 10 / RATE_HZ) < 1.5 * 24_000


def test_the_envelope_holds_every_extreme(noise: np.ndarray) -> None:
    low, high = envelope(noise)
    assert len(low) == len(high) == 400
    np.testing.assert_array_equal(low, noise.reshape(400, 160).min(axis=1))
    np.testing.assert_array_equal(high, noise.reshape(400, 160).max(axis=1))
    assert [len(one) for one in envelope(np.zeros(0, np.float32))] == [0, 0]
    assert len(envelope(np.ones(7, np.float32))[0]) == 1


def test_the_spectrogram_shows_a_tone_at_its_pitch_and_time(planting: Any) -> None:
    shown = spectrogram_db(planting.sound())
    assert shown.shape == (257, 200)
    seconds = (np.arange(200) + 0.5) * planting.seconds / 200
    tone = shown[round(1000 / 31.25)]
    for start, end in zip(planting.starts, planting.ends, strict=True):
        assert tone[(seconds > start + 0.02) & (seconds < end - 0.02)].min() > -3
        assert tone[(seconds > start - 0.1) & (seconds < start - 0.02)].max() == -RANGE_DB
    assert shown[:, seconds < 0.2].max() == -RANGE_DB
    assert (spectrogram_db(np.zeros(1600, np.float32)) == -RANGE_DB).all()


def test_the_spectrograms_picture_has_low_pitches_at_the_bottom(planting: Any) -> None:
    picture = np.asarray(Image.open(io.BytesIO(spectrogram_png(planting.sound()))).convert("L")).astype(int)
    assert picture.shape == (128, 200)
    assert 127 - picture.sum(axis=1).argmax() == 1000 / 62.5


def test_paths_of_media_come_back_as_they_were_told(tmp_path: Path) -> None:
    odd = Path("/data/caf\udce9 \u202e.wav")
    first = {
        "a": {"audio": MediaPath(Path("/old.wav"))},
        "e\u0301": {"audio": MediaPath(odd, 1.5, None), "video": MediaPath(Path("/v.mp4"))},
    }
    with RunLog(tmp_path, {}) as log:
        note_media(log.path, "d", first)
    with RunLog(tmp_path, {}) as log:
        note_media(log.path, "other", {"a": {"audio": MediaPath(Path("/no.wav"))}})
    with RunLog(tmp_path, {}) as log:
        note_media(log.path, "d", {"a": {"audio": MediaPath(Path("/new.wav"), 0.5, 2.0)}})
        noted = log.path.with_suffix(".media")
        noted.write_text(noted.read_text() + '["strange"]\n{"clip": "cut', encoding="utf-8")
    with RunLog(tmp_path, {}) as log:
        note_media(log.path, "d", {})
    assert len(list(tmp_path.glob("runs/*.media"))) == 3
    assert media_paths(tmp_path, "d") == {
        "a": {"audio": MediaPath(Path("/new.wav"), 0.5, 2.0)},
        "\xe9": first["e\u0301"],
    }
