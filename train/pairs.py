"""From a data set of the cache to the mean vectors that pretraining reads."""

import hashlib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sadgr.cache import Dataset, Selection
from sadgr.train.config import PretrainConfig
from sadgr.train.errors import TrainError
from sadgr.train.gather import split_of
from sadgr.train.logs import Log

CHUNK_ROWS = 16_384


@dataclass(frozen=True)
class Pairs:
    """Mean vectors of P clips, row for row of one clip.

    Attributes:
        text: (P, Dt), float16 as the cache holds them, or float32.
        audio: (P, Da), likewise.
        transcripts: (P,) int64, equal for clips of equal transcripts; None where duplicates are not masked.
    """

    text: Tensor
    audio: Tensor
    transcripts: Tensor | None = None

    def __len__(self) -> int:
        """P."""
        return len(self.text)

    def __getitem__(self, rows: Tensor) -> "Pairs":
        """Choose rows by index or mask."""
        return Pairs(self.text[rows], self.audio[rows], None if self.transcripts is None else self.transcripts[rows])

    def to(self, device: torch.device) -> "Pairs":
        """Give the same pairs on another device."""
        transcripts = None if self.transcripts is None else self.transcripts.to(device)
        return Pairs(self.text.to(device), self.audio.to(device), transcripts)

    def digest(self) -> str:
        """SHA-256 over all values, which tells whether a continued training still reads the same."""
        with ThreadPoolExecutor() as pool:
            each = pool.map(_digest, (self.text, self.audio, self.transcripts))
        return hashlib.sha256(f"{len(self)}".encode() + b"".join(each)).hexdigest()


def _digest(values: Tensor | None) -> bytes:
    """SHA-256 of a tensor, 281,241 x 768 of which take a second."""
    return hashlib.sha256(b"none" if values is None else np.ascontiguousarray(values.cpu().numpy()).data).digest()


def read_pairs(dataset: Dataset, selection: Selection, config: PretrainConfig, log: Log) -> tuple[Pairs, Pairs]:
    """Read the pairs to learn from and those held out.

    Where the data set has splits, its train split is learned from and its valid split held out; its test split is never
    read. Without a valid split, a part chosen by the seed is held out. A clip without text or without audio is no pair.

    Raises:
        TrainError: A vector is not finite, no clip to learn from, or no transcripts where duplicates are to be masked.
    """
    ids, text, audio = dataset.means(selection, audio=config.audio_mean, dtype=np.float16)
    for name, vectors in (("text", text), ("audio", audio)):
        bad = first_not_finite(vectors)
        if bad is not None:
            raise TrainError(f"clip {ids[bad]!r}: its {name} mean is not finite; extract this clip again")
    labels = dataset.labels()
    splits = split_of(labels).reindex(ids, fill_value="").to_numpy()
    train, held_out = choose_rows(splits, config.valid_fraction, config.seed)
    if not len(train):
        raise TrainError(
            f"{dataset.name} has no clip to learn from: of {len(ids)} with both text and audio means, {len(held_out)} are held "
            f"out and {(splits == 'test').sum()} are in split test, which is never learned from"
        )
    log(f"{len(labels)} clips, {len(ids)} with both means: {len(train)} to learn from, {len(held_out)} held out")
    transcripts = np.full(len(ids), -1)
    if config.mask_duplicates:
        used = np.concatenate([train, held_out])
        transcripts[used] = transcript_numbers(labels, [ids[row] for row in used], dataset.name)
        log(
            f"{_n_repeated(transcripts[train])} of {len(train)} clips to learn from share their transcript with another"
        )

    def chosen(rows: np.ndarray) -> Pairs:
        numbers = torch.from_numpy(transcripts[rows]) if config.mask_duplicates else None
        return Pairs(torch.from_numpy(text[rows]), torch.from_numpy(audio[rows]), numbers)

    return chosen(train), chosen(held_out)


def choose_rows(splits: np.ndarray, valid_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows held out, both sorted.

    Args:
        splits: (P,) train, valid, test or "".
        valid_fraction: What to hold out (two pairs at least) where there is no valid split.
        seed: Decides which.
    """
    rows = np.flatnonzero(splits == "train") if (splits != "").any() else np.arange(len(splits))
    held_out = np.flatnonzero(splits == "valid")
    if len(held_out):
        return rows, held_out
    shuffled = np.random.default_rng(seed).permutation(rows)
    n_held_out = max(2, round(valid_fraction * len(rows)))
    return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])


def transcript_numbers(labels: pd.DataFrame, ids: list[str], name: str) -> np.ndarray:
    """Number transcripts, so that equal ones (case and white space aside) have equal numbers.

    They are those of labels.csv, which every source fills, rather than a feature set of aligned words, which pretraining on
    mean vectors does without.

    Args:
        labels: As `Dataset.labels` gives: indexed by clip id, the transcript in `text`.
        ids: (P,) clips.
        name: The data set's, for messages.

    Returns:
        (P,) int64.

    Raises:
        TrainError: A clip has no transcript.
    """
    remedy = "fill column `text` of its labels.csv, or leave --mask-duplicates out"
    if "text" not in labels:
        raise TrainError(f"{name} has no transcripts, which --mask-duplicates compares: {remedy}")
    texts = [plain(text) for text in labels["text"].reindex(ids, fill_value="")]
    without = [clip_id for clip_id, text in zip(ids, texts, strict=True) if not text]
    if without:
        raise TrainError(
            f"{len(without)} of {len(ids)} clips of {name} have no transcript, which --mask-duplicates compares (the first is "
            f"{without[0]!r}): {remedy}"
        )
    return np.asarray(pd.factorize(np.array(texts, dtype=object))[0], np.int64)


def plain(text: str) -> str:
    """Give a transcript as it is compared: NFC, case folded, white space of one blank."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def first_not_finite(vectors: np.ndarray) -> int | None:
    """First row of (P, D) that holds NaN or an infinity; in chunks, since the vectors may fill most of the memory."""
    for start in range(0, len(vectors), CHUNK_ROWS):
        bad = np.flatnonzero(~np.isfinite(vectors[start : start + CHUNK_ROWS]).all(axis=1))
        if len(bad):
            return start + int(bad[0])
    return None


def _n_repeated(numbers: np.ndarray) -> int:
    _, counts = np.unique(numbers, return_counts=True)
    return int(counts[counts > 1].sum())
