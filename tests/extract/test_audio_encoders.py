import numpy as np
import pytest
import torch
import transformers

from sadgr.extract.audio import load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.errors import ClipError, ModelUnavailableError
from sadgr.extract.waveform import WaveformEncoder
from sadgr.extract.whisper import WhisperEncoder, window_starts

CPU = torch.device("cpu")
FAMILIES = ["hubert", "hubert-stable", "wavlm", "wav2vec2", "whisper"]


def wave(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def load(tiny):
    built = {}

    def build(family):
        if family not in built:
            built[family] = load_audio_encoder(Checkpoint(family, tiny(family)), CPU)
        return built[family]

    return build


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_and_its_grid_tells_how_many_frames_there_are(load, family):
    encoder = load(family)
    for samples in (400, 719, 720, 16000, 16321):
        (found,) = encoder.encode([encoder.prepare(wave(samples))])
        assert found.frames.shape == (found.grid.count, encoder.width)
        assert found.grid == encoder.grid(samples)


def test_grids_are_those_of_the_method(load):
    hubert, whisper = load("hubert").grid(16000), load("whisper").grid(16001)
    assert (hubert.hop_samples, hubert.first_centre_samples, hubert.count) == (320, 200, (16000 - 400) // 320 + 1)
    assert (whisper.hop_samples, whisper.first_centre_samples, whisper.count) == (320, 0, 51)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clip_alone_equals_itself_among_clips_of_other_lengths(load, family):
    encoder = load(family)
    prepared = [encoder.prepare(wave(samples, samples)) for samples in (3200, 16000, 800, 9999)]
    for one, batched in zip(prepared, encoder.encode(prepared), strict=True):
        (alone,) = encoder.encode([one])
        np.testing.assert_allclose(batched.frames, alone.frames, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["hubert", "hubert-stable", "wavlm", "wav2vec2"])
def test_features_are_the_last_hidden_state_of_what_the_own_extractor_prepares(load, tiny, family):
    folder, raw = tiny(family), wave(8000) + 0.25
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    inputs = extractor(raw, sampling_rate=16000, return_tensors="pt").input_values
    with torch.inference_mode():
        expected = model(inputs).last_hidden_state[0].numpy()
    encoder = load(family)
    (found,) = encoder.encode([encoder.prepare(raw)])
    np.testing.assert_allclose(found.frames, expected, rtol=1e-4, atol=1e-5)


def test_a_group_norm_over_time_is_why_clips_are_not_padded(tiny):
    """The trap itself: zero padding changes HuBERT-base's features, whatever the attention mask says."""
    model = transformers.AutoModel.from_pretrained(tiny("hubert")).eval()
    raw = torch.from_numpy(wave(8000))[None]
    padded = torch.nn.functional.pad(raw, (0, 8000))
    mask = torch.zeros(1, 16000, dtype=torch.long)
    mask[:, :8000] = 1
    with torch.inference_mode():
        alone = model(raw).last_hidden_state
        in_batch = model(padded, attention_mask=mask).last_hidden_state[:, : alone.shape[1]]
    assert ((alone - in_batch).norm() / alone.norm()) > 0.01


def test_whisper_crops_to_the_real_frames(load, tiny):
    raw = wave(32000)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tiny("whisper"))
    encoder = transformers.AutoModel.from_pretrained(tiny("whisper")).eval().get_encoder()
    with torch.inference_mode():
        mels = extractor(raw, sampling_rate=16000, return_tensors="pt").input_features
        whole = encoder(mels).last_hidden_state[0].numpy()
    (found,) = load("whisper").encode([load("whisper").prepare(raw)])
    assert whole.shape[0] == 1500
    np.testing.assert_allclose(found.frames, whole[:100], rtol=1e-5, atol=1e-6)


def test_whisper_takes_long_audio_in_overlapping_windows(load):
    seconds = 61
    raw = wave(seconds * 16000)
    encoder = load("whisper")
    (found,) = encoder.encode([encoder.prepare(raw)])
    assert found.frames.shape[0] == found.grid.count == seconds * 50
    starts = [start // 16000 for start in window_starts(len(raw))]
    assert starts == [0, 26, 52]
    # Frame by frame: second 27 still comes from the first window, second 29 from the second one.
    for second, window in ((27, 0), (29, 1), (53, 1), (55, 2)):
        begin = starts[window]
        (part,) = encoder.encode([encoder.prepare(raw[begin * 16000 : (begin + 30) * 16000])])
        np.testing.assert_allclose(
            found.frames[second * 50], part.frames[(second - begin) * 50], rtol=1e-4, atol=1e-5, err_msg=str(second)
        )


@pytest.mark.parametrize("seconds", [29.99, 30, 30.01, 33.9, 34, 34.01, 56, 60])
def test_windows_cover_every_frame_once(load, seconds):
    encoder = load("whisper")
    raw = np.zeros(round(seconds * 16000), np.float32)
    (found,) = encoder.encode([encoder.prepare(raw)])
    assert found.frames.shape[0] == encoder.grid(len(raw)).count


def test_audio_shorter_than_a_frame_fails_in_words(load):
    with pytest.raises(ClipError, match=r"399 samples \(24.9 ms\)"):
        load("hubert").prepare(wave(399))
    with pytest.raises(ClipError, match="no samples"):
        load("whisper").prepare(wave(0))


def test_a_model_of_another_kind_is_refused(tiny):
    with pytest.raises(ModelUnavailableError, match="expected a HuBERT, WavLM, wav2vec2 or Whisper"):
        load_audio_encoder(Checkpoint("bert", tiny("bert")), CPU)


def test_families_have_their_class(load):
    assert isinstance(load("whisper"), WhisperEncoder)
    assert isinstance(load("wavlm"), WaveformEncoder)
