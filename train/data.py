"""One clip as tensors, and clips of different lengths as one padded batch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sadgr.train.config import AudioMean, ModelConfig
from sadgr.train.errors import TrainError

if TYPE_CHECKING:
    from sadgr.cache import ClipFeatures

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
        target: Sentiment; 0 where a clip is only predicted.
    """

    clip_id: str
    text: Tensor
    audio: Tensor
    video: Tensor
    text_mean: Tensor
    audio_mean: Tensor
    present: tuple[bool, bool, bool]
    paired: bool
    target: float = 0.0


@dataclass(frozen=True)
class Batch:
    """B padded clips; masks are True where valid. N and Lv are the longest of the batch.

    Attributes:
        text: (B, N, Dt) float32.
        audio: (B, N, Da) float32, on the same word axis.
        word_mask: (B, N) bool.
        video: (B, Lv, Dv) float32.
        frame_mask: (B, Lv) bool.
        text_mean: (B, Dt) float32.
        audio_mean: (B, Da) float32.
        present: (B, 3) bool: text, audio, video.
        paired: (B,) bool, both means are there.
        target: (B,) float32.
    """

    text: Tensor
    audio: Tensor
    word_mask: Tensor
    video: Tensor
    frame_mask: Tensor
    text_mean: Tensor
    audio_mean: Tensor
    present: Tensor
    paired: Tensor
    target: Tensor

    def to(self, device: torch.device) -> Self:
        """Give the same batch on another device."""
        return type(self)(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def collate(clips: Sequence[ClipTensors]) -> Batch:
    """Pad clips at the end to the longest of them."""
    return Batch(
        text=pad_sequence([clip.text for clip in clips], batch_first=True),
        audio=pad_sequence([clip.audio for clip in clips], batch_first=True),
        word_mask=_length_mask([len(clip.text) for clip in clips]),
        video=pad_sequence([clip.video for clip in clips], batch_first=True),
        frame_mask=_length_mask([len(clip.video) for clip in clips]),
        text_mean=torch.stack([clip.text_mean for clip in clips]),
        audio_mean=torch.stack([clip.audio_mean for clip in clips]),
        present=torch.tensor([clip.present for clip in clips]),
        paired=torch.tensor([clip.paired for clip in clips]),
        target=torch.tensor([clip.target for clip in clips], dtype=torch.float32),
    )


def clip_tensors(
    clip: "ClipFeatures", widths: ModelConfig, audio_mean: AudioMean = "mean", target: float = 0.0
) -> ClipTensors:
    """Turn cached features into the model's sequences.

    Text and audio share the word axis. A modality that has no words but a mean is one span over the whole clip, so its
    mean stands at every word of the other; an absent one has rows of zeros there, which the model replaces.

    Args:
        clip: Cached features, None for what is absent.
        widths: What the model expects.
        audio_mean: Which mean of the audio L_con reads.
        target: The clip's label.

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


def _length_mask(lengths: Sequence[int]) -> Tensor:
    """(B, longest) bool, True at the first lengths[b] positions of row b."""
    return torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]


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
