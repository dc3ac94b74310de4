"""From three sequences to one vector for a clip (eq. 19)."""

import torch
from torch import Tensor, nn

from sadgr.train.dropout import Dropout


class Fusion(nn.Module):
    """Concatenate the three clip vectors and mix them in one hidden layer (eq. 19)."""

    def __init__(self, d_text: int, d_audio: int, d_video: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_text + d_audio + d_video, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        """Fuse (B, d_text), (B, d_audio) and (B, d_video) to (B, hidden)."""
        joined = torch.cat([text, audio, video], dim=-1)  # (B, d_text + d_audio + d_video)
        return self.dropout(self.hidden(joined).relu())  # type: ignore[no-any-return]
