"""The offline speech model on synthetic and on real speech; downloads it on first use."""

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path
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


def read_audio(path: Path) -> Vectors:
    """The whole of a recording as (n,) float32, mono, 16 kHz."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        blocks = [block for frame in container.decode(audio=0) for block in resampler.resample(frame)]
    return np.concatenate([block.to_ndarray()[0] for block in blocks])


def speak(text: str) -> Vectors:
    """What espeak-ng says, as (n,) float32 at 16 kHz."""
    loader = pytest.importorskip("espeakng_loader", reason="synthetic speech needs sadgr[g2p]")
    library = ctypes.cdll.LoadLibrary(loader.get_library_path())
    blocks: list[npt.NDArray[np.int16]] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def keep(samples: Any, count: int, _: Any) -> int:
        if samples and count:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    synchronous, utf8 = 2, 1
    rate_hz = library.espeak_Initialize(synchronous, 0, str(loader.get_data_path()).encode(), 0)
    library.espeak_SetSynthCallback(keep)
    library.espeak_SetVoiceByName(b"en-us")
    content = text.encode() + b"\0"
    library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 1, 0, utf8, None, None)
    samples = np.concatenate(blocks) / 32768
    count = int(len(samples) * 16_000 / rate_hz)
    return np.interp(np.arange(count) * rate_hz / 16_000, np.arange(len(samples)), samples).astype(np.float32)


def synthetic_speech() -> list[Vectors]:
    return [speak(sentence) for sentence in SENTENCES]


def real_speech() -> list[Vectors]:
    """Two read utterances, and two pieces by one speaker, who is thus the hardest 'other' to tell apart."""
    read = [read_audio(shared_data(f"LibriSpeech/test-clean/{path}.flac")) for path in UTTERANCES]
    spontaneous = read_audio(shared_data("textgrid/acoustic_corpus.wav"))
    return [*read, spontaneous[: 6 * 16_000], spontaneous[6 * 16_000 : 12 * 16_000]]


def shared_data(path: str) -> Path:
    root = Path(os.environ.get("SADGR_SHARED_DATA") or Path(__file__).parents[2].parent / "shared/data")
    if not (root / path).is_file():
        pytest.skip(f"{path} is not in SADGR_SHARED_DATA or ../shared/data")
    return root / path


@pytest.fixture(scope="module")
def whisper() -> Any:
    return WhisperForConditionalGeneration.from_pretrained(offline_model("audio")).eval()


@pytest.fixture(scope="module")
def mel() -> Any:
    return AutoFeatureExtractor.from_pretrained(offline_model("audio"))


@pytest.mark.parametrize("utterances", [synthetic_speech, real_speech])
@torch.inference_mode()
def test_speech_is_nearest_to_its_quieter_and_noisier_copies(
    utterances: Callable[[], list[Vectors]], whisper: Any, mel: Any
) -> None:
    originals = utterances()
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
def test_the_converted_whisper_transcribes_real_speech(whisper: Any, mel: Any) -> None:
    recording = shared_data(f"LibriSpeech/test-clean/{UTTERANCES[0]}.flac")
    (line,) = recording.with_name("61-70968.trans.txt").read_text().splitlines()
    features = mel(read_audio(recording), sampling_rate=16_000, return_tensors="pt").input_features
    encoded = whisper.model.encoder(features)
    tokenizer = AutoTokenizer.from_pretrained(offline_model("audio"))
    prompt = tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])
    ids = list(prompt)
    while ids[-1] != whisper.config.eos_token_id and len(ids) < 60:
        logits = whisper(encoder_outputs=encoded, decoder_input_ids=torch.tensor([ids])).logits  # (1, L, V)
        ids.append(int(logits[0, -1].argmax()))
    said = tokenizer.decode(ids[len(prompt) : -1])
    assert re.findall(r"[A-Z']+", said.upper()) == line.split()[1:]
