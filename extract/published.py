"""What is known of published data sets: clips a split, and the range of their labels. Facts to compare with, no more."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A data set as others count it.

    Attributes:
        counts: who counted -> split (or part) -> clips.
        low: smallest sentiment label.
        high: largest.
    """

    counts: Mapping[str, Mapping[str, int]]
    low: float = -3.0
    high: float = 3.0


EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
EMOTION_RANGE = (0.0, 3.0)
DATASETS: Mapping[str, Published] = {
    "mosei": Published(
        {
            "CMU-MultimodalSDK": {"train": 16327, "valid": 1871, "test": 4662},
            "MMSA": {"train": 16326, "valid": 1871, "test": 4659},
        }
    ),
    "mosi": Published({"CMU-MultimodalSDK, MMSA": {"train": 1284, "valid": 229, "test": 686}}),
    "sims": Published({"MMSA": {"train": 1368, "valid": 456, "test": 457}}, -1.0, 1.0),
    "librispeech": Published(
        {
            "OpenSLR 12": {
                "train-clean-100": 28539,
                "train-clean-360": 104014,
                "train-other-500": 148688,
                "dev-clean": 2703,
                "dev-other": 2864,
                "test-clean": 2620,
                "test-other": 2939,
            }
        }
    ),
}


def published(*names: str | None) -> Published | None:
    """Return what is known of the first of these names that holds a known data set's, such as `my-mosi`."""
    for name in filter(None, names):
        for known, facts in DATASETS.items():
            if known in name.lower():
                return facts
    return None
