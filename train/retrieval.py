"""How well text and audio find each other in the shared space."""

import math

import torch
from torch import Tensor
from torch.nn import functional

RANKS = (1, 5, 10)
CHUNK_ROWS = 1024


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
    found = {"t2a": _ranks(text, audio, transcripts), "a2t": _ranks(audio, text, transcripts)}
    recalls = {f"{way}_R@{k}": float((ranks < k).float().mean()) for way, ranks in found.items() for k in RANKS}
    return recalls | {"modality_gap": float((text.mean(dim=0) - audio.mean(dim=0)).norm())}


def _ranks(queries: Tensor, keys: Tensor, transcripts: Tensor | None) -> Tensor:
    """(P,) how many other keys are at least as near to query i as its own; in chunks, since P x P may not fit."""
    parts = []
    for start in range(0, len(queries), CHUNK_ROWS):
        similarity = queries[start : start + CHUNK_ROWS] @ keys.T  # (rows, P)
        if transcripts is None:
            own = similarity.diagonal(offset=start)[:, None]  # (rows, 1)
            parts.append((similarity >= own).sum(dim=1) - 1)
            continue
        same = transcripts[start : start + CHUNK_ROWS, None] == transcripts[None, :]  # (rows, P)
        own = similarity.masked_fill(~same, -math.inf).amax(dim=1, keepdim=True)  # (rows, 1)
        parts.append(((similarity >= own) & ~same).sum(dim=1))
    return torch.cat(parts)
