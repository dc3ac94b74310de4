"""Real recordings, where they are at hand."""

import numpy as np

from sadgr.extract.media.audio import read_audio
from sadgr.extract.media.probe import probe
from sadgr.extract.media.video import read_frames


def test_a_real_clip(shared_data):
    path = shared_data / "clips/nasa_webb.mp4"
    frames, audio = read_frames(path), read_audio(path)
    assert frames.pixels.shape == (16, 270, 480, 3)
    np.testing.assert_allclose(frames.seconds, (np.arange(16) + 0.5) * 13.013 / 16, atol=0.034)
    assert len(audio) == 208896  # 205 blocks of 1024 samples are declared, less the priming one
    assert probe(path).duration_seconds == len(audio) / 16_000
    span = read_audio(path, 3.25, 7.5)
    np.testing.assert_allclose(span, audio[52000:120000], atol=1e-6)


def test_real_speech_is_bit_exact(shared_data):
    """LibriSpeech is 16 kHz mono 16-bit: decoding changes nothing but the scale."""
    for path in sorted((shared_data / "LibriSpeech").rglob("*.flac")):
        audio = read_audio(path)
        assert np.array_equal(audio * 32768, np.round(audio * 32768))
        np.testing.assert_array_equal(read_audio(path, 1.0, 2.5), audio[16000:40000])
        assert probe(path).duration_seconds == len(audio) / 16_000
