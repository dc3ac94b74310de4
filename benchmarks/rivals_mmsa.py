"""MMSA's models, its data loader and its trainers, called directly: `MMSA_run` refuses a machine without CUDA."""

import contextlib
import logging
import pickle
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from MMSA.config import get_config_regression
from MMSA.data_loader import MMDataset
from MMSA.models.AMIO import AMIO
from MMSA.models.singleTask import BERT_MAG
from MMSA.trains.ATIO import ATIO
from MMSA.trains.singleTask import MULT
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import BertConfig, BertModel

from sadgr.train.data import ClipTensors

LONGEST, BATCH, SPECIAL = 50, 32, 2
BERT = "bert-base-uncased"
"""The name that MMSA loads; a folder of that name in the working directory comes before the hub."""


class Theirs:
    """One of MMSA's models with its trainer and its data.

    Args:
        name: MMSA's.
        clips: What it learns from.
        folder: For its data.
    """

    def __init__(self, name: str, clips: Sequence[ClipTensors], folder: Path) -> None:
        logging.getLogger("MMSA").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        args = get_config_regression(name, "mosi")
        aligned = args.need_data_aligned or name == "misa"  # MISA gives all three the text's lengths
        args.update(
            featurePath=str(folder / f"{name}.pkl"),
            custom_feature="",
            feature_T="",
            feature_A="",
            feature_V="",
            train_mode="regression",
            device="cpu",
            cur_seed=1,
            model_save_path=str(folder / "model.pth"),
            seq_lens=[LONGEST] * 3,
            early_stop=0,  # one epoch is enough: `do_train` ends after the first
        )
        if args.get("use_bert"):
            args.use_finetune = False  # but MAG-BERT, which knows no such setting, trains its own
        if name == "bert_mag":
            _mend_mag_bert()
        _write_data(Path(args.featurePath), clips, aligned)
        splits = {split: MMDataset(args, split) for split in ("train", "valid")}
        Path(args.featurePath).unlink()
        self._loaders = {split: DataLoader(one, BATCH, shuffle=split == "train") for split, one in splits.items()}
        self._model, self._args = AMIO(args), args
        self.parameters = sum(one.numel() for one in self._model.parameters())
        inside = ("text_model.", "bertmodel.", "bert.embeddings.", "bert.encoder.", "bert.pooler.")
        self.parameters_in_bert = sum(
            one.numel()
            for name, one in self._model.named_parameters()
            if args.get("use_bert") and any(part in name for part in inside)
        )

    def epoch(self) -> None:
        """Train once over the clips, and score two more: MMSA's trainers cannot do without."""
        with _on_this_torch():
            ATIO().getTrain(self._args).do_train(self._model, self._loaders)


def write_bert(folder: Path) -> None:
    """Write a base-sized BERT of random weights, with a vocabulary of numbers."""
    config = BertConfig()
    BertModel(config).save_pretrained(folder / BERT)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(5, config.vocab_size))]
    (folder / BERT / "vocab.txt").write_text("\n".join(words), encoding="utf-8")


def _mend_mag_bert() -> None:
    """Give MAG-BERT what it asks of its base class, and transformers 5 has no more: ties of weights, and masks as BERT takes them."""

    def added(_: Any, mask: torch.Tensor, shape: Any, device: Any) -> torch.Tensor:
        return (1 - mask[:, None, None, :]) * torch.finfo(mask.dtype).min

    module = sys.modules[BERT_MAG.__module__]
    for kind in (module.MAG_BertModel, module.MAG_BertForSequenceClassification):
        kind.all_tied_weights_keys = {}
    module.MAG_BertModel.get_head_mask = lambda *_: None
    module.MAG_BertModel.get_extended_attention_mask = added


@contextlib.contextmanager
def _on_this_torch() -> Iterator[None]:
    """Take out what today's torch has no more (`verbose` of MulT's scheduler), and the rest: bars, and weights on the disk."""

    def scheduler(*arguments: Any, verbose: bool, **options: Any) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(*arguments, **options)

    with (
        mock.patch.object(sys.modules[MULT.__module__], "ReduceLROnPlateau", scheduler),
        mock.patch("torch.save"),
        mock.patch.object(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True)),
    ):
        yield


def _write_data(path: Path, clips: Sequence[ClipTensors], aligned: bool) -> None:
    """Write clips as MMSA's pickle: words padded to 50, frames brought to words where all three are to be of one length."""
    data = {"train": _split(clips, aligned), "valid": _split(clips[:2], aligned)}
    data["valid"]["regression_labels"] = np.array([1.0, -1.0], np.float32)
    path.write_bytes(pickle.dumps(data, protocol=4))


def _split(clips: Sequence[ClipTensors], aligned: bool) -> dict[str, Any]:
    words, frames = np.array([len(one.text) for one in clips]), np.array([len(one.video) for one in clips])
    tokens = np.minimum(words + SPECIAL, LONGEST)
    mask = (np.arange(LONGEST) < tokens[:, None]).astype(np.float32)
    ids = np.random.default_rng(0).integers(5, 30_000, mask.shape) * mask
    videos = [one.video for one in clips]
    if aligned:
        videos = [one.video[np.linspace(0, len(one.video) - 1, len(one.text)).astype(int)] for one in clips]
    return {
        "text": _padded([one.text for one in clips], LONGEST),
        "text_bert": np.stack([ids, mask, np.zeros_like(mask)], axis=1).astype(np.float32),
        "audio": _padded([one.audio for one in clips], LONGEST),
        "vision": _padded(videos, LONGEST if aligned else int(frames.max())),
        "audio_lengths": words.tolist(),
        "vision_lengths": (words if aligned else frames).tolist(),
        "raw_text": [""] * len(clips),
        "id": [one.clip_id for one in clips],
        "regression_labels": np.array([one.target[0] for one in clips], np.float32),
    }


def _padded(rows: Sequence[torch.Tensor], length: int) -> np.ndarray:
    return np.stack([np.pad(one.numpy(), ((0, length - len(one)), (0, 0))) for one in rows])
