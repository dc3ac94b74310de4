"""From three sequences to one vector for a clip (eq. 19)."""

import torch
from torch import Tensor, nn


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """Average (B, L, D) over the positions where mask (B, L) is True; each row needs one. Gives (B, D)."""
    weights = mask.to(sequence.dtype) / mask.sum(dim=1, keepdim=True)  # (B, L)
    # Padding is set to 0 rather than only weighted with it: 0 times a value that is not finite would not be 0.
    return torch.einsum("bld,bl->bd", sequence.masked_fill(~mask[..., None], 0.0), weights)


class Fusion(nn.Module):
    """Concatenate the three clip vectors and mix them in one hidden layer (eq. 19)."""

    def __init__(self, d_text: int, d_audio: int, d_video: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_text + d_audio + d_video, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        """Fuse (B, d_text), (B, d_audio) and (B, d_video) to (B, hidden)."""
        joined = torch.cat([text, audio, video], dim=-1)  # (B, d_text + d_audio + d_video)
        return self.dropout(self.hidden(joined).relu())  # type: ignore[no-any-return]
