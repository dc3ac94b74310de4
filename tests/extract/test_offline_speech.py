"""The offline speech model on synthetic and on real speech; downloads it on first use."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

from sadgr.extract.offline import offline_model

Vectors = npt.NDArray[np.float32]

HOP_SAMPLES = 320  # of Whisper's encoder at 16 kHz
UTTERANCES = ("61/70968/61-70968-0000", "2412/153948/2412-153948-0000")
SENTENCES = (
    "I loved every minute of this film.",
    "The train was an hour late this morning.",
    "The soup needs more salt.",
)


def cosines(vectors: npt.ArrayLike) -> Vectors:
    """(n, C) -> (n, n), the diagonal at -2, so that nothing is its own neighbour."""
    unit = np.asarray(vectors, dtype=np.float32)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    likeness: Vectors = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    return likeness


@pytest.fixture
def synthetic_speech(speak) -> list[Vectors]:
    return [speak(sentence).waveform for sentence in SENTENCES]


@pytest.fixture
def real_speech(shared_data, decode) -> list[Vectors]:
    """Two read utterances, and two pieces by one speaker, who is thus the hardest 'other' to tell apart."""
    read = [decode(shared_data / f"LibriSpeech/test-clean/{path}.flac") for path in UTTERANCES]
    spontaneous = decode(shared_data / "textgrid/acoustic_corpus.wav")
    return [*read, spontaneous[: 6 * 16_000], spontaneous[6 * 16_000 : 12 * 16_000]]


@pytest.fixture(scope="module")
def whisper() -> Any:
    return WhisperForConditionalGeneration.from_pretrained(offline_model("audio")).eval()


@pytest.fixture(scope="module")
def mel() -> Any:
    return AutoFeatureExtractor.from_pretrained(offline_model("audio"))


@pytest.mark.parametrize("utterances", ["synthetic_speech", "real_speech"])
@torch.inference_mode()
def test_speech_is_nearest_to_its_quieter_and_noisier_copies(
    utterances: str, request: pytest.FixtureRequest, whisper: Any, mel: Any
) -> None:
    originals = request.getfixturevalue(utterances)
    noise = np.random.default_rng(0)
    at_20_db = [a + noise.normal(0, 0.1 * np.sqrt(np.mean(a**2)), a.shape).astype(np.float32) for a in originals]
    copies = [*originals, *[0.1 * a for a in originals], *at_20_db]
    means = []
    for samples in copies:
        features = mel(samples, sampling_rate=16_000, return_tensors="pt").input_features  # (1, 80, 3000)
        frames = whisper.model.encoder(features).last_hidden_state[0]  # (1500, 384)
        means.append(frames[: len(samples) // HOP_SAMPLES].mean(0).numpy())
    count = len(originals)
    likeness = cosines(np.stack(means))
    for index in range(len(copies)):
        same = likeness[index, index % count :: count]
        other = np.delete(likeness[index], range(index % count, len(copies), count))
        assert same[same > -2].min() > other.max() + 0.02, index


@torch.inference_mode()
def test_the_converted_whisper_transcribes_real_speech(shared_data, decode, whisper: Any, mel: Any) -> None:
    recording = shared_data / f"LibriSpeech/test-clean/{UTTERANCES[0]}.flac"
    (line,) = recording.with_name("61-70968.trans.txt").read_text().splitlines()
    features = mel(decode(recording), sampling_rate=16_000, return_tensors="pt").input_features
    encoded = whisper.model.encoder(features)
    tokenizer = AutoTokenizer.from_pretrained(offline_model("audio"))
    prompt = tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])
    ids = list(prompt)
    while ids[-1] != whisper.config.eos_token_id and len(ids) < 60:
        logits = whisper(encoder_outputs=encoded, decoder_input_ids=torch.tensor([ids])).logits  # (1, L, V)
        ids.append(int(logits[0, -1].argmax()))
    said = tokenizer.decode(ids[len(prompt) : -1])
    assert re.findall(r"[A-Z']+", said.upper()) == line.split()[1:]
