"""How far features of long clips differ from those of the same clips without windows. About a minute and a half.

Sound goes through HuBERT-base-sized models with random weights: one with HuBERT-base's group norm over time, one with layer
norms. Both with the group norm's statistics over the whole clip, as this package has them, and with those of each window,
as plain windows would. Text goes through a BERT-base-sized model with random weights, and through the offline preset's
trained MiniLM where it is on this machine. Windows are shorter here than in use, where whole clips would not fit.

Deviations are L2 norms over steps, in per cent: of the features, and of what of them varies over time. "near" are steps
within a second (ten wordpieces) of a joint of two windows.
"""

import argparse
import json
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.media.audio import SAMPLE_RATE_HZ, read_audio
from sadgr.extract.offline import offline_folder
from sadgr.extract.text import TextEncoder
from sadgr.extract.waveform import WaveformEncoder, Windowing
from sadgr.extract.windows import Window, spread

CPU = torch.device("cpu")
PROSE = Path(__file__).parents[1] / "LICENSE"
WORDPIECES, TEXT_WINDOW = 500, 128
NORMS = {"group": {}, "layer": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}}
Floats = NDArray[np.float32]


def main() -> None:
    """Print a line a comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="length of the clips")
    parser.add_argument("--window", type=float, default=10, help="seconds of a window")
    parser.add_argument("--overlap", type=float, default=2.5, help="seconds of an overlap")
    parser.add_argument("--audio", type=Path, nargs="*", default=[], help="recordings, joined to one more clip")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    windowing = Windowing(options.window, options.overlap)
    sounds = {"speech-like": speech_like(options.seconds), "noise getting louder": noise(options.seconds)}
    if options.audio:
        sounds["recordings"] = np.concatenate([read_audio(path) for path in options.audio])
    print(
        f"{options.window:g} s windows overlapping by {options.overlap:g} s, clips of {options.seconds:g} s or as they are"
    )
    print(f"{'':58}{'of the features, %':>24}{'of what varies, %':>24}{'mean':>8}")
    print(f"{'':58}" + f"{'all':>8}{'far':>8}{'near':>8}" * 2 + f"{'%':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for norm in NORMS:
            checkpoint = hubert(Path(folder) / norm, norm)
            for name, sound in sounds.items():
                compare_sound(f"HuBERT {norm} norm, random weights; {name}", checkpoint, windowing, sound)
        compare_text("BERT, random weights; random words", bert(Path(folder) / "bert"), random_words())
        if trained := offline_folder("text"):
            copy = Path(shutil.copytree(trained, Path(folder) / "trained"))
            compare_text("MiniLM, TRAINED weights; a licence", copy, PROSE.read_text(encoding="utf-8").split())


def compare_sound(name: str, checkpoint: Checkpoint, windowing: Windowing, sound: Floats) -> None:
    """Compare a clip in windows with itself in one."""
    whole, windowed = (WaveformEncoder(checkpoint, CPU, windowing=one) for one in (Windowing(1e6), windowing))
    expected = whole.encode([whole.prepare(sound)])[0].frames
    rate = SAMPLE_RATE_HZ // 320
    windows = spread(len(expected), int(windowing.window_seconds * rate), int(windowing.overlap_seconds * rate))
    report(name, windowed.encode([windowed.prepare(sound)])[0].frames, expected, windows, rate)
    if windowed._first_norm:  # so much is worth a look behind the curtain
        windowed._first_norm = None
        report(
            "  the same, statistics of each window",
            windowed.encode([windowed.prepare(sound)])[0].frames,
            expected,
            windows,
            rate,
        )


def compare_text(name: str, folder: Path, words: list[str]) -> None:
    """Compare a transcript that the model just takes with itself in windows."""
    found = []
    for longest in (512, TEXT_WINDOW):
        settings = folder / "tokenizer_config.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": longest}))
        encoder = TextEncoder(Checkpoint("text", folder), CPU)
        if not found:
            words = fitting(encoder, words)
        prepared = encoder.prepare(words)
        found.append(encoder.encode([prepared])[0].tokens)
    windows = [Window(one.start + 1, one.stop + 1, one.first + 1, one.last + 1) for one in prepared.windows]
    report(f"{name}, windows of {TEXT_WINDOW} in {len(found[0])}", found[1], found[0], windows, 10)


def fitting(encoder: TextEncoder, words: list[str]) -> list[str]:
    """Return as many words as have that many wordpieces at most."""
    word_of_token = encoder.prepare(words).word_of_token
    return words[: int(word_of_token[WORDPIECES - 2])]


def report(name: str, found: Floats, expected: Floats, windows: list[Window], reach: int) -> None:
    """Print how far features (L, D) are from what they were to be."""
    near = np.zeros(len(expected), bool)
    for before, _ in pairwise(windows):
        near[max(before.last - reach, 0) : before.last + reach] = True
    mean = expected.mean(axis=0)
    steps = (np.ones_like(near), ~near, near)
    shares = [share(found[at] - expected[at], expected[at] - base) for base in (0 * mean, mean) for at in steps]
    shares.append(share(found.mean(axis=0) - mean, mean))
    print(f"{name:58}" + "".join(f"{100 * value:8.2f}" for value in shares), flush=True)


def share(difference: Floats, whole: Floats) -> float:
    """Return the ratio of norms."""
    return float(np.linalg.norm(difference) / np.linalg.norm(whole))


def speech_like(seconds: float) -> Floats:
    """Pulses through three resonances, which change with each syllable, pauses and loudness of phrases between them."""
    rng = np.random.default_rng(0)
    parts: list[NDArray[np.float64]] = []
    while sum(map(len, parts)) < seconds * SAMPLE_RATE_HZ:
        loudness = rng.uniform(0.02, 0.3)
        parts.extend(loudness * syllable(rng) for _ in range(rng.integers(4, 16)))
        parts.append(0.001 * rng.standard_normal(rng.integers(3000, 16000)))
    return np.concatenate(parts)[: round(seconds * SAMPLE_RATE_HZ)].astype(np.float32)


def syllable(rng: np.random.Generator) -> NDArray[np.float64]:
    """A vowel after a little noise."""
    samples = int(rng.integers(1600, 5000))
    pulses = np.zeros(samples)
    pulses[:: int(SAMPLE_RATE_HZ / rng.uniform(90, 220))] = 1
    time = np.arange(400) / SAMPLE_RATE_HZ
    voice = pulses
    for low, high in ((250, 850), (850, 2300), (2300, 3200)):
        frequency = rng.uniform(low, high)
        voice = np.convolve(voice, np.exp(-300 * time) * np.sin(2 * np.pi * frequency * time))[:samples]
    voice *= np.hanning(samples) / np.abs(voice).max()
    return np.concatenate([0.1 * rng.standard_normal(int(rng.integers(200, 1200))), voice])


def noise(seconds: float) -> Floats:
    """Noise that goes from dull and soft to bright and loud: hostile to statistics of a part."""
    rng, samples = np.random.default_rng(0), round(seconds * SAMPLE_RATE_HZ)
    white = rng.standard_normal(samples + 7)
    share_of_white = np.linspace(0, 1, samples)
    dull = np.convolve(white, np.ones(8) / 8, mode="valid")
    mixed = share_of_white * white[:samples] + (1 - share_of_white) * dull
    return (0.01 * (1 + 20 * share_of_white) * mixed).astype(np.float32)


def hubert(folder: Path, norm: str) -> Checkpoint:
    """Write a HuBERT of base size with random weights."""
    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig(**NORMS[norm])).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return Checkpoint(norm, folder)


def bert(folder: Path) -> Path:
    """Write a BERT of base size with random weights, to which every word is one wordpiece."""
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig()).save_pretrained(folder)
    vocabulary = {name: number for number, name in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])}
    vocabulary |= {f"w{number}": number for number in range(len(vocabulary), 30000)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


def random_words() -> list[str]:
    """Some words often and most rarely."""
    rng = np.random.default_rng(0)
    return [f"w{min(4 + number, 29999)}" for number in rng.zipf(1.3, 2 * WORDPIECES).tolist()]


if __name__ == "__main__":
    main()
