import numpy as np
import pytest
import torch
import transformers

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.errors import ClipError
from sadgr.extract.video import FRAMES_AT_ONCE, VideoEncoder


def frames(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["vit", "dinov2"])
def folder(request, tiny):
    return tiny(request.param)


@pytest.fixture(scope="module")
def encoder(folder):
    return VideoEncoder(Checkpoint(folder.name, folder), torch.device("cpu"))


def test_features_are_the_cls_token_of_what_the_own_processor_prepares(encoder, folder):
    raw = frames(3, 48, 64)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(**processor(list(raw), return_tensors="pt")).last_hidden_state[:, 0].numpy()
    (found,) = encoder.encode([encoder.prepare(encoder.resize(raw))])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_clip_alone_equals_itself_in_a_ragged_batch(encoder):
    clips = [frames(count, 20 + count, 30) for count in (1, 16, 7, FRAMES_AT_ONCE + 3)]
    prepared = [encoder.prepare(encoder.resize(clip)) for clip in clips]
    for one, batched in zip(prepared, encoder.encode(prepared), strict=True):
        (alone,) = encoder.encode([one])
        assert alone.shape == (len(one), encoder.width)
        np.testing.assert_allclose(batched, alone, rtol=1e-5, atol=1e-6)


def test_no_frames_fail_in_words(encoder):
    with pytest.raises(ClipError, match="no video frames"):
        encoder.prepare(frames(0, 4, 4))
