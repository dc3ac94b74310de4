"""Early fusion: the three means side by side, and one hidden layer over them."""

from dataclasses import dataclass

import torch
from torch import nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.parts import Layers, Pooled
from sadgr.train.models.protocol import Output


@dataclass(frozen=True)
class ConcatConfig:
    """Settings: `hidden` units, as many as SADGR's own fusion (eq. 19) has."""

    hidden: int = 256
    dropout: float = 0.1


class Concat(nn.Module):
    """SADGR's fusion without anything before it: no heads, no attention, no gate."""

    def __init__(self, widths: Widths, config: ConcatConfig = ConcatConfig()) -> None:
        super().__init__()
        self.pooled = Pooled(widths)
        self.layers = Layers(widths.d_text + widths.d_audio + widths.d_video, config.hidden)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        joined = torch.cat(self.pooled(batch), dim=1)  # (B, Dt + Da + Dv)
        return Output(self.head(self.dropout(self.layers(joined))))
