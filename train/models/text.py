"""Text alone: what every fusion must beat to be worth its name."""

from dataclasses import dataclass

from torch import nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.modalities import TEXT
from sadgr.train.models.parts import Layers, row_a_clip
from sadgr.train.models.protocol import MissingVectors, Output


@dataclass(frozen=True)
class TextConfig:
    """Settings: `hidden` units between the words' mean and the output."""

    hidden: int = 128
    dropout: float = 0.1


class TextOnly(nn.Module):
    """One hidden layer over the mean of a clip's text words; audio and video are not looked at."""

    def __init__(self, widths: Widths, config: TextConfig = TextConfig()) -> None:
        super().__init__()
        self.missing = MissingVectors(widths.d_text)
        self.layers = Layers(widths.d_text, config.hidden)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        mean = batch.features.mean(TEXT), row_a_clip(batch)
        (text,) = self.missing(batch.present[:, :1], batch.complete[:1], mean)  # (B, Dt)
        return Output(self.head(self.dropout(self.layers(text))))
