"""Audio features: the frames of a HuBERT-, WavLM-, wav2vec2- or Whisper-like encoder (eq. 2), and their grid."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sadgr.align.grid import FrameGrid
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import Encoder, encoder_settings
from sadgr.extract.errors import ExtractError, ModelUnavailableError
from sadgr.extract.layers import LAST, Layer
from sadgr.extract.media.audio import AUDIO_POLICY, SAMPLE_RATE_HZ

Waveform = npt.NDArray[np.float32]
Frames = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AudioInput:
    """One clip's sound, made ready: what goes into the model is (waveform - shift) / scale.

    Attributes:
        waveform: (n,) float32 at 16 kHz.
        shift: in float64; what the whole clip's normalisation takes off.
        scale: in float64; what it divides by.
    """

    waveform: Waveform
    shift: float = 0.0
    scale: float = 1.0

    @property
    def samples(self) -> int:
        """Length of the clip, n."""
        return len(self.waveform)


@dataclass(frozen=True)
class AudioFeatures:
    """`frames` (La, D) float32, and where on the time line their centres lie."""

    frames: Frames
    grid: FrameGrid


class AudioEncoder(Encoder[Waveform, AudioInput, AudioFeatures], Protocol):
    """Any encoder of 16 kHz mono waveforms (n,) float32."""

    def grid(self, samples: int) -> FrameGrid:
        """Return where the frames of a clip of this many samples lie."""
        ...

    def streams(self, batch: Sequence[AudioInput]) -> Iterator[Iterable[Frames]]:
        """Give the frames of each clip, in order, in blocks (m, D) float32, so that an hour needs no more memory than a window."""
        ...


def audio_settings(checkpoint: Checkpoint, layer: Layer = LAST, dtype: str = "float32") -> dict[str, Any]:
    """Return what decides the features of an audio checkpoint, its windowing included.

    Raises:
        ModelUnavailableError: it has no such layer.
    """
    if checkpoint.config().get("model_type") == "whisper":
        from sadgr.extract.whisper import WINDOWING

        windowing = WINDOWING
    else:
        from sadgr.extract.waveform import windowing_of

        windowing = windowing_of(checkpoint.config()).settings()
    return encoder_settings(checkpoint, layer, dtype, windowing=windowing, decoder=AUDIO_POLICY)


def load_audio_encoder(
    checkpoint: Checkpoint, device: torch.device, layer: Layer = LAST, dtype: torch.dtype = torch.float32
) -> AudioEncoder:
    """Return the encoder for a checkpoint's family.

    Raises:
        ModelUnavailableError: neither a Whisper nor a convolutional waveform model, or one without such a layer.
    """
    config = checkpoint.config()
    if config.get("model_type") == "whisper":
        from sadgr.extract.whisper import WhisperEncoder

        return WhisperEncoder(checkpoint, device, layer, dtype)
    if "conv_kernel" in config and "conv_stride" in config:
        from sadgr.extract.waveform import WaveformEncoder

        return WaveformEncoder(checkpoint, device, layer, dtype=dtype)
    raise ModelUnavailableError(
        f"{checkpoint.folder} is a {config.get('model_type')!r} model; expected a HuBERT, WavLM, wav2vec2 or Whisper one"
    )


def check_count(found: int, expected: int) -> None:
    """Hold the model's frame count against its grid: a difference would shift every word.

    Raises:
        ExtractError: they differ, so this checkpoint's grid is not what its config says.
    """
    if found != expected:
        raise ExtractError(f"the model gave {found} frames where its grid has {expected}; the grid is wrong")


def whole(blocks: Iterable[Frames], grid: FrameGrid) -> AudioFeatures:
    """Put a clip's blocks of frames together."""
    return AudioFeatures(np.concatenate(list(blocks)), grid)


def feature_extractor(checkpoint: Checkpoint) -> Any:
    """Return the checkpoint's own feature extractor, which says how its audio was normalised."""
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"{checkpoint.folder} has no preprocessor_config.json, so nobody can tell how its audio was normalised"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise ModelUnavailableError(
            f"{checkpoint.folder} takes {extractor.sampling_rate} Hz; only 16000 Hz is supported"
        )
    return extractor
