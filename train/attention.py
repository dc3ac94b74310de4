"""Attention over the words of text and audio together, and over the frames of the video (eq. 14)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.ragged import Spans


def together(rows: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Apply several linear maps of one width to the same rows (R, D) in one product: small ones would use a machine badly."""
    weight, bias = torch.cat([one.weight for one in layers]), torch.cat([one.bias for one in layers])
    return functional.linear(rows, weight, bias).chunk(len(layers), dim=1)


def masked_softmax(scores: Tensor, key_mask: Tensor) -> Tensor:
    """Softmax over the keys that are valid.

    Args:
        scores: (b, L, L) queries by keys.
        key_mask: (b, L) bool, True = valid; each row needs a valid key.

    Returns:
        (b, L, L) weights; exactly 0 at keys that are padding.
    """
    return scores.masked_fill(~key_mask[:, None, :], -math.inf).softmax(dim=-1)


class MaskedMultimodalAttention(nn.Module):
    """Text words attend to text words with weights that text and audio decide together.

    Reference: CM-BERT (Yang et al., ACM MM 2020), which the paper's "masked multimodal attention" is read as.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.text_query = nn.Linear(d_model, d_model)
        self.text_key = nn.Linear(d_model, d_model)
        self.audio_query = nn.Linear(d_model, d_model)
        self.audio_key = nn.Linear(d_model, d_model)
        self.text_value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.text_weight = nn.Parameter(torch.ones(()))
        self.audio_weight = nn.Parameter(torch.ones(()))
        # Part of CM-BERT's formula, yet without effect: softmax ignores a constant added to all scores of a row.
        self.bias = nn.Parameter(torch.zeros(()))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, text: Tensor, audio: Tensor, words: Spans) -> Tensor:
        """Fuse audio into text on their shared word axis.

        Args:
            text: (W, M) words.
            audio: (W, M) the same words, spoken.
            words: How they belong to clips.

        Returns:
            (W, M) text words.
        """
        scale = 1 / math.sqrt(text.shape[-1])
        of_text = together(text, self.text_query, self.text_key, self.text_value)  # (W, M) each
        of_audio = together(audio, self.audio_query, self.audio_key)
        rows = torch.cat([*of_text, *of_audio], dim=1)  # (W, 5 M)
        attended = []
        for mask, padded in zip(words.groups.masks, words.groups.padded(rows), strict=True):
            t_query, t_key, value, a_query, a_key = padded.chunk(5, dim=-1)  # (b, L, M) each
            text_scores = (t_query @ t_key.mT * scale).relu()  # (b, L, L)
            audio_scores = (a_query @ a_key.mT * scale).relu()
            scores = self.text_weight * text_scores + self.audio_weight * audio_scores + self.bias
            attended.append(masked_softmax(scores, mask) @ value)  # (b, L, M)
        return self.norm(text + self.out(words.groups.flat(attended)))  # type: ignore[no-any-return]  # torch: __call__ is Any


class VideoSelfAttention(nn.Module):
    """Single-head self-attention over video frames (eq. 14), without residual, as the paper writes it.

    A frame's weights sum to 1, so that the value's linear map may as well come after them; and where all that is wanted is
    a clip's mean, after that, too: it is then computed once for a clip instead of once for a frame.
    """

    def __init__(self, d_video: int, d_key: int) -> None:
        super().__init__()
        self.query = nn.Linear(d_video, d_key)
        self.key = nn.Linear(d_video, d_key)
        self.value = nn.Linear(d_video, d_video)

    def forward(self, video: Tensor, frames: Spans) -> Tensor:
        """Enrich frames (F, Dv) with their clip's context, (F, Dv)."""
        return self.value(self.context(video, frames))  # type: ignore[no-any-return]

    def mean(self, video: Tensor, frames: Spans) -> Tensor:
        """Return the mean of what `forward` gives over each clip's frames, (B, Dv)."""
        return self.value(frames.mean(self.context(video, frames)))  # type: ignore[no-any-return]

    def context(self, video: Tensor, frames: Spans) -> Tensor:
        """Return (F, Dv): the weighted mean of its clip's frames for each frame, before the value's map."""
        query, key = together(video, self.query, self.key)  # (F, d_key) each
        query = query / math.sqrt(self.key.out_features)
        attended = []
        parts = zip(frames.groups.masks, *(frames.groups.padded(rows) for rows in (query, key, video)), strict=True)
        for mask, asking, asked, seen in parts:
            attended.append(masked_softmax(asking @ asked.mT, mask) @ seen)  # (b, L, Dv)
        return frames.groups.flat(attended)
