"""How well text and audio find each other in the shared space."""

import math

import torch
from torch import Tensor
from torch.nn import functional

RANKS = (1, 5, 10)
CHUNK_ROWS = 1024
TIE = 1e-6
"""Cosines that are less apart are equal but for rounding."""


@torch.no_grad()
def retrieval_metrics(text: Tensor, audio: Tensor, transcripts: Tensor | None = None) -> dict[str, float]:
    """Search each pair's other half among all pairs.

    Args:
        text: (P, S) projected text.
        audio: (P, S) projected audio; row i belongs to row i of `text`.
        transcripts: (P,) int64, equal where two pairs say the same; then the nearest half of an equal transcript counts as
            the own one, and the others of that transcript are passed over. None: only the pair's own half counts.

    Returns:
        `t2a_R@k` and `a2t_R@k` for k = 1, 5, 10: the fraction of pairs whose own half is among the k nearest by cosine
        (another that is equally near counts as nearer, so that embeddings that are all alike find nothing), and
        `modality_gap`, the distance between the mean text and the mean audio embedding on the unit sphere.
    """
    text, audio = functional.normalize(text, dim=-1), functional.normalize(audio, dim=-1)
    if transcripts is None:
        found = dict(zip(("t2a", "a2t"), _ranks_of_pairs(text, audio), strict=True))
    else:
        found = {"t2a": _ranks(text, audio, transcripts), "a2t": _ranks(audio, text, transcripts)}
    recalls = {f"{way}_R@{k}": float((ranks < k).float().mean()) for way, ranks in found.items() for k in RANKS}
    return recalls | {"modality_gap": float((text.mean(dim=0) - audio.mean(dim=0)).norm())}


def _ranks_of_pairs(text: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Say for each text, (P,), how many other audios are at least as near as its own, and for each audio how many texts.

    In chunks, since P x P may not fit; one product tells both.
    """
    least = torch.linalg.vecdot(text, audio) - TIE  # (P,)
    of_text, of_audio = torch.empty_like(least), torch.zeros_like(least)
    for start in range(0, len(text), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        similarity = text[chunk] @ audio.T  # (rows, P)
        similarity.diagonal(offset=start).fill_(-math.inf)  # its own is no other
        of_text[chunk] = torch.ge(similarity, least[chunk, None]).sum(dim=1).to(least.dtype)
        of_audio += torch.ge(similarity, least).sum(dim=0)
    return of_text, of_audio


def _ranks(queries: Tensor, keys: Tensor, transcripts: Tensor) -> Tensor:
    """Say for each query, (P,), how many keys of other transcripts are at least as near as the nearest of its own."""
    parts = []
    for start in range(0, len(queries), CHUNK_ROWS):
        similarity = queries[start : start + CHUNK_ROWS] @ keys.T  # (rows, P)
        same = transcripts[start : start + CHUNK_ROWS, None] == transcripts[None, :]  # (rows, P)
        own = similarity.masked_fill(~same, -math.inf).amax(dim=1, keepdim=True)  # (rows, 1)
        parts.append(((similarity >= own - TIE) & ~same).sum(dim=1))
    return torch.cat(parts)
