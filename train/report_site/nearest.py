"""Which clips lie nearest to a clip in the space that text and audio share: across the two, text to audio and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.heads import ProjectionHeads
from sadgr.train.retrieval import TIE

NEIGHBOURS = 5
CHUNK_ROWS = 1024


@dataclass(frozen=True)
class Near:
    """What is near to one clip's text among the audio of P clips, or to its audio among their text.

    Attributes:
        places: (K,) of the nearest clips, the nearest first; its own may be among them.
        cosines: (K,) of each.
        own: Cosine to its own other half.
        rank: Which of the P its own half is, counted from 1; another that is equally near counts as nearer.
        among: P.
    """

    places: tuple[int, ...]
    cosines: tuple[float, ...]
    own: float
    rank: int
    among: int


def heads_of(models: Sequence[nn.Module]) -> list[ProjectionHeads] | None:
    """Return the projection heads of each model; None where the model has no space that text and audio share."""
    found = [getattr(model, "heads", None) for model in models]
    heads = [one for one in found if isinstance(one, ProjectionHeads)]
    return heads if len(heads) == len(found) else None


@torch.no_grad()
def nearest(
    heads: Sequence[ProjectionHeads], text: Tensor, audio: Tensor, queries: Tensor, backwards: bool = False
) -> list[Near]:
    """Find what is nearest by cosine of projected means (eq. 7-8), the mean over seeds of that.

    Args:
        heads: Of each seed, on the CPU.
        text: (P, Dt) means of the clips that have both.
        audio: (P, Da) of the same clips.
        queries: (Q,) places of the clips that ask, among the P.
        backwards: Their audio asks for text, instead of their text for audio.

    Returns:
        One for each of the Q.
    """
    found: list[Near] = []
    for start in range(0, len(queries), CHUNK_ROWS):
        part = queries[start : start + CHUNK_ROWS]
        cosines = torch.stack([_cosines(one, text, audio, part, backwards) for one in heads]).mean(dim=0)  # (q, P)
        own = cosines.gather(1, part[:, None])  # (q, 1)
        ranks = (cosines >= own - TIE).sum(dim=1)
        top = cosines.topk(min(NEIGHBOURS, cosines.shape[1]), dim=1)
        found += [
            Near(tuple(places), tuple(values), float(mine), int(rank), len(text))
            for places, values, mine, rank in zip(
                top.indices.tolist(), top.values.tolist(), own[:, 0].tolist(), ranks.tolist(), strict=True
            )
        ]
    return found


def _cosines(heads: ProjectionHeads, text: Tensor, audio: Tensor, queries: Tensor, backwards: bool) -> Tensor:
    """Return (Q, P) cosines of one seed."""
    projected_text, projected_audio = (functional.normalize(one, dim=-1) for one in heads(text, audio))  # (P, S) each
    asked, answers = (projected_audio, projected_text) if backwards else (projected_text, projected_audio)
    return asked[queries] @ answers.T
