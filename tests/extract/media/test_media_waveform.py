"""Channels to one, blocks to a track, rate to rate: against closed forms."""

import numpy as np
import pytest

from sadgr.extract.media.waveform import gapless, grid_step, mono_samples, resampled


def joined(pieces):
    return np.concatenate([np.zeros(0, np.float32), *pieces])


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("u8", np.array([[192, 64]], np.uint8)),
        ("s16", np.array([[16384, -16384]], np.int16)),
        ("s32p", np.array([[2**30], [-(2**30)]], np.int32)),
        ("fltp", np.array([[0.5], [-0.5]], np.float32)),
        ("dbl", np.array([[0.5, -0.5]], np.float64)),
    ],
)
def test_every_sample_format_has_the_same_full_scale(name, samples):
    as_mono = mono_samples(samples, name, channels=1)[:1] if not name.endswith("p") else samples[:1]
    assert mono_samples(samples, name, channels=2).tolist() == [0.0]
    if not name.endswith("p"):
        assert as_mono.tolist() == [0.5]


def test_mono_is_the_plain_mean_of_interleaved_channels():
    assert mono_samples(np.array([[3, 9, 30, 90]], np.int16) * 256, "s16", 2) * 128 == pytest.approx([6, 60])


def test_late_start_becomes_silence_and_early_samples_are_dropped():
    late = gapless([(3, np.ones(2, np.float32))], 0, 1000, 0.5)
    assert joined(late).tolist() == [0, 0, 0, 1, 1]
    early = gapless([(-3, np.arange(2, dtype=np.float32)), (-1, np.arange(2, 6, dtype=np.float32))], 0, 1000, 0.5)
    assert joined(early).tolist() == [3, 4, 5]


def test_jitter_neither_tears_nor_repeats_the_track():
    track = np.arange(1000, dtype=np.float32)
    jitter = np.random.default_rng(0).integers(-9, 10, 10)
    jitter[0] = 0
    blocks = [
        (first + int(off), track[first : first + 100]) for first, off in zip(range(0, 1000, 100), jitter, strict=True)
    ]
    np.testing.assert_array_equal(joined(gapless(blocks, 0, 1000, 0.5)), track)


def test_true_gaps_are_filled_and_overlaps_cut():
    ones = np.ones(100, np.float32)
    gap = joined(gapless([(0, ones), (200, ones)], 0, 1000, 0.5))
    assert gap.tolist() == [1.0] * 100 + [0.0] * 100 + [1.0] * 100
    overlap = joined(gapless([(0, ones), (50, ones * 2)], 0, 1000, 0.5))
    assert overlap.tolist() == [1.0] * 100 + [2.0] * 50


def test_a_hole_of_more_than_half_a_second_is_damage():
    ones = np.ones(100, np.float32)
    with pytest.raises(ValueError, match=r"0\.90 s of sound are missing at 0\.10 s"):
        joined(gapless([(0, ones), (1000, ones)], 0, 1000, 0.5))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_resampling_keeps_tone_length_and_phase(rate):
    seconds, tone_hz = 1.5, 440
    track = np.sin(2 * np.pi * tone_hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)
    out = joined(resampled(np.array_split(track, 7), rate, 16_000))
    assert abs(len(out) - seconds * 16_000) <= 1
    ideal = np.sin(2 * np.pi * tone_hz * np.arange(len(out)) / 16_000)
    inside = slice(200, -200)
    noise = np.mean((out[inside] - ideal[inside]) ** 2)
    assert 10 * np.log10(np.mean(ideal[inside] ** 2) / noise) > 60


@pytest.mark.parametrize(("rate", "step"), [(8000, 1), (16000, 1), (44100, 441), (48000, 3), (22050, 441)])
def test_grid_step(rate, step):
    assert grid_step(rate, 16_000) == step
