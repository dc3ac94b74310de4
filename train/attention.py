"""Attention over the words of text and audio together, and over the frames of the video (eq. 14)."""

import math

import torch
from torch import Tensor, nn


def masked_softmax(scores: Tensor, key_mask: Tensor) -> Tensor:
    """Softmax over the keys that are valid.

    Args:
        scores: (B, L, L) queries by keys.
        key_mask: (B, L) bool, True = valid; each row needs a valid key.

    Returns:
        (B, L, L) weights; exactly 0 at keys that are padding.
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

    def forward(self, text: Tensor, audio: Tensor, word_mask: Tensor) -> Tensor:
        """Fuse audio into text on their shared word axis.

        Args:
            text: (B, N, M) words.
            audio: (B, N, M) the same words, spoken.
            word_mask: (B, N) bool, True = valid.

        Returns:
            (B, N, M) text words; rows at padding hold values without meaning.
        """
        scale = 1 / math.sqrt(text.shape[-1])
        text_scores = (self.text_query(text) @ self.text_key(text).mT * scale).relu()  # (B, N, N)
        audio_scores = (self.audio_query(audio) @ self.audio_key(audio).mT * scale).relu()  # (B, N, N)
        scores = self.text_weight * text_scores + self.audio_weight * audio_scores + self.bias
        attended = masked_softmax(scores, word_mask) @ self.text_value(text)  # (B, N, M)
        return self.norm(text + self.out(attended))  # type: ignore[no-any-return]  # torch: Module.__call__ is Any


class VideoSelfAttention(nn.Module):
    """Single-head self-attention over video frames (eq. 14), without residual, as the paper writes it."""

    def __init__(self, d_video: int, d_key: int) -> None:
        super().__init__()
        self.query = nn.Linear(d_video, d_key)
        self.key = nn.Linear(d_video, d_key)
        self.value = nn.Linear(d_video, d_video)

    def forward(self, video: Tensor, frame_mask: Tensor) -> Tensor:
        """Enrich frames with their context.

        Args:
            video: (B, Lv, Dv).
            frame_mask: (B, Lv) bool, True = valid.

        Returns:
            (B, Lv, Dv); rows at padding hold values without meaning.
        """
        query, key = self.query(video), self.key(video)  # (B, Lv, d_key)
        scores = query @ key.mT / math.sqrt(key.shape[-1])  # (B, Lv, Lv)
        return masked_softmax(scores, frame_mask) @ self.value(video)  # type: ignore[no-any-return]
