"""Losses: symmetric InfoNCE (eq. 9-11) and their sum with the task's (eq. 21)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(text: Tensor, audio: Tensor, logit_scale: Tensor, transcripts: Tensor | None = None) -> Tensor:
    """Contrast each pair with all others of the batch, both ways.

    Args:
        text: (P, S) projected text, not normalised.
        audio: (P, S) projected audio; row i belongs to row i of `text`.
        logit_scale: Scalar 1 / tau.
        transcripts: (P,) int64, equal where two pairs say the same; those are not contrasted. None contrasts all.

    Returns:
        Scalar L_con of eq. 11; 0 when fewer than two pairs leave nothing to contrast with.
    """
    if len(text) < 2:
        return text.new_zeros(())
    text, audio = functional.normalize(text, dim=-1), functional.normalize(audio, dim=-1)
    logits = (logit_scale * text) @ audio.T  # (P, P) cosines / tau
    if transcripts is not None:
        duplicates = transcripts[:, None] == transcripts[None, :]  # (P, P)
        logits = logits.masked_fill(duplicates.fill_diagonal_(False), -math.inf)
    return _SymmetricCrossEntropy.apply(logits)  # type: ignore[no-any-return, no-untyped-call]


class _SymmetricCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of rows and of columns of (P, P) logits whose diagonal is right, with its gradient in closed form.

    Autograd would keep two log-softmaxes and walk through them again; rows' and columns' softmax R and C give both: the
    gradient is (R + C - 2 I) / 2 P.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        rows, columns = logits.softmax(dim=1), logits.softmax(dim=0)  # (P, P) each
        # log sum exp, from the largest entry: it is at least 1 / P of the whole, so its logarithm is safe
        row_sums = logits.amax(dim=1) - rows.amax(dim=1).log()  # (P,)
        column_sums = logits.amax(dim=0) - columns.amax(dim=0).log()  # (P,)
        text_to_audio = row_sums - logits.diagonal()  # eq. 9, (P,)
        audio_to_text = column_sums - logits.diagonal()  # eq. 10, (P,)
        gradient = rows.add_(columns).div_(2 * len(logits))  # (P, P)
        gradient.diagonal().sub_(1 / len(logits))
        ctx.save_for_backward(gradient)
        return (text_to_audio + audio_to_text).mean() / 2  # eq. 11

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient  # type: ignore[no-any-return]


def total_loss(task: Tensor, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Add a model's own losses to the task's: L_task + lambda * L_con (eq. 21) where the model is SADGR.

    Args:
        task: Scalar.
        losses: Name -> scalar.
        weights: Name -> weight; 1 where it is not named.
    """
    return task + sum(weights.get(name, 1.0) * loss for name, loss in losses.items())
