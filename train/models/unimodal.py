"""Tasks of single modalities whose labels a model makes itself, as Self-MM has them, and TETFN after it.

Reference: Yu, Xu, Yuan and Wu, "Learning Modality-Specific Representations with Self-Supervised Multi-Task Learning for
Multimodal Sentiment Analysis" (AAAI 2021), whose equations these are.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sadgr.train.dropout import Dropout

UNIMODAL = "unimodal"
LEAST = 1e-8
"""Stands for a distance of nothing, by which none can be divided."""


class LabelGeneration(nn.Module):
    """Labels of single modalities for each training clip, from its own and from where its vectors lie (ULGM).

    A clip's vector of a modality lies nearer to the centre of positive clips or to that of negative ones; by how much this
    differs from its multimodal vector says by how much its label of that modality differs from the multimodal label. All
    of it is kept in buffers, so that it is saved with the weights and training goes on from them.

    The paper counts epochs; here each label counts how often its clip was seen with that modality, which is the same when
    an epoch sees each clip once. Vectors are those of the last time; a centre is the mean over clips seen so far, without
    those whose label is 0. While one of the two sides is empty, labels stay. What eq. 16 gives is held within the largest
    absolute label seen: the authors hold it within the scale's end, 3 for MOSI.

    Args:
        n_train: Clips of the train split.
        widths: Of the multimodal vector, and of each modality's.
    """

    def __init__(self, n_train: int, *widths: int) -> None:
        super().__init__()
        self.widths = widths
        self.vectors: Tensor
        self.labels: Tensor
        self.seen: Tensor
        self.register_buffer("vectors", torch.zeros(n_train, sum(widths)))
        self.register_buffer("labels", torch.zeros(n_train, len(widths)))
        self.register_buffer("seen", torch.zeros(n_train, len(widths), dtype=torch.int64))

    def forward(self, numbers: Tensor, target: Tensor) -> Tensor:
        """Give what clips are to be predicted as now.

        Args:
            numbers: (B,) int64 of clips within the train split.
            target: (B, 1) their own labels.

        Returns:
            (B, 1 + modalities): the multimodal label, then one of each modality; the same where it was not seen yet.
        """
        return torch.where(self.seen[numbers] > 0, self.labels[numbers], target)

    @torch.no_grad()
    def update(self, numbers: Tensor, target: Tensor, present: Tensor, vectors: Sequence[Tensor]) -> None:
        """Move labels on, then take the clips' new vectors.

        Args:
            numbers: (B,) int64 of clips within the train split.
            target: (B, 1) their own labels.
            present: (B, modalities) bool; of what a clip does not have, nothing is kept.
            vectors: (B, width) each: the multimodal one, then one of each modality.
        """
        counted = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)  # (B, 1 + modalities)
        before, labels = self.seen[numbers], self(numbers, target)
        shifts, known = zip(*map(self._relative_distance, range(len(self.widths)), vectors), strict=True)
        limit = torch.maximum(self.labels[:, 0].abs().max(), target.abs().max())
        for modality in range(1, len(self.widths)):
            made = shifted_label(target[:, 0], shifts[0], shifts[modality]).clamp(-limit, limit)
            count = (before[:, modality] + 1).to(made.dtype)
            moved = (count - 1) / (count + 1) * labels[:, modality] + 2 / (count + 1) * made  # eq. 17
            holds = counted[:, modality] & (before[:, modality] > 0) & known[0] & known[modality]
            labels[:, modality] = torch.where(holds, moved, labels[:, modality])
        keep = counted.repeat_interleave(torch.tensor(self.widths, device=counted.device), dim=1)  # (B, sum of widths)
        self.labels[numbers] = torch.where(counted, labels, self.labels[numbers]).to(self.labels.dtype)
        self.vectors[numbers] = torch.where(keep, torch.cat(list(vectors), dim=1), self.vectors[numbers])
        self.seen[numbers] = before + counted

    def _relative_distance(self, modality: int, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha of eq. 13 for vectors (B, width), (B,), and whether both centres (eq. 9, 10) are known."""
        begin = sum(self.widths[:modality])
        kept = self.vectors[:, begin : begin + self.widths[modality]]  # (n_train, width)
        labels = self.labels[:, modality]
        sides = torch.stack([labels > 0, labels < 0]) & (self.seen[:, modality] > 0)  # (2, n_train)
        count = sides.sum(dim=1)
        centres = sides.to(kept.dtype) @ kept / count.clamp(min=1)[:, None]  # (2, width)
        to_positive, to_negative = (vectors - centres[:, None]).square().sum(dim=2)  # (B,) each, eq. 11, 12
        return relative_distance(to_positive, to_negative), (count > 0).all()


def relative_distance(to_positive: Tensor, to_negative: Tensor) -> Tensor:
    """Compare squared distances from both centres (eq. 13); the width that eq. 11 and 12 divide them by cancels."""
    return (to_negative - to_positive) / (to_positive + LEAST)


def shifted_label(label: Tensor, of_all: Tensor, of_one: Tensor) -> Tensor:
    """Give one modality's label from the multimodal one and both relative distances (eq. 16).

    It is the mean of two assumptions: labels are to each other as the relative distances (eq. 14), or differ as they do
    (eq. 15).
    """
    divisor = torch.where(of_all.abs() < LEAST, LEAST, of_all)
    return (label * of_one / divisor + label + of_one - of_all) / 2


class Task(nn.Module):
    """From a vector to the one that the task compares clips by, and from there to what it predicts."""

    def __init__(self, d_in: int, hidden: int, n_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.first = nn.Linear(d_in, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, d_in) to (B, hidden) and (B, n_outputs)."""
        compared = self.first(self.dropout(vectors)).relu()
        return compared, self.head(self.second(compared).relu())


def unimodal_loss(predictions: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Sum of the modalities' absolute errors, each clip's weighted by how far its label is from the multimodal one (eq. 18).

    Args:
        predictions: (B, modalities).
        labels: (B, 1 + modalities), the multimodal one first.
        present: (B, modalities) bool; what a clip does not have is no error.

    Returns:
        Scalar; 0 while all labels are the same: in the second epoch they move, from the third on they weigh.
    """
    made = labels[:, 1:]
    weights = torch.tanh((made - labels[:, :1]).abs()) * present
    return (weights * (predictions - made).abs()).sum(dim=1).mean()
