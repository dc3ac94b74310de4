"""Synthetic clips, and models with random weights, for benchmarks of extraction: a feature's values say nothing here."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from sadgr.align import WordTime, evenly_spaced, one_by_one
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.presets import Preset

WORDS = [f"word{number}" for number in range(200)]
SECONDS, N_WORDS = 6, 20


def base_models(folder: Path) -> Preset:
    """Write BERT-base, HuBERT-base and ViT-B/16 with random weights."""
    return _models(folder, {}, {}, {})


def tiny_models(folder: Path) -> Preset:
    """Write models that take next to no time."""
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    audio = {**small, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    return _models(folder, small, audio, {**small, "image_size": 32, "patch_size": 16})


def _models(folder: Path, text: dict[str, Any], audio: dict[str, Any], video: dict[str, Any]) -> Preset:
    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    bert, hubert, vit = (folder / name for name in ("bert", "hubert", "vit"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names).save_pretrained(
        bert
    )
    transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary), **text)).save_pretrained(bert)
    transformers.HubertModel(transformers.HubertConfig(**audio)).save_pretrained(hubert)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(hubert)
    config = transformers.ViTConfig(**video)
    transformers.ViTModel(config).save_pretrained(vit)
    size = {"height": config.image_size, "width": config.image_size}
    transformers.models.vit.image_processing_pil_vit.ViTImageProcessorPil(size=size).save_pretrained(vit)
    return Preset(*(ModelName(str(one)) for one in (bert, hubert, vit)))


def make_source(folder: Path, clips: int, seconds: float = SECONDS, size: tuple[int, int] = (640, 360)) -> Path:
    """Write clips in MMSA's layout: moving noise, and noise that comes and goes."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(clips):
        path = folder / "Raw" / "v" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, rng, seconds, size)
        rows.append(("v", str(number), " ".join(rng.choice(WORDS, N_WORDS)), 0.0, "train"))
    table = pd.DataFrame(rows, columns=["video_id", "clip_id", "text", "label", "mode"])
    table.to_csv(folder / "label.csv", index=False)
    return folder


def write_clip(path: Path, rng: np.random.Generator, seconds: float, size: tuple[int, int]) -> None:
    """Write one mp4, H.264 at 25 pictures a second and AAC at 16 kHz; 360p comes to some 0.5 Mbit/s, as films do."""
    width, height = size
    still = picture(rng, height + 100, width + 100)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "fast", "crf": "28"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = file.add_stream("aac", rate=16_000, layout="mono")
        for number in range(round(25 * seconds)):
            moved = np.ascontiguousarray(still[number % 100 :, number % 100 :][:height, :width])
            file.mux(video.encode(av.VideoFrame.from_ndarray(moved)))
        wave = rng.normal(0, 0.1, (1, round(16_000 * seconds))).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        frame.sample_rate = 16_000
        file.mux(audio.encode(frame))
        for stream in file.streams:
            file.mux(stream.encode())


def picture(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return noise (H, W, 3) whose amplitude falls with its frequency, as that of photographs does."""
    across, down = np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height))
    falling = 1 / np.maximum(np.hypot(across, down), 1 / max(height, width)) ** 1.2
    waves = np.fft.ifft2(np.fft.fft2(rng.normal(size=(3, height, width))) * falling).real
    spread = (waves - waves.mean()) / waves.std()
    return np.ascontiguousarray(np.clip(128 + 50 * spread, 0, 255).astype(np.uint8).transpose(1, 2, 0))


class EvenAligner:
    """Word times that cost nothing."""

    def __init__(self) -> None:
        self.name, self.settings = "even", {"benchmark": 1}

    def align_all(self, utterances):
        """Give each word an equal share of the clip."""

        def align(utterance) -> tuple[WordTime, ...]:
            return evenly_spaced(utterance.words, utterance.duration_seconds)

        return one_by_one(align, utterances)
