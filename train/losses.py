"""Losses: symmetric InfoNCE (eq. 9-11) and their sum with the task's (eq. 21)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    return _InfoNCE.apply(text, audio, logit_scale, transcripts)  # type: ignore[no-any-return, no-untyped-call]


class _InfoNCE(torch.autograd.Function):
    """`info_nce` of two pairs or more, with its gradient in closed form.

    Autograd would keep two log-softmaxes and a dozen arrays of the embeddings' size, and walk through them again. Rows' and
    columns' softmax R and C give both ways: the logits' gradient is (R + C - 2 I) / 2 P.
    """

    @staticmethod
    def forward(ctx: Any, text: Tensor, audio: Tensor, scale: Tensor, transcripts: Tensor | None) -> Tensor:
        (text, text_norms), (audio, audio_norms) = _unit(text), _unit(audio)
        logits = (text @ audio.T).mul_(scale)  # (P, P) cosines / tau
        if transcripts is not None:
            duplicates = transcripts[:, None] == transcripts[None, :]  # (P, P)
            logits = logits.masked_fill_(duplicates.fill_diagonal_(False), -math.inf)
        rows, columns = logits.softmax(dim=1), logits.softmax(dim=0)  # (P, P) each
        # log sum exp, from the largest entry: it is at least 1 / P of the whole, so its logarithm is safe
        row_sums = logits.amax(dim=1) - rows.amax(dim=1).log()  # (P,)
        column_sums = logits.amax(dim=0) - columns.amax(dim=0).log()  # (P,)
        text_to_audio = row_sums - logits.diagonal()  # eq. 9, (P,)
        audio_to_text = column_sums - logits.diagonal()  # eq. 10, (P,)
        gradient = rows.add_(columns).div_(2 * len(logits))  # (P, P)
        gradient.diagonal().sub_(1 / len(logits))
        ctx.save_for_backward(text, audio, text_norms, audio_norms, scale, gradient)
        return (text_to_audio + audio_to_text).mean() / 2  # eq. 11

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        text, audio, text_norms, audio_norms, scale, gradient = ctx.saved_tensors
        of_text, of_audio = gradient @ audio, gradient.T @ text  # (P, S) each
        along_text, along_audio = torch.linalg.vecdot(of_text, text), torch.linalg.vecdot(of_audio, audio)  # (P,)
        of_cosines = upstream * scale  # what the logits' gradient is to be multiplied with: cheaper here than there
        return (
            _through_unit(of_text, text, along_text, of_cosines / text_norms),
            _through_unit(of_audio, audio, along_audio, of_cosines / audio_norms),
            along_text.sum() * upstream,  # the logits' gradient times the cosines, summed
            None,
        )


def _unit(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Bring rows (P, S) to length 1; gives them and the lengths (P, 1) that they had."""
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(1e-12)
    return rows / norms, norms


def _through_unit(gradient: Tensor, unit: Tensor, along: Tensor, factors: Tensor) -> Tensor:
    """Gradient of the rows from that of their unit vectors (P, S), in place: what points along a row changes nothing."""
    return gradient.addcmul_(unit, along[:, None], value=-1).mul_(factors)


def total_loss(task: Tensor, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Add a model's own losses to the task's: L_task + lambda * L_con (eq. 21) where the model is SADGR.

    Args:
        task: Scalar.
        losses: Name -> scalar.
        weights: Name -> weight; 1 where it is not named.
    """
    return task + sum(weights.get(name, 1.0) * loss for name, loss in losses.items())
