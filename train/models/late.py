"""Late fusion: each modality decides for itself, and the decisions are averaged."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.parts import Layers, Pooled
from sadgr.train.models.protocol import Output
from sadgr.train.tasks import TASKS

MODALITIES = ("text", "audio", "video")


@dataclass(frozen=True)
class LateConfig:
    """Settings: `hidden` units of each modality's network; `own_weight`, that of each modality's own loss."""

    hidden: int = 128
    dropout: float = 0.1
    own_weight: float = 1.0


class Late(nn.Module):
    """A small network for each modality's mean; its decisions are averaged with learned weights that sum to 1.

    Each network learns the target by itself, too (losses `text`, `audio` and `video`): without that the three would be one
    additive model, of which no part need be right alone. Weights begin equal. For classes and labels, logits are averaged.
    """

    def __init__(self, widths: Widths, config: LateConfig = LateConfig()) -> None:
        super().__init__()
        self.task, self.own_weight = TASKS[widths.task], config.own_weight
        self.pooled = Pooled(widths)
        self.networks = nn.ModuleList(
            nn.Sequential(
                Layers(width, config.hidden), Dropout(config.dropout), nn.Linear(config.hidden, widths.n_outputs)
            )
            for width in (widths.d_text, widths.d_audio, widths.d_video)
        )
        self.weights = nn.Parameter(torch.zeros(len(MODALITIES)))

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        decisions = [network(mean) for network, mean in zip(self.networks, self.pooled(batch), strict=True)]
        fused = torch.einsum("m,mbo->bo", self.weights.softmax(dim=0), torch.stack(decisions))
        return Output(fused, self._own_losses(decisions, batch.target) if self.training else {})

    def _own_losses(self, decisions: list[Tensor], target: Tensor) -> dict[str, Tensor]:
        return {
            name: self.own_weight * self.task.loss(decision, target)
            for name, decision in zip(MODALITIES, decisions, strict=True)
        }
