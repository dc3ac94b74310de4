"""MISA: each modality's vector split into what all share and what is its own, and six such parts fused.

Reference: Hazarika, Zimmermann and Poria, "MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment
Analysis" (ACM Multimedia 2020), with the similarity by central moments that the paper prefers to an adversary. BERT is not
tuned: the text's vector is the mean of cached words. The authors' recurrent layers are as wide as their features, 74 (audio)
and 47 (video); those of ViT and HuBERT would make them most of the model, so that one width between the two serves both. Weights
of losses, dropout and the width within the fusion are the authors' program's; the task's loss is the trainer's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import RecurrentVector
from sadgr.train.models.transformer import require_divides

SIMILARITY, DIFFERENCE, RECONSTRUCTION = "similarity", "difference", "reconstruction"
MOMENTS = 5
"""K of eq. 8."""


@dataclass(frozen=True)
class MISAConfig:
    """Widths, and the weights of the three losses that shape the parts: alpha, beta and gamma of eq. 7."""

    d_model: int = 128
    d_recurrent: int = 64
    heads: int = 2
    feed_forward: int = 2048
    fusion_dropout: float = 0.1
    dropout: float = 0.5
    similarity_weight: float = 1.0
    difference_weight: float = 0.3
    reconstruction_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse heads that do not divide the width."""
        require_divides(self.heads, self.d_model, "d_model")


class MISA(nn.Module):
    """MISA on cached features."""

    def __init__(self, widths: Widths, config: MISAConfig = MISAConfig()) -> None:
        super().__init__()
        d_model = config.d_model
        self.config = config
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.audio = RecurrentVector(widths.d_audio, config.d_recurrent)
        self.video = RecurrentVector(widths.d_video, config.d_recurrent)
        inputs = (widths.d_text, 4 * config.d_recurrent, 4 * config.d_recurrent)
        self.project = nn.ModuleList(
            nn.Sequential(nn.Linear(d_in, d_model), nn.ReLU(), nn.LayerNorm(d_model)) for d_in in inputs
        )
        self.shared = nn.Linear(d_model, d_model)
        self.private = nn.ModuleList(nn.Linear(d_model, d_model) for _ in inputs)
        self.rebuild = nn.ModuleList(nn.Linear(d_model, d_model) for _ in inputs)
        self.fusion = nn.TransformerEncoderLayer(
            d_model, config.heads, config.feed_forward, dropout=config.fusion_dropout, batch_first=True
        )
        self.hidden = nn.Linear(6 * d_model, 3 * d_model)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(3 * d_model, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        vectors = (words.mean(text), self.audio(audio, words), self.video(video, frames))
        projected = [project(one) for project, one in zip(self.project, vectors, strict=True)]  # (B, M) each, u_m
        shared = [self.shared(one).sigmoid() for one in projected]
        private = [encode(one).sigmoid() for encode, one in zip(self.private, projected, strict=True)]
        parts = torch.stack([*shared, *private], dim=1)  # (B, 6, M)
        hidden = self.hidden(self.fusion(parts).flatten(1))  # (B, 3 M)
        prediction = self.head(self.dropout(hidden).relu())
        return Output(prediction, self._losses(projected, shared, private) if self.training else {})

    def _losses(
        self, projected: Sequence[Tensor], shared: Sequence[Tensor], private: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        rebuilt = [rebuild(a + b) for rebuild, a, b in zip(self.rebuild, shared, private, strict=True)]
        return {
            SIMILARITY: self.config.similarity_weight * similarity(shared),
            DIFFERENCE: self.config.difference_weight * difference(shared, private),
            RECONSTRUCTION: self.config.reconstruction_weight * reconstruction(projected, rebuilt),
        }


def similarity(shared: Sequence[Tensor]) -> Tensor:
    """Mean over pairs of modalities of how their shared parts' distributions differ (eq. 9)."""
    pairs = list(combinations(shared, 2))
    return torch.stack([central_moment_discrepancy(a, b) for a, b in pairs]).mean()


def central_moment_discrepancy(a: Tensor, b: Tensor) -> Tensor:
    """Add up distances of means and of central moments 2 to K of two samples (B, M) within (0, 1) (eq. 8)."""
    means = a.mean(dim=0), b.mean(dim=0)
    distances = [torch.linalg.vector_norm(means[0] - means[1])]
    apart = a - means[0], b - means[1]
    for order in range(2, MOMENTS + 1):
        moments = [one.pow(order).mean(dim=0) for one in apart]
        distances.append(torch.linalg.vector_norm(moments[0] - moments[1]))
    return torch.stack(distances).sum()


def difference(shared: Sequence[Tensor], private: Sequence[Tensor]) -> Tensor:
    """Sum over each modality's two parts, and over pairs of private parts, of how much they overlap (eq. 10)."""
    pairs = [*zip(shared, private, strict=True), *combinations(private, 2)]
    return torch.stack([overlap(a, b) for a, b in pairs]).sum()


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius norm of A'B over its M x M entries, for samples (B, M).

    Columns are brought to mean zero, then rows to length one. The paper has the plain norm, the authors' program the mean
    over entries, to which their weight belongs: so does this.
    """
    a, b = (functional.normalize(one - one.mean(dim=0), dim=1) for one in (a, b))
    return (a.mT @ b).square().mean()


def reconstruction(projected: Sequence[Tensor], rebuilt: Sequence[Tensor]) -> Tensor:
    """Mean squared error of what both parts of a modality give together (eq. 11)."""
    errors = [functional.mse_loss(b, a) for a, b in zip(projected, rebuilt, strict=True)]
    return torch.stack(errors).mean()
