"""CMU-MOSEI's labels, whichever table they come from, and how they join the transcripts' clips."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

VALUES = ("label", "happiness", "sadness", "anger", "surprise", "disgust", "fear")
"""Columns that a label fills: sentiment in [-3, 3], and emotions in [0, 3]."""
NO_VALUES: Mapping[str, str | float] = dict.fromkeys(VALUES, "")
TOLERANCE_SECONDS = 0.02
"""How far a label's times may lie from its clip's: tables round them to hundredths, up or down."""
_ROUNDING_SECONDS = 1e-6
"""1.52 - 1.5 is a little more than 0.02."""


@dataclass(frozen=True, eq=False)
class Label:
    """One utterance's labels.

    Attributes:
        video: its video.
        clip: its number in the video; empty where the table does not say.
        start_seconds: where it begins in the video; None where the table does not say.
        end_seconds: where it ends.
        values: `VALUES`, numbers or empty.
    """

    video: str
    clip: str
    start_seconds: float | None
    end_seconds: float | None
    values: Mapping[str, str | float]

    @property
    def place(self) -> str:
        """Where it says that it belongs, for messages."""
        if self.start_seconds is None or self.end_seconds is None:
            return f"clip {self.clip}"
        return f"{self.start_seconds:.3f} to {self.end_seconds:.3f} s"

    def off_by(self, start_seconds: float | None, end_seconds: float | None) -> float:
        """Return how far its times are from these, in seconds; infinity where either has none."""
        if self.start_seconds is None or self.end_seconds is None or start_seconds is None or end_seconds is None:
            return float("inf")
        return max(abs(self.start_seconds - start_seconds), abs(self.end_seconds - end_seconds))


class LabelTable:
    """All labels of a data set.

    Args:
        origin: the file or folder that they stand in; None where there are none.
        labels: in the table's order.
    """

    def __init__(self, origin: Path | None, labels: Iterable[Label]) -> None:
        self.origin = origin
        self._by_video: defaultdict[str, list[Label]] = defaultdict(list)
        for label in labels:
            self._by_video[label.video].append(label)

    def of(self, video: str, clip: str, start_seconds: float | None, end_seconds: float | None) -> Label | None:
        """Return a clip's label: the one with the nearest times, within the tolerance; else the one with its number."""
        labels = self._by_video.get(video, [])
        nearest = min(labels, key=lambda label: label.off_by(start_seconds, end_seconds), default=None)
        if nearest and nearest.off_by(start_seconds, end_seconds) <= TOLERANCE_SECONDS + _ROUNDING_SECONDS:
            return nearest
        return next((label for label in labels if label.clip == clip), None)

    def of_video(self, video: str) -> list[Label]:
        """Return all labels of a video."""
        return self._by_video.get(video, [])
