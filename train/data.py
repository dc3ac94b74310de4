"""One clip as tensors, many clips as columns, and some of them chosen as a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sadgr.train.batch import Batch, Features
from sadgr.train.config import AudioMean, ModelConfig, Widths
from sadgr.train.errors import TrainError
from sadgr.train.modalities import VIDEO
from sadgr.train.ragged import Spans

if TYPE_CHECKING:
    from sadgr.cache import ClipFeatures

CHUNK_CLIPS = 64
"""Clips whose means are taken at once."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class ClipTensors:
    """One clip, ready for the model. Rows of an absent modality are zeros that the model replaces.

    Attributes:
        clip_id: The cache's id.
        text: (N, Dt) words.
        audio: (N, Da) the same words, spoken.
        video: (Lv, Dv) frames.
        text_mean: (Dt,) for L_con.
        audio_mean: (Da,) for L_con.
        present: (3,) bool: text, audio, video.
        paired: Whether both mean vectors are there, so that the clip counts in L_con.
        target: What is to be learned, one number or several; 0 where a clip is only predicted.
    """

    clip_id: str
    text: Tensor
    audio: Tensor
    video: Tensor
    text_mean: Tensor
    audio_mean: Tensor
    present: tuple[bool, bool, bool]
    paired: bool
    target: tuple[float, ...] = (0.0,)


class Clips:
    """Many clips as columns, in float16 as the cache holds them, on the device where they are used.

    Args:
        clips: In the order in which they are numbered.
        device: Where the columns lie.

    Attributes:
        ids: Their ids.
        words: (n,) int64 number of words of each.
        frames: (n,) int64 number of video frames of each.
        target: (n, T) float32 on the CPU.
    """

    def __init__(self, clips: Sequence[ClipTensors], device: torch.device | None = None) -> None:
        self.ids = [clip.clip_id for clip in clips]
        self.words = np.array([len(clip.text) for clip in clips], np.int64)
        self.frames = np.array([len(clip.video) for clip in clips], np.int64)
        self.target = torch.tensor([clip.target for clip in clips], dtype=torch.float32)
        self.device = device or torch.device("cpu")
        self._first_word = np.cumsum(self.words) - self.words
        self._first_frame = np.cumsum(self.frames) - self.frames

        def column(tensors: Sequence[Tensor]) -> Tensor:
            return torch.cat([one.half() for one in tensors]).to(self.device) if tensors else torch.zeros(0, 0)

        self._text = column([clip.text for clip in clips])
        self._audio = column([clip.audio for clip in clips])
        self._video = column([clip.video for clip in clips])
        self._text_mean = column([clip.text_mean[None] for clip in clips])
        self._audio_mean = column([clip.audio_mean[None] for clip in clips])
        self._has = torch.tensor([clip.present for clip in clips])
        self.present = self._has.to(self.device)
        self._paired = torch.tensor([clip.paired for clip in clips]).to(self.device)
        self._target = self.target.to(self.device)
        self._means: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """N."""
        return len(self.ids)

    @property
    def columns(self) -> list[Tensor]:
        """All of its features."""
        return [self._text, self._audio, self._video, self._text_mean, self._audio_mean]

    def batch(self, chosen: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Give some clips, sorted by their number of words, so that those of like length stand together."""
        numbers = np.asarray(chosen, np.int64)
        numbers = numbers[np.argsort(self.words[numbers], kind="stable")]
        places = torch.from_numpy(numbers).to(self.device)
        rows, words, frames = self._rows(numbers)
        return Batch(
            features=Features(words, frames, rows, lambda modality: self._mean(modality).index_select(0, places)),
            text_mean=self._text_mean.index_select(0, places).float(),
            audio_mean=self._audio_mean.index_select(0, places).float(),
            present=self.present[places],
            complete=self._has[numbers].all(dim=0),
            paired=self._paired[places],
            target=self._target[places],
            numbers=places,
        )

    def _rows(self, numbers: NDArray[np.int64]) -> tuple[Callable[[int], Tensor], Spans, Spans]:
        """What gathers a modality's rows of some clips, and how their words and frames belong to them."""
        counts = self.words[numbers], self.frames[numbers]
        firsts = self._first_word[numbers], self._first_frame[numbers]

        @cache
        def places(of_frames: bool) -> Tensor:
            count, first = counts[of_frames], firsts[of_frames]
            before = np.repeat(first - (np.cumsum(count) - count), count)
            return torch.from_numpy(before + np.arange(int(count.sum()))).to(self.device)

        def rows(modality: int) -> Tensor:
            return self.columns[modality].index_select(0, places(modality == VIDEO)).float()

        words, frames = (Spans(torch.from_numpy(count), self.device) for count in counts)
        return rows, words, frames

    def _mean(self, modality: int) -> Tensor:
        """(n, D) float32 means of each clip's rows, taken once: when a model first asks for them."""
        if modality not in self._means:
            parts = []
            for start in range(0, len(self), CHUNK_CLIPS):
                numbers = np.arange(start, min(start + CHUNK_CLIPS, len(self)))
                rows, words, frames = self._rows(numbers)
                parts.append(Features(words, frames, rows).mean(modality))
            self._means[modality] = torch.cat(parts)
        return self._means[modality]


def collate(clips: Sequence[ClipTensors]) -> Batch:
    """Put a few clips into one batch, as exactly as they are."""
    return Batch(
        features=Features.of(
            text=torch.cat([clip.text for clip in clips]),
            audio=torch.cat([clip.audio for clip in clips]),
            video=torch.cat([clip.video for clip in clips]),
            words=Spans.of([len(clip.text) for clip in clips]),
            frames=Spans.of([len(clip.video) for clip in clips]),
        ),
        text_mean=torch.stack([clip.text_mean for clip in clips]),
        audio_mean=torch.stack([clip.audio_mean for clip in clips]),
        present=torch.tensor([clip.present for clip in clips]),
        complete=torch.tensor([clip.present for clip in clips]).all(dim=0),
        paired=torch.tensor([clip.paired for clip in clips]),
        target=torch.tensor([clip.target for clip in clips], dtype=torch.float32),
        numbers=torch.arange(len(clips)),
    )


def clip_tensors(
    clip: "ClipFeatures",
    widths: ModelConfig | Widths,
    audio_mean: AudioMean = "mean",
    target: tuple[float, ...] = (0.0,),
) -> ClipTensors:
    """Turn cached features into the model's sequences.

    Text and audio share the word axis. A modality that has no words but a mean is one span over the whole clip, so its
    mean stands at every word of the other; an absent one has rows of zeros there, which the model replaces.

    Args:
        clip: Cached features, None for what is absent.
        widths: What the model expects.
        audio_mean: Which mean of the audio L_con reads.
        target: What is to be learned of it.

    Raises:
        TrainError: Word axes that differ, a width other than the model's, a value that is not finite.
    """
    text, audio = _words_or_mean(clip.text_words, clip.text_mean), _words_or_mean(clip.audio_words, clip.audio_mean)
    n_words = _shared_length(clip)
    video = clip.video_frames if clip.video_frames is not None and len(clip.video_frames) else None
    means = clip.text_mean, clip.audio_mean if audio_mean == "mean" else clip.audio_mean_words
    return ClipTensors(
        clip_id=clip.clip_id,
        text=_tensor(text, (n_words, widths.d_text), f"clip {clip.clip_id!r}: text"),
        audio=_tensor(audio, (n_words, widths.d_audio), f"clip {clip.clip_id!r}: audio"),
        video=_tensor(video, (1 if video is None else len(video), widths.d_video), f"clip {clip.clip_id!r}: video"),
        text_mean=_tensor(means[0], (widths.d_text,), f"clip {clip.clip_id!r}: text mean"),
        audio_mean=_tensor(means[1], (widths.d_audio,), f"clip {clip.clip_id!r}: audio {audio_mean}"),
        present=(text is not None, audio is not None, video is not None),
        paired=means[0] is not None and means[1] is not None,
        target=target,
    )


def _words_or_mean(words: FloatArray | None, mean: FloatArray | None) -> FloatArray | None:
    """(N, D) words; a clip without words is one span, (1, D), its mean; None when it has neither."""
    if words is not None and len(words):
        return words
    return None if mean is None else mean[None, :]


def _shared_length(clip: "ClipFeatures") -> int:
    """Words on the axis that text and audio share, at least 1."""
    lengths = [len(words) for words in (clip.text_words, clip.audio_words) if words is not None and len(words)]
    if len(set(lengths)) > 1:
        raise TrainError(
            f"clip {clip.clip_id!r} has {lengths[0]} text words and {lengths[1]} audio words, expected the same words "
            "in both: choose --text and --audio feature sets made from one transcript, or extract again"
        )
    return lengths[0] if lengths else 1


def _tensor(array: FloatArray | None, shape: tuple[int, ...], what: str) -> Tensor:
    """Tensor of this shape: zeros for None, one row repeated where the first axis is longer."""
    if array is None:
        return torch.zeros(shape)
    if array.shape[-1] != shape[-1]:
        raise TrainError(f"{what} is {array.shape[-1]} wide, the model expects {shape[-1]}: choose its feature set")
    if not np.isfinite(array).all():
        raise TrainError(f"{what} holds a value that is not finite: extract this clip again")
    return torch.from_numpy(np.array(np.broadcast_to(array, shape), dtype=np.float32))
