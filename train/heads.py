"""Projection heads of STA-CA and their temperature (eq. 7-8)."""

import math

import torch
from torch import Tensor, nn

INITIAL_TEMPERATURE = 0.07
MAX_LOGIT_SCALE = 100.0


class ProjectionHeads(nn.Module):
    """Linear maps g_t and g_a into the shared space, and the temperature kept as log(1 / tau).

    The same heads serve mean vectors (pretraining, L_con) and single words (fine-tuning), since a linear map and a
    mean commute.
    """

    def __init__(self, d_text: int, d_audio: int, d_shared: int) -> None:
        super().__init__()
        self.text = nn.Linear(d_text, d_shared)  # g_t, eq. 7
        self.audio = nn.Linear(d_audio, d_shared)  # g_a, eq. 8
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))

    def forward(self, text: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Project (..., d_text) and (..., d_audio) to (..., d_shared) each."""
        return self.text(text), self.audio(audio)

    def logit_scale(self) -> Tensor:
        """Give 1 / tau, a scalar."""
        return self.log_scale.exp()

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Keep 1 / tau <= 100; call after each optimiser step.

        Limiting the parameter rather than its use leaves it a gradient at the limit, so that it can come back.
        """
        self.log_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
