"""Losses: symmetric InfoNCE (eq. 9-11) and their sum with the task's (eq. 21)."""

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(text: Tensor, audio: Tensor, logit_scale: Tensor) -> Tensor:
    """Contrast each pair with all others of the batch, both ways.

    Args:
        text: (P, S) projected text, not normalised.
        audio: (P, S) projected audio; row i belongs to row i of `text`.
        logit_scale: Scalar 1 / tau.

    Returns:
        Scalar L_con of eq. 11; 0 when fewer than two pairs leave nothing to contrast with.
    """
    if len(text) < 2:
        return text.new_zeros(())
    similarity = functional.normalize(text, dim=-1) @ functional.normalize(audio, dim=-1).T  # (P, P) cosines
    logits = logit_scale * similarity
    own = torch.arange(len(text), device=text.device)
    text_to_audio = functional.cross_entropy(logits, own)  # eq. 9
    audio_to_text = functional.cross_entropy(logits.T, own)  # eq. 10
    return (text_to_audio + audio_to_text) / 2  # eq. 11


def total_loss(task: Tensor, contrastive: Tensor, contrastive_weight: float) -> Tensor:
    """L_task + lambda * L_con (eq. 21)."""
    return task + contrastive_weight * contrastive
