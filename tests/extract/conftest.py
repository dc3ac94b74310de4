"""Tiny checkpoints with random weights, planted clips, and an aligner whose answers are known."""

import hashlib
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from sadgr.align import Flag, WordTime, one_by_one
from sadgr.cache import FeatureCache
from sadgr.cache.shard_reader import ShardReader

WIDTH = 16
SENTENCES = ["it was the best of times", "it was the worst of times", "unbelievably good acting", "so-so, I guess"]


def _bert(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special))
    ends = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names).save_pretrained(
        folder
    )
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.BertModel(config).save_pretrained(folder)


def _roberta(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>"}
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)
    wrapped.save_pretrained(folder)
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    transformers.RobertaModel(config).save_pretrained(folder)


def _waveform(kind: str, norm: str, stable: bool) -> "callable":
    def build(folder: Path) -> None:
        config_class = getattr(transformers, f"{kind}Config")
        config = config_class(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            feat_extract_norm=norm,
            do_stable_layer_norm=stable,
            conv_bias=norm == "layer",
        )
        getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=norm == "layer").save_pretrained(folder)

    return build


def _whisper(folder: Path) -> None:
    config = transformers.WhisperConfig(
        vocab_size=20,
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)


def _vision(kind: str) -> "callable":
    def build(folder: Path) -> None:
        config = getattr(transformers, f"{kind}Config")(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
        )
        getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
        size = {"height": 32, "width": 32}
        processor = transformers.models.vit.image_processing_pil_vit.ViTImageProcessorPil(size=size)
        processor.save_pretrained(folder)

    return build


BUILDERS = {
    "bert": _bert,
    "roberta": _roberta,
    "hubert": _waveform("Hubert", "group", False),
    "hubert-stable": _waveform("Hubert", "layer", True),
    "wavlm": _waveform("WavLM", "group", False),
    "wav2vec2": _waveform("Wav2Vec2", "layer", True),
    "whisper": _whisper,
    "vit": _vision("ViT"),
    "dinov2": _vision("Dinov2"),
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Give a function: family -> folder of a tiny checkpoint with random weights."""
    built: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in built:
            torch.manual_seed(len(family))
            built[family] = tmp_path_factory.mktemp("tiny") / f"tiny-{family}"
            BUILDERS[family](built[family])
        return built[family]

    return folder


@pytest.fixture(scope="session")
def make_clip():
    """Give a function that writes an mp4: grey level of each video frame and a tone are planted."""

    def make(
        path: Path, seconds: float = 1.0, sound: bool = True, picture: bool = True, tone_hz: float = 440.0
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as file:
            if picture:
                video = file.add_stream("libx264", rate=10)
                video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            if sound:
                audio = file.add_stream("aac", rate=16000, layout="mono")
            for number in range(round(10 * seconds) if picture else 0):
                level = np.full((48, 64, 3), 20 + 10 * (number % 20), np.uint8)
                for packet in video.encode(av.VideoFrame.from_ndarray(level)):
                    file.mux(packet)
            if sound:
                time = np.arange(round(16000 * seconds)) / 16000
                wave = (0.5 * np.sin(2 * np.pi * tone_hz * time)).astype(np.float32)[None]
                frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                frame.sample_rate = 16000
                for packet in audio.encode(frame):
                    file.mux(packet)
            for stream in file.streams:
                for packet in stream.encode():
                    file.mux(packet)
        return path

    return make


class PlantedAligner:
    """Half the clip for all words, evenly, so that the other half lies inside no word."""

    name = "planted"

    def __init__(self):
        self.settings = {"version": 1}

    def align_all(self, utterances):
        return one_by_one(self.align, utterances)

    def align(self, utterance):
        step = utterance.duration_seconds / 2 / len(utterance.words)
        return tuple(
            WordTime(word, number * step, (number + 1) * step, 0.5, Flag.ALIGNED)
            for number, word in enumerate(utterance.words)
        )


@pytest.fixture
def planted_aligner():
    return PlantedAligner()


@pytest.fixture(scope="session")
def logical_digest():
    """Give a function: cache -> what it holds, whatever the shards are; no clip may stand there twice."""

    def digest(cache: Path, dataset: str = "demo") -> dict:
        data = FeatureCache(cache)[dataset]
        found = {"labels": data.labels().sort_index().to_csv()}
        for one in data.feature_sets():
            ids = Counter[str]()
            for shard in one.shards():
                with ShardReader(shard, one.fingerprint, one.modality) as reader:
                    ids.update(reader.ids)
            assert not one.invalid and set(ids.values()) <= {1}, (one.name, ids.most_common(3))
            for clip_id, entry in one.entries().items():
                arrays = one.read(clip_id) or {}
                content = {key: (str(it.dtype), it.shape, it.tobytes()) for key, it in sorted(arrays.items())}
                found[one.name, clip_id] = (entry.source, hashlib.sha256(repr(content).encode()).hexdigest())
        return found

    return digest
