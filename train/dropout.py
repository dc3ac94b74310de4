"""Dropout, whose random numbers cost a CPU a third of what torch's do."""

import torch
from torch import Tensor, nn

LEVELS = 2**16
"""A chance is as fine as this: 16 random bits decide about an entry."""


class Dropout(nn.Dropout):
    """Set entries to 0 with chance p, and scale the others so that the mean stays.

    On a CPU torch draws one number after another, which is a tenth of MulT's training. Here one draw of torch's generator, whose
    seed decides all, serves four entries. p is rounded to a multiple of 2**-16, and the scale follows what it then is.
    """

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """Map rows of any shape."""
        kept = self._kept(input)
        return super().forward(input) if kept is None else input * kept

    def added(self, rows: Tensor, given: Tensor) -> Tensor:
        """Add what is left of `given` to rows, both of any shape, in one operation."""
        kept = self._kept(given)
        return rows + super().forward(given) if kept is None else torch.addcmul(rows, given, kept)

    def _kept(self, rows: Tensor) -> Tensor | None:
        """What entries are multiplied with; None where torch's own does it."""
        dropped = round(self.p * LEVELS)
        if not self.training or not dropped or dropped == LEVELS or rows.device.type != "cpu":
            return None
        count = rows.numel()
        drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
        bits = drawn.view(torch.int16)[:count].view(rows.shape)
        kept = bits.to(torch.float32).ge_(dropped - LEVELS // 2)  # without bool, which would take twice as long
        return kept.mul_(LEVELS / (LEVELS - dropped)).to(rows.dtype)
