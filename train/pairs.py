"""From a data set of the cache to the mean vectors that pretraining reads."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sadgr.cache import Dataset, Selection
from sadgr.train.config import PretrainConfig
from sadgr.train.errors import TrainError
from sadgr.train.gather import split_of
from sadgr.train.loop import Log


@dataclass(frozen=True)
class Pairs:
    """Mean vectors of P clips: text (P, Dt) and audio (P, Da), float32, row for row of one clip."""

    text: Tensor
    audio: Tensor

    def __len__(self) -> int:
        """P."""
        return len(self.text)

    def __getitem__(self, rows: Tensor) -> "Pairs":
        """Choose rows by index or mask."""
        return Pairs(self.text[rows], self.audio[rows])

    def to(self, device: torch.device) -> "Pairs":
        """Give the same pairs on another device."""
        return Pairs(self.text.to(device), self.audio.to(device))


def read_pairs(dataset: Dataset, selection: Selection, config: PretrainConfig, log: Log) -> tuple[Pairs, Pairs]:
    """Read the pairs to learn from and those held out.

    Where the data set has splits, its train split is learned from and its valid split held out; its test split is never
    read. Without a valid split, a part chosen by the seed is held out.

    Raises:
        TrainError: A vector is not finite, or no clip to learn from.
    """
    ids, text, audio = dataset.means(selection, audio=config.audio_mean)
    for name, vectors in (("text", text), ("audio", audio)):
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise TrainError(f"clip {ids[bad[0]]!r}: its {name} mean is not finite; extract this clip again")
    labels = dataset.labels()
    splits = split_of(labels).reindex(ids, fill_value="").to_numpy()
    train, held_out = choose_rows(splits, config.valid_fraction, config.seed)
    if not len(train):
        raise TrainError(
            f"{dataset.name} has no clip to learn from: of {len(ids)} with both means, {(splits == 'test').sum()} are in "
            "split test, which is never learned from"
        )
    log(f"{len(labels)} clips, {len(ids)} with both means: {len(train)} to learn from, {len(held_out)} held out")
    pairs = Pairs(torch.from_numpy(text), torch.from_numpy(audio))
    return pairs[torch.from_numpy(train)], pairs[torch.from_numpy(held_out)]


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
