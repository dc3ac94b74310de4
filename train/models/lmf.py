"""LMF, Low-rank Multimodal Fusion, over cached features.

Reference: Liu, Shen, Lakshminarasimhan, Liang, Zadeh and Morency, "Efficient Low-rank Multimodal Fusion with
Modality-Specific Factors" (ACL 2018).

TFN's embeddings and its linear map of their outer product, but with the map's weights written as a sum of `rank` outer
products of one factor a modality (section 3.2.1): then each embedding meets its own factor first, and the outer product is
never made (section 3.2.2).

Where the paper is open or another choice was made: the embeddings are those of `tfn.py`, with TFN's sizes; factors begin
normal with a variance of 1 / (units + 1), which keeps the embeddings' scale; the products are simply summed, as the paper
has it (learned weights for the sum, which the authors' code has, could be taken into any factor); the fused vector is the
prediction itself, as in the authors' code, so that factors are n_outputs wide.
"""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.models.protocol import Output
from sadgr.train.models.tfn import Embeddings


@dataclass(frozen=True)
class LMFConfig:
    """Settings: units of the LSTM and of the three embeddings, and the number of outer products."""

    lstm_hidden: int = 128
    text_hidden: int = 128
    audio_hidden: int = 32
    video_hidden: int = 32
    rank: int = 4
    dropout: float = 0.15


class LowRankFusion(nn.Module):
    """A linear map of the outer product of M vectors, of a given rank.

    Args:
        widths: Of the vectors.
        rank: Number of outer products that its weights are the sum of.
        n_outputs: O.
    """

    def __init__(self, widths: tuple[int, ...], rank: int, n_outputs: int) -> None:
        super().__init__()
        self.factors = nn.ParameterList(
            nn.Parameter(torch.randn(width, rank * n_outputs) * width**-0.5) for width in widths
        )
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, *vectors: Tensor) -> Tensor:
        """Map vectors, (B, width) each, to (B, O): sum over i of the product over m of z_m w_m^(i), plus b."""
        met = [vector @ factor for vector, factor in zip(vectors, self.factors, strict=True)]  # (B, rank * O) each
        product = reduce(torch.mul, met).unflatten(1, (-1, len(self.bias)))  # (B, rank, O)
        return torch.add(product.sum(dim=1), self.bias)


class LMF(nn.Module):
    """Low-rank fusion of three embeddings."""

    def __init__(self, widths: Widths, config: LMFConfig = LMFConfig()) -> None:
        super().__init__()
        c = config
        self.embeddings = Embeddings(
            widths, c.lstm_hidden, c.text_hidden, c.audio_hidden, c.video_hidden, dropout=c.dropout
        )
        units = (c.text_hidden + 1, c.audio_hidden + 1, c.video_hidden + 1)
        self.fusion = LowRankFusion(units, c.rank, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        return Output(self.fusion(*self.embeddings(batch)))
