"""What several models are built of: pooled clips, small networks, and frames on the words' axis."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.protocol import MissingVectors
from sadgr.train.ragged import Spans


class Pooled(nn.Module):
    """Each modality's mean over a clip's words or frames; a learned vector where the clip lacks it."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)

    def forward(self, batch: Batch) -> list[Tensor]:
        """Give text (B, Dt), audio (B, Da) and video (B, Dv)."""
        clips = row_a_clip(batch)
        return self.missing(batch.present, batch.complete, *((mean, clips) for mean in batch.features.means))  # type: ignore[no-any-return]


def row_a_clip(batch: Batch) -> Spans:
    """Give the spans of what has one row for each clip."""
    return Spans.of([1] * len(batch.words), batch.present.device)


class Layers(nn.Sequential):
    """Dropout, then linear maps with ReLU after each: the small networks of TFN, LMF and plain baselines.

    Args:
        widths: Of the input, then of each layer.
        dropout: Of the input.
    """

    def __init__(self, *widths: int, dropout: float = 0.0) -> None:
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        super().__init__(Dropout(dropout), *layers)


def at_words(video: Tensor, frames: Spans, words: Spans) -> Tensor:
    """Bring frames to the words' axis: (F, Dv) to (W, Dv), the mean of the frames that `frames_of_words` gives each word."""
    places, counts = frames_of_words(frames, words)
    bags = (counts.cumsum(0) - counts).to(video.device)
    return functional.embedding_bag(places, video, bags, mode="mean")


def frames_of_words(frames: Spans, words: Spans) -> tuple[Tensor, Tensor]:
    """Say which frames were seen while each word was said.

    Training reads no word times, so words, like frames, are taken to be spread evenly over the clip (see `gate.at_frames`
    for the way back). A frame counts for the word that holds its centre; a word that holds none takes the frame that holds
    its centre.

    Returns:
        Places among all frames, word after word, on the frames' device; (W,) int64 on the CPU: how many are each word's, at
        least 1.
    """
    n_words, n_frames = words.lengths.numpy(), frames.lengths.numpy()
    own_words, own_frames = np.repeat(n_words, n_words), np.repeat(n_frames, n_words)  # (W,) of each word's clip
    word = np.arange(len(own_words)) - np.repeat(np.cumsum(n_words) - n_words, n_words)
    # Whole numbers: frame j's centre (2 j + 1) / 2 F lies in [i / N, (i + 1) / N) for j from `begin` up to `end`.
    begin = -((own_words - 2 * word * own_frames) // (2 * own_words))
    end = -((own_words - 2 * (word + 1) * own_frames) // (2 * own_words))
    nearest = (2 * word + 1) * own_frames // (2 * own_words)
    begin, counts = np.where(end > begin, begin, nearest), np.maximum(end - begin, 1)
    begin = begin + np.repeat(np.cumsum(n_frames) - n_frames, n_words)  # among all frames
    places = np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return torch.from_numpy(places).to(frames.device), torch.from_numpy(counts)
