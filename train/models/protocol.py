"""What every model takes and gives, so that one trainer serves them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.ragged import Spans


@dataclass(frozen=True)
class Output:
    """What a model says about a batch.

    Attributes:
        prediction: (B, n_outputs).
        losses: Name -> scalar that training adds to the task's loss, times the model's own weight where it has one; while
            the model is not in training mode there are none.
        gate: (B, Dv) in [0, 1], or (F, Dv) where it is one of frames; None where there is none.
    """

    prediction: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    gate: Tensor | None = None


class Model(Protocol):
    """Words and frames with their spans in, a prediction and named losses out; a torch module besides."""

    def __call__(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        ...


class MissingVectors(nn.Module):
    """Learned stand-ins, one of each encoder's width, for modalities that a clip does not have."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.vectors = nn.ParameterList(nn.Parameter(0.02 * torch.randn(width)) for width in widths)

    def forward(self, present: Tensor, complete: Tensor, *sequences: tuple[Tensor, Spans]) -> list[Tensor]:
        """Replace rows of absent modalities.

        Args:
            present: (B, len(sequences)) bool.
            complete: (len(sequences),) bool on the CPU: whether all clips have it, so that its rows stay as they are, and no
                gradient is sought for them.
            sequences: rows (R, D) each, and how they belong to clips.

        Returns:
            The rows, with the learned vector at each of a clip that lacks the modality.
        """
        return [
            rows if complete[i] else torch.where(present[spans.owners, i, None], rows, vector)
            for i, ((rows, spans), vector) in enumerate(zip(sequences, self.vectors, strict=True))
        ]
