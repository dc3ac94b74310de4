"""Some clips as a batch: what a model reads of them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from sadgr.train.ragged import Spans


class Features:
    """Words and frames of B clips, end to end, and their means: what a model does not ask for is not gathered.

    Args:
        words: How words belong to clips.
        frames: How frames belong to clips.
        rows: Gives text (sum of N, Dt), audio (sum of N, Da) the same words, spoken, or video (sum of Lv, Dv), by its number
            0 to 2; float32.
        mean: Gives the mean of each clip's rows likewise, (B, D), where somebody has it already.
    """

    def __init__(
        self,
        words: Spans,
        frames: Spans,
        rows: Callable[[int], Tensor],
        mean: Callable[[int], Tensor] | None = None,
    ) -> None:
        self.words, self.frames = words, frames
        self._rows, self._mean = rows, mean

    @classmethod
    def of(cls, text: Tensor, audio: Tensor, video: Tensor, words: Spans, frames: Spans) -> Self:
        """Take rows as they are."""
        return cls(words, frames, (text, audio, video).__getitem__)

    def gathered(self, device: torch.device) -> Self:
        """Give the same rows, gathered, on a device; their means are still to be taken."""
        text, audio, video = (one.to(device) for one in (self.text, self.audio, self.video))
        return self.of(text, audio, video, self.words.to(device), self.frames.to(device))

    @cached_property
    def text(self) -> Tensor:
        """(sum of N, Dt)."""
        return self._rows(0)

    @cached_property
    def audio(self) -> Tensor:
        """(sum of N, Da)."""
        return self._rows(1)

    @cached_property
    def video(self) -> Tensor:
        """(sum of Lv, Dv)."""
        return self._rows(2)

    @cached_property
    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        """Means of each clip's rows of text (B, Dt), audio (B, Da) and video (B, Dv)."""
        if self._mean is not None:
            return self._mean(0), self._mean(1), self._mean(2)
        return self.words.mean(self.text), self.words.mean(self.audio), self.frames.mean(self.video)


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
        return self.features.text

    @property
    def audio(self) -> Tensor:
        """(sum of N, Da) float32 the same words, spoken."""
        return self.features.audio

    @property
    def video(self) -> Tensor:
        """(sum of Lv, Dv) float32 frames."""
        return self.features.video

    @property
    def means(self) -> tuple[Tensor, Tensor, Tensor]:
        """Means of each clip's words, (B, Dt) and (B, Da), and frames, (B, Dv)."""
        return self.features.means

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
