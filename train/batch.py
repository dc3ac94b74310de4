"""Some clips as a batch: what a model reads of them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from sadgr.train.modalities import AUDIO, TEXT, VIDEO
from sadgr.train.ragged import Spans


class Features:
    """Words and frames of B clips, end to end, and their means: what a model does not ask for is not gathered.

    Modalities go by their number, as `TEXT`, `AUDIO` and `VIDEO` say it.

    Args:
        words: How words belong to clips.
        frames: How frames belong to clips.
        rows: Gives a modality's rows, float32: text (sum of N, Dt), audio (sum of N, Da), the same words, spoken, or video
            (sum of Lv, Dv).
        mean: Gives the mean of each clip's rows, (B, D), where somebody has it already.
    """

    def __init__(
        self,
        words: Spans,
        frames: Spans,
        rows: Callable[[int], Tensor],
        mean: Callable[[int], Tensor] | None = None,
    ) -> None:
        self.words, self.frames = words, frames
        self._read, self._known = rows, mean
        self._rows: dict[int, Tensor] = {}
        self._means: dict[int, Tensor] = {}

    @classmethod
    def of(cls, text: Tensor, audio: Tensor, video: Tensor, words: Spans, frames: Spans) -> Self:
        """Take rows as they are."""
        return cls(words, frames, (text, audio, video).__getitem__)

    def gathered(self, device: torch.device) -> Self:
        """Give the same rows, gathered, on a device; their means are still to be taken."""
        text, audio, video = (self.rows(one).to(device) for one in (TEXT, AUDIO, VIDEO))
        return self.of(text, audio, video, self.words.to(device), self.frames.to(device))

    def rows(self, modality: int) -> Tensor:
        """Give a modality's rows."""
        if modality not in self._rows:
            self._rows[modality] = self._read(modality)
        return self._rows[modality]

    def mean(self, modality: int) -> Tensor:
        """Give the mean of each clip's rows, (B, D)."""
        if modality not in self._means:
            spans = self.frames if modality == VIDEO else self.words
            self._means[modality] = self._known(modality) if self._known else spans.mean(self.rows(modality))
        return self._means[modality]

    @property
    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        """Means of each clip's rows of text (B, Dt), audio (B, Da) and video (B, Dv)."""
        return self.mean(TEXT), self.mean(AUDIO), self.mean(VIDEO)


@dataclass(frozen=True)
class Batch:
    """B clips.

    Attributes:
        features: Their words and frames.
        text_mean: (B, Dt) float32, for L_con.
        audio_mean: (B, Da) float32, for L_con.
        present: (B, 3) bool: text, audio, video.
        complete: (3,) bool on the CPU: whether all clips have it. What stands in for nothing costs nothing.
        paired: (B,) bool, both means are there.
        target: (B, T) float32.
        numbers: (B,) int64 number of each clip among those that the batch was chosen from.
    """

    features: Features
    text_mean: Tensor
    audio_mean: Tensor
    present: Tensor
    complete: Tensor
    paired: Tensor
    target: Tensor
    numbers: Tensor

    @property
    def text(self) -> Tensor:
        """(sum of N, Dt) float32 words."""
        return self.features.rows(TEXT)

    @property
    def audio(self) -> Tensor:
        """(sum of N, Da) float32 the same words, spoken."""
        return self.features.rows(AUDIO)

    @property
    def video(self) -> Tensor:
        """(sum of Lv, Dv) float32 frames."""
        return self.features.rows(VIDEO)

    @property
    def words(self) -> Spans:
        """How words belong to clips."""
        return self.features.words

    @property
    def frames(self) -> Spans:
        """How frames belong to clips."""
        return self.features.frames

    def with_rows(self, **rows: Tensor) -> Self:
        """Give the same batch with other rows, as many, of `text`, `audio` or `video`; what is not named stays as it is."""
        given = {"text": self.text, "audio": self.audio, "video": self.video} | rows
        return replace(self, features=Features.of(**given, words=self.words, frames=self.frames))

    def with_present(self, present: Tensor) -> Self:
        """Give the same batch as if clips had these modalities alone, (B, 3) bool."""
        complete = present.all(dim=0).cpu()
        return replace(self, present=present, complete=complete, paired=self.paired & present[:, 0] & present[:, 1])

    def to(self, device: torch.device) -> Self:
        """Give the same batch on another device, its features gathered."""
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)[1:]}
        return type(self)(self.features.gathered(device), **{**moved, "complete": self.complete})
