"""Recordings in windows: exact where it can be, whole-clip statistics, flat memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers

from sadgr.extract.audio import audio_settings, load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.group_norm import FirstNorm
from sadgr.extract.layers import Layer
from sadgr.extract.waveform import WaveformEncoder, Windowing
from sadgr.extract.windows import spread

CPU = torch.device("cpu")
FAMILIES = ["hubert", "hubert-stable", "wavlm", "wav2vec2"]
SHORT = Windowing(window_seconds=2, overlap_seconds=0.5)  # 100 frames, of which 25 overlap


def changing(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose loudness, timbre and offset change, so that statistics of a part are not those of the whole."""
    rng, samples = np.random.default_rng(seed), round(seconds * 16000)
    noise = rng.standard_normal(samples + 7)
    smooth = np.convolve(noise, np.ones(8) / 8, mode="valid")
    share = np.linspace(0, 1, samples)
    return (0.01 * (1 + 20 * share) * (share * noise[:samples] + (1 - share) * smooth) + 0.05).astype(np.float32)


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request, tiny):
    return Checkpoint(request.param, tiny(request.param))


def frames_of(encoder, raw):
    return encoder.encode([encoder.prepare(raw)])[0].frames


def test_what_goes_into_the_transformer_does_not_know_the_windows(checkpoint):
    """Convolutions, their norm over the whole clip and positions: layer 0 is the same to rounding, edges included."""
    raw = changing(9.37)
    windowed = frames_of(WaveformEncoder(checkpoint, CPU, Layer(0), SHORT), raw)
    np.testing.assert_allclose(
        windowed, frames_of(WaveformEncoder(checkpoint, CPU, Layer(0)), raw), rtol=1e-4, atol=2e-5
    )


def test_statistics_of_the_window_would_change_a_group_norm_model(tiny, monkeypatch):
    """The trap that the test above would fall into."""
    checkpoint, raw = Checkpoint("hubert", tiny("hubert")), changing(9.37)
    whole = frames_of(WaveformEncoder(checkpoint, CPU, Layer(0)), raw)
    monkeypatch.setattr(FirstNorm, "find", classmethod(lambda cls, model: None))
    windowed = frames_of(WaveformEncoder(checkpoint, CPU, Layer(0), SHORT), raw)
    assert np.linalg.norm(windowed - whole) / np.linalg.norm(whole) > 0.1


def test_a_recording_that_fits_into_a_window_is_untouched(checkpoint):
    windowed, whole = WaveformEncoder(checkpoint, CPU, windowing=SHORT), WaveformEncoder(checkpoint, CPU)
    fits = 99 * 320 + 400 + 319  # the most samples that give 100 frames
    for samples in (400, 16000, fits):
        raw = changing(samples / 16000)
        assert np.array_equal(frames_of(windowed, raw), frames_of(whole, raw))
    longer = changing((fits + 1) / 16000)
    assert not np.array_equal(frames_of(windowed, longer), frames_of(whole, longer))


@pytest.mark.parametrize("samples", [33039 + 1, 40000, 63839, 63840, 100001])
def test_frames_are_as_many_as_the_grid_says_and_come_in_order(checkpoint, samples):
    encoder = WaveformEncoder(checkpoint, CPU, windowing=SHORT)
    one = encoder.prepare(changing(samples / 16000))
    blocks = list(encoder.blocks(one))
    assert len(blocks) == len(spread(encoder.grid(samples).count, 100, 25)) > 1
    assert sum(map(len, blocks)) == encoder.grid(samples).count == (samples - 400) // 320 + 1
    assert np.array_equal(np.concatenate(blocks), encoder.encode([one])[0].frames)


@pytest.mark.parametrize("family", ["hubert-stable", "wav2vec2"])
def test_each_frame_is_that_of_its_window_alone(tiny, family):
    """Models that norm each frame by itself: a window is a clip, but for the normalisation over the whole."""
    checkpoint, raw = Checkpoint(family, tiny(family)), changing(6)
    model = transformers.AutoModel.from_pretrained(checkpoint.folder).eval()
    normal = (raw - raw.mean()) / np.sqrt(raw.var() + 1e-7)
    found = frames_of(WaveformEncoder(checkpoint, CPU, windowing=SHORT), raw)
    windows = spread(len(found), 100, 25)
    assert len(windows) == 4
    for one in windows:
        with torch.inference_mode():
            cut = torch.from_numpy(normal[one.start * 320 : (one.stop - 1) * 320 + 400])[None]
            alone = model(cut).last_hidden_state[0].numpy()
        np.testing.assert_allclose(found[one.first : one.last], alone[one.kept], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["hubert", "wavlm"])
def test_statistics_are_those_of_the_convolved_waveform(tiny, family, monkeypatch):
    model = transformers.AutoModel.from_pretrained(tiny(family)).eval()
    norm, raw = FirstNorm.find(model), changing(3)
    shift, scale = 0.05, 0.1
    with torch.inference_mode():
        first = model.feature_extractor.conv_layers[0]
        convolved = first.conv.double()(torch.from_numpy((raw.astype(np.float64) - shift) / scale)[None])  # (C, L)
    for block in (1 << 17, 1000, 7):
        monkeypatch.setattr("sadgr.extract.group_norm._BLOCK_FRAMES", block)
        found = norm.statistics(raw, shift, scale)
        np.testing.assert_allclose(found.mean, convolved.numpy().mean(axis=1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.variance, convolved.numpy().var(axis=1), rtol=1e-9)


def test_a_model_is_left_as_it_was(tiny):
    checkpoint, long, short = Checkpoint("hubert", tiny("hubert")), changing(6), changing(1)
    encoder = WaveformEncoder(checkpoint, CPU, windowing=SHORT)
    before = frames_of(encoder, short)
    blocks = encoder.blocks(encoder.prepare(long))
    next(blocks)  # and the rest is never asked for
    assert np.array_equal(frames_of(encoder, short), before)


def test_models_that_norm_each_frame_have_no_such_norm(tiny):
    for family in ("hubert-stable", "wav2vec2"):
        assert FirstNorm.find(transformers.AutoModel.from_pretrained(tiny(family))) is None


def test_normalisation_by_blocks_is_that_of_the_whole(tiny):
    checkpoint, raw = Checkpoint("hubert-stable", tiny("hubert-stable")), changing(30)
    one = WaveformEncoder(checkpoint, CPU, windowing=SHORT).prepare(raw)
    exact = raw.astype(np.float64)
    assert one.shift == pytest.approx(exact.mean(), rel=1e-12)
    assert one.scale == pytest.approx(np.sqrt(exact.var() + 1e-7), rel=1e-12)
    assert one.waveform is raw, "a recording is not copied before its turn"


def test_windows_stand_in_the_settings(checkpoint):
    window = 90 if checkpoint.short_name == "wavlm" else 180
    expected = {"version": 1, "window_seconds": window, "overlap_seconds": 10, "normalised_over": "clip"}
    assert audio_settings(checkpoint)["windowing"] == expected
    encoder = load_audio_encoder(checkpoint, CPU)
    assert (encoder._window_frames, encoder._overlap_frames) == (window * 50, 500)


_MEMORY = """
import resource, sys
import numpy as np, torch
from pathlib import Path
from sadgr.align import pool_blocks
from sadgr.extract.audio import load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint
encoder = load_audio_encoder(Checkpoint("tiny", Path(sys.argv[1])), torch.device("cpu"))
rng = np.random.default_rng(0)
raw = np.empty(int(sys.argv[2]) * 60 * 16000, np.float32)
for at in range(0, len(raw), 1 << 20):
    raw[at : at + (1 << 20)] = 0.1 * rng.standard_normal(len(raw[at : at + (1 << 20)]), np.float32)
one = encoder.prepare(raw)
starts = np.arange(0, int(sys.argv[2]) * 60, 0.4)
pooled = pool_blocks(encoder.blocks(one), encoder.grid(len(raw)), starts, starts + 0.3)
assert pooled.words.shape == (len(starts), 16) and np.isfinite(pooled.words).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - raw.nbytes)
"""


@pytest.mark.slow
@pytest.mark.parametrize("family", ["hubert", "hubert-stable", "whisper"])
def test_an_hour_needs_the_memory_of_ten_minutes_beside_its_waveform(tiny, family):
    def peak_bytes(minutes: int) -> int:
        command = [sys.executable, "-c", _MEMORY, str(tiny(family)), str(minutes)]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    ten, sixty = peak_bytes(10), peak_bytes(60)
    print(f"{family}: {ten / 1e6:.0f} MB for ten minutes, {sixty / 1e6:.0f} MB for an hour, waveforms not counted")
    assert sixty < 1.1 * ten
