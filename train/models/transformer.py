"""A transformer layer over sequences that stand end to end, of clips of any lengths."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.dropout import Dropout
from sadgr.train.models.stacked import Pairing
from sadgr.train.ragged import Spans


class TransformerLayer(nn.Module):
    """Attention, then two maps of each row, 4 times as wide between them; each is added to what comes in and then normalised.

    Reference: Vaswani et al., "Attention Is All You Need" (NeurIPS 2017), with BERT's GELU.

    Args:
        width: M of all rows.
        heads: Must divide it.
        dropout: Of what is added.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out, self.attention_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, rows: Tensor, source: Tensor, pairing: Pairing) -> Tensor:
        """Map rows (R, M), which ask the source rows (Rs, M) of their clips, or themselves, to (R, M)."""
        keys, values = pairing.gathered(self.key_value(source)[None], self.width)
        attended = pairing.attend(self.query(rows)[None], keys, values, self.heads)[0]
        rows = self.attention_norm(self.dropout.added(rows, self.out(attended)))
        wide: Tensor = functional.gelu(self.wide(rows))
        return self.norm(self.dropout.added(rows, self.narrow(wide)))  # type: ignore[no-any-return]  # torch: __call__ is Any


def placed(rows: Tensor, spans: Spans) -> Tensor:
    """Add to rows (R, M) what tells their place in their clip: sines of M / 2 wavelengths, then cosines (MulT, eq. 2)."""
    starts = (spans.lengths.cumsum(0) - spans.lengths).to(rows.device)
    places = torch.arange(len(rows), device=rows.device) - starts[spans.owners]  # (R,)
    rates = torch.exp(torch.arange(0, rows.shape[1], 2, device=rows.device) * (-math.log(10_000) / rows.shape[1]))
    angles = (places[:, None] * rates).to(rows.dtype)
    return rows + torch.cat([angles.sin(), angles.cos()], dim=1)[:, : rows.shape[1]]


def require_divides(heads: int, width: int, name: str) -> None:
    """Refuse heads that do not divide the width that goes by this name."""
    if width % heads:
        raise ValueError(f"heads must divide {name} {width}, got {heads}")


def highest(padded: Tensor, mask: Tensor) -> Tensor:
    """Give each clip's largest entries over its rows: (B, L, D) and (B, L) to (B, D)."""
    return padded.masked_fill(~mask[:, :, None], -torch.inf).amax(dim=1)
