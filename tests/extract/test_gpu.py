"""The same features on a GPU, where there is one."""

import numpy as np
import pytest
import torch

from sadgr.extract.audio import load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.text import TextEncoder
from sadgr.extract.video import VideoEncoder

pytestmark = pytest.mark.gpu
LOADERS = {"bert": TextEncoder, "hubert": load_audio_encoder, "whisper": load_audio_encoder, "vit": VideoEncoder}


@pytest.mark.parametrize("family", LOADERS)
def test_gpu_features_are_the_cpus(tiny, family):
    rng = np.random.default_rng(0)
    raw = {
        "bert": ("it", "was", "the", "best"),
        "vit": rng.integers(0, 255, (3, 32, 32, 3), dtype=np.uint8),
    }.get(family, rng.normal(0, 0.1, 16000).astype(np.float32))
    found = []
    for device in ("cpu", "cuda"):
        encoder = LOADERS[family](Checkpoint(family, tiny(family)), torch.device(device))
        (features,) = encoder.encode([encoder.prepare(raw)])
        found.append(getattr(features, "words", getattr(features, "frames", features)))
    error = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0])
    assert error < 1e-5


@pytest.mark.parametrize("family", ["hubert", "hubert-stable", "wavlm", "wav2vec2"])
def test_ragged_sound_shares_the_transformer_on_a_gpu(tiny, family):
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, round(16000 * seconds)).astype(np.float32) for seconds in (0.03, 2.0, 1.3, 1.5, 3.7)]
    found = []
    for device in ("cpu", "cuda"):
        encoder = load_audio_encoder(Checkpoint(family, tiny(family)), torch.device(device))
        found.append([one.frames for one in encoder.encode([encoder.prepare(wave) for wave in waves])])
    for one, other in zip(*found, strict=True):
        assert np.linalg.norm(one - other) / np.linalg.norm(one) < 1e-5
