"""How well text and audio can be told apart in the shared space, and whether pairs are near each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

FOLDS = 5
Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class Separability:
    """What holds of P pairs in the shared space itself, not in a picture of it.

    Attributes:
        accuracy: Of a cross-validated logistic regression that tells text from audio; 0.5 is fully mixed, 1 fully apart.
        pair_cosine: Mean cosine of a text and its own audio.
        other_cosine: Mean cosine of a text and another clip's audio.
    """

    accuracy: float
    pair_cosine: float
    other_cosine: float


def separability(text: Embeddings, audio: Embeddings) -> Separability:
    """Measure how mixed two modalities are.

    A pair's text and audio are always of one fold: were one of them learned from and the other asked for, well-aligned pairs
    would count as errors and bring the accuracy below 0.5.

    Args:
        text: (P, S), each of length 1; P is at least 2.
        audio: (P, S), row for row of the same clip.
    """
    count = len(text)
    rows = np.concatenate([text, audio])  # (2 P, S)
    is_audio = np.repeat([0, 1], count)
    folds = GroupKFold(min(FOLDS, count))
    pairs = np.tile(np.arange(count), 2)
    told = cross_val_predict(LogisticRegression(max_iter=1000), rows, is_audio, groups=pairs, cv=folds)
    cosines = text @ audio.T  # (P, P)
    own = float(np.trace(cosines))
    return Separability(
        accuracy=float((told == is_audio).mean()),
        pair_cosine=own / count,
        other_cosine=(float(cosines.sum()) - own) / (count * (count - 1)),
    )
