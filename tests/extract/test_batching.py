"""No result depends on how work was grouped, in whatever family of models."""

import numpy as np
import pytest
import torch

from sadgr.extract.audio import load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.parts import SHARE, Budget, in_groups
from sadgr.extract.text import TextEncoder
from sadgr.extract.video import VideoEncoder
from sadgr.extract.waveform import WaveformEncoder

CPU = torch.device("cpu")
WAVEFORM_FAMILIES = ["hubert", "hubert-stable", "wavlm", "wav2vec2"]
RELATIVE = 1e-5


def checkpoint(folder) -> Checkpoint:
    return Checkpoint(folder.name, folder)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Relative difference of two arrays of one shape."""
    assert one.shape == other.shape
    return float(np.linalg.norm(one.astype(np.float64) - other) / np.linalg.norm(other.astype(np.float64)))


def hold_stored(one: np.ndarray, other: np.ndarray) -> None:
    """What the cache stores may differ by one step of float16, in one value in a hundred."""
    steps = np.abs(one.astype(np.float16).view(np.int16).astype(int) - other.astype(np.float16).view(np.int16))
    assert steps.max() <= 1 and (steps > 0).mean() <= 0.01


def waves(*seconds: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1 + one, round(16_000 * one)).astype(np.float32) for one in seconds]


@pytest.mark.parametrize("family", WAVEFORM_FAMILIES)
def test_sound_together_equals_sound_alone(tiny, family):
    """What a GPU does: convolutions alone, the transformer padded and masked."""
    encoder = WaveformEncoder(checkpoint(tiny(family)), CPU)
    inputs = [encoder.prepare(wave) for wave in waves(0.03, 2.0, 0.41, 1.3, 3.7, 0.9)]
    alone = [one.frames for one in encoder.encode(inputs)]
    together = encoder.together(inputs)
    for one, other in zip(together, alone, strict=True):
        assert apart(one, other) <= RELATIVE
        hold_stored(one, other)
    again = encoder.together(inputs)
    assert all(np.array_equal(one, other) for one, other in zip(together, again, strict=True))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_text_together_equals_text_alone(tiny, family):
    encoder = TextEncoder(checkpoint(tiny(family)), CPU)
    lengths = (1, 30, 5, 2, 90, 11, 6, 1)  # 90 words need windows
    inputs = [encoder.prepare(["it", "was", "the", "best"][: length % 4 + 1] * (length // 4 + 1)) for length in lengths]
    together = encoder.encode(inputs)
    for one, prepared in zip(together, inputs, strict=True):
        (alone,) = encoder.encode([prepared])
        for name in ("words", "mean", "tokens"):
            assert apart(getattr(one, name), getattr(alone, name)) <= RELATIVE
            hold_stored(getattr(one, name), getattr(alone, name))
    again = encoder.encode(inputs)
    assert all(np.array_equal(one.tokens, other.tokens) for one, other in zip(together, again, strict=True))


@pytest.mark.parametrize("family", ["vit", "dinov2"])
def test_pictures_together_equal_pictures_alone(tiny, family):
    encoder = VideoEncoder(checkpoint(tiny(family)), CPU)
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (count, 60, 80, 3), dtype=np.uint8) for count in (1, 16, 5, 40)]
    inputs = [encoder.prepare(encoder.resize(clip)) for clip in clips]
    together = encoder.encode(inputs)
    for one, prepared in zip(together, inputs, strict=True):
        (alone,) = encoder.encode([prepared])
        assert apart(one, alone) <= RELATIVE
        hold_stored(one, alone)
    assert all(np.array_equal(one, other) for one, other in zip(together, encoder.encode(inputs), strict=True))


@pytest.mark.parametrize("family", ["hubert", "whisper"])
def test_lower_precision_is_near_and_leaves_as_float32(tiny, family):
    exact = load_audio_encoder(checkpoint(tiny(family)), CPU)
    rough = load_audio_encoder(checkpoint(tiny(family)), CPU, dtype=torch.bfloat16)
    (wave,) = waves(1.0)
    (one,), (other,) = (encoder.encode([encoder.prepare(wave)]) for encoder in (rough, exact))
    assert one.frames.dtype == np.float32 and 0 < apart(one.frames, other.frames) < 0.05


def test_groups_hold_every_item_once_and_little_padding():
    lengths = np.random.default_rng(0).integers(1, 200, 300).tolist()
    groups = []

    def compute(places):
        groups.append(places)
        return places

    assert in_groups(compute, lengths, Budget(CPU, 1000, 1000)) == list(range(300))
    assert sorted(place for group in groups for place in group) == list(range(300))
    for group in groups:
        inside = [lengths[place] for place in group]
        assert max(inside) <= 1.25 * min(inside) + 8 and max(inside) * len(inside) <= 1000
    assert in_groups(compute, [5000], Budget(CPU, 1000, 1000)) == [0]
    assert in_groups(compute, [], Budget(CPU, 10, 10)) == []


def test_a_group_that_does_not_fit_is_halved_until_it_does():
    sizes = []

    def compute(places):
        sizes.append(len(places))
        if len(places) > 3:
            raise torch.OutOfMemoryError
        return places

    budget = Budget(CPU, 8, 100)
    assert in_groups(compute, [1] * 10, budget) == list(range(10))
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    budget.learn(units=1, taken=1, free=10**9)
    assert budget.units == 2  # what ran out of memory once is not tried again

    def never(places):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        in_groups(never, [1, 1], Budget(CPU, 2, 2))


def test_a_budget_follows_from_what_a_group_took():
    budget = Budget(CPU, 16, 512)
    budget.learn(units=16, taken=160, free=1000)
    assert budget.units == int(SHARE * 100)
    budget.learn(units=80, taken=800, free=10**9)
    assert budget.units == 512
    budget.learn(units=512, taken=5120, free=5)
    assert budget.units == 1
