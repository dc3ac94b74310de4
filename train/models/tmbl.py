"""TMBL, Transformer-based Multimodal Binding Learning: modalities bound in twos for their own, in threes for what they share.

Reference: Huang, Zhou, Tang, Lin and Chen, "TMBL: Transformer-based multimodal binding learning model for multimodal sentiment
analysis" (Knowledge-Based Systems 285, 2024). Its text was not to be had: this follows its abstract and sizes, number of layers
and losses of the authors' program.

- Encoders: the mean of BERT's cached words, which are not tuned, and `recurrent.RecurrentVector` of sound and of sight, as MISA
  has them; a map, ReLU and a norm bring them to one width.
- Binding in twos: a clip has two tokens a modality, its own vector, and one that is half of it and half of the next one's. The
  program takes the halves from different clips, and lets clips attend to one another, so that a prediction depends on what else
  is in the batch; here the halves are one clip's, and tokens of one clip attend.
- Own streams: each modality's tokens ask themselves. Shared streams: one modality's ask the next one's, and take values of the
  third: binding in threes. (In the program all three streams begin each layer with the same one.)
- Layers: attention and a gated map, relu(a) b, each followed by a norm. Convolutions 1 wide are taken into the map before them.
- Fusion: all 12 tokens, a learned CLS vector after own and after shared ones, and learned positions; three convolutions along
  the 14, and their mean.
- Losses: own parts are to differ (MISA's, eq. 10), shared ones to be alike (1 - cosine).
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.misa import difference
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import RecurrentVector
from sadgr.train.models.stacked import StackedLinear, StackedNorm
from sadgr.train.models.transformer import require_divides

DIFFERENCE, SIMILARITY = "difference", "similarity"
STREAMS = 6
"""Own streams of text, video and audio, then shared ones."""
KEYS, VALUES = (0, 1, 2, 4, 5, 3), (0, 1, 2, 5, 3, 4)
"""Whose keys and whose values each stream reads."""


@dataclass(frozen=True)
class TMBLConfig:
    """Widths, numbers of layers and heads, dropout and weights of losses; `heads` must divide `d_attention`."""

    d_recurrent: int = 64
    d_model: int = 256
    layers: int = 5
    heads: int = 8
    d_attention: int = 64
    feed_forward: int = 512
    layer_dropout: float = 0.5
    fusion_dropout: float = 0.5
    difference_weight: float = 0.5
    similarity_weight: float = 0.5

    def __post_init__(self) -> None:
        """Refuse heads that do not divide attention's width, and vectors that have no halves."""
        require_divides(self.heads, self.d_attention, "d_attention")
        if self.d_model % 2:
            raise ValueError(f"d_model must be even to be halved, got {self.d_model}")


class BindingLayer(nn.Module):
    """One layer of all six streams, side by side."""

    def __init__(self, config: TMBLConfig) -> None:
        super().__init__()
        width, inner = config.d_model, config.d_attention
        self.heads = config.heads
        self.query_key_value = StackedLinear(STREAMS, width, inner, maps=3)
        self.out = StackedLinear(STREAMS, inner, width)
        self.attention_norm, self.norm = StackedNorm(STREAMS, width), StackedNorm(STREAMS, width)
        self.wide = StackedLinear(STREAMS, width, config.feed_forward, maps=2)
        self.narrow = StackedLinear(STREAMS, config.feed_forward, width)
        self.dropout = Dropout(config.layer_dropout)

    def attend(self, tokens: Tensor) -> Tensor:
        """Give what each stream's tokens (6, 2 B, M), a clip's two after another, hear of those that they ask, likewise."""
        rows = self.query_key_value(tokens)  # (6, 2 B, 3 * inner)
        split = rows.view(STREAMS, -1, 2, 3, self.heads, rows.shape[-1] // (3 * self.heads))
        queries, keys, values = split.permute(3, 0, 1, 4, 2, 5)  # (6, B, heads, 2, inner / heads) each
        heard = functional.scaled_dot_product_attention(queries, keys[list(KEYS)], values[list(VALUES)])
        return self.out(heard.transpose(2, 3).reshape(STREAMS, tokens.shape[1], -1))  # type: ignore[no-any-return]

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (6, 2 B, M) to the same."""
        tokens = self.attention_norm(self.dropout.added(tokens, self.attend(tokens)))
        gate, value = self.wide(tokens).chunk(2, dim=2)
        return self.norm(self.dropout.added(tokens, self.narrow(gate.relu() * value)))  # type: ignore[no-any-return]


class TMBL(nn.Module):
    """TMBL on cached features."""

    def __init__(self, widths: Widths, config: TMBLConfig = TMBLConfig()) -> None:
        super().__init__()
        self.config, width = config, config.d_model
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.audio = RecurrentVector(widths.d_audio, config.d_recurrent)
        self.video = RecurrentVector(widths.d_video, config.d_recurrent)
        inputs = (widths.d_text, 4 * config.d_recurrent, 4 * config.d_recurrent)  # text, video, audio
        self.project = nn.ModuleList(
            nn.Sequential(nn.Linear(d_in, width), nn.ReLU(), nn.LayerNorm(width)) for d_in in inputs
        )
        self.layers = nn.ModuleList(BindingLayer(config) for _ in range(config.layers))
        self.kinds = nn.Parameter(0.02 * torch.randn(2, width))  # CLS of own parts, and of shared ones
        self.places = nn.Parameter(0.02 * torch.randn(2 * STREAMS + 2, width))
        half, along = width // 2, partial(nn.Conv1d, kernel_size=3, padding=1)
        first, second, last = along(width, half), along(half, half), along(half, widths.n_outputs)
        self.fusion = nn.Sequential(first, nn.ReLU(), second, Dropout(config.fusion_dropout), nn.ReLU(), last)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        vectors = (words.mean(text), self.video(video, frames), self.audio(audio, words))
        singles = torch.stack([project(one) for project, one in zip(self.project, vectors, strict=True)])  # (3, B, M)
        tokens = bound(singles).flatten(1, 2).repeat(2, 1, 1)  # (6, 2 B, M): own and shared streams begin alike
        for layer in self.layers:
            tokens = layer(tokens)
        prediction = self._fused(tokens)
        if not self.training:
            return Output(prediction)
        apart, alike = difference(tokens[3:].unbind(), tokens[:3].unbind()), unlikeness(tokens[3:])
        weights = self.config.difference_weight, self.config.similarity_weight
        return Output(prediction, {DIFFERENCE: weights[0] * apart, SIMILARITY: weights[1] * alike})

    def _fused(self, tokens: Tensor) -> Tensor:
        """Map all streams' tokens, (6, 2 B, M), to (B, O)."""
        streams, _, width = tokens.shape
        of_clips = tokens.view(2, streams // 2, -1, 2, width).permute(0, 2, 1, 3, 4).flatten(2, 3)  # (2, B, 6, M)
        kinds = self.kinds[:, None, None].expand(-1, of_clips.shape[1], -1, -1)  # (2, B, 1, M)
        sequence = torch.cat([*torch.cat([of_clips, kinds], dim=2)], dim=1) + self.places  # (B, 14, M)
        return self.fusion(sequence.mT).mean(dim=2)  # type: ignore[no-any-return]  # torch: __call__ is Any


def bound(singles: Tensor) -> Tensor:
    """Put before each modality's vector, (3, B, M), its first half and the second half of the next one's; gives (3, B, 2, M)."""
    half = singles.shape[2] // 2
    pairs = torch.cat([singles[..., :half], singles.roll(-1, dims=0)[..., half:]], dim=2)
    return torch.stack([pairs, singles], dim=2)


def unlikeness(shared: Tensor) -> Tensor:
    """Mean over the three pairs of shared streams (3, 2 B, M), and over tokens, of 1 - cosine."""
    return 1 - functional.cosine_similarity(shared, shared.roll(-1, dims=0), dim=2).mean()
