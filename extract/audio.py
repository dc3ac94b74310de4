"""Audio features: the last layer of a HuBERT-, WavLM- or wav2vec2-like encoder (eq. 2), and its frame grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from sadgr.align.pooling import FrameGrid
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import Encoder, encoder_settings, load_model
from sadgr.extract.errors import ClipError, ExtractError, ModelUnavailableError
from sadgr.extract.media.audio import AUDIO_POLICY, SAMPLE_RATE_HZ

Waveform = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AudioInput:
    """One clip's waveform, made ready.

    Attributes:
        windows: (W, ...) float32, what the model takes: a normalised waveform (1, n), or W log-mel windows.
        samples: n, length of the clip at 16 kHz.
    """

    windows: torch.Tensor
    samples: int


@dataclass(frozen=True)
class AudioFeatures:
    """`frames` (La, D) float32, and where on the time line their centres lie."""

    frames: npt.NDArray[np.float32]
    grid: FrameGrid


class AudioEncoder(Encoder[Waveform, AudioInput, AudioFeatures], Protocol):
    """Any encoder of 16 kHz mono waveforms (n,) float32."""

    def grid(self, samples: int) -> FrameGrid:
        """Return where the frames of a clip of this many samples lie."""
        ...


class WaveformEncoder:
    """A frozen encoder whose front end is a stack of convolutions over the waveform.

    Args:
        checkpoint: model and feature extractor.
        device: where it computes.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._model = load_model(checkpoint, device)
        self._device = device
        self._normalise = bool(feature_extractor(checkpoint).do_normalize)
        config = self._model.config
        self._kernels, self._strides = list(config.conv_kernel), list(config.conv_stride)
        self.width: int = config.hidden_size

    def grid(self, samples: int) -> FrameGrid:
        """Return the frame grid of a clip: hop and first centre follow from kernels and strides.

        HuBERT: hop 320, first centre 200, (n - 400) // 320 + 1 frames.
        """
        field, hop, count = 1, 1, samples
        for kernel, stride in zip(self._kernels, self._strides, strict=True):
            field += (kernel - 1) * hop
            hop *= stride
            count = max((count - kernel) // stride + 1, 0)
        return FrameGrid(prod(self._strides), field // 2, count, SAMPLE_RATE_HZ)

    def prepare(self, raw: Waveform) -> AudioInput:
        """Normalise a waveform over the whole clip, where the checkpoint was trained so.

        Raises:
            ClipError: it is shorter than one frame.
        """
        if self.grid(len(raw)).count == 0:
            raise ClipError(
                f"the audio has {len(raw)} samples ({len(raw) / 16:.1f} ms), less than one frame of the model"
            )
        wave = raw.astype(np.float64)
        if self._normalise:  # as Wav2Vec2FeatureExtractor: zero mean, unit variance, 1e-7 under the root
            wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        return AudioInput(torch.from_numpy(wave.astype(np.float32))[None, :], len(raw))

    @torch.inference_mode()
    def encode(self, batch: Sequence[AudioInput]) -> list[AudioFeatures]:
        """Return the frames of each clip.

        One clip at a time: HuBERT-base normalises its first convolution over time, so that padding would change the
        features themselves, whatever the attention mask.
        """
        features = []
        for one in batch:
            hidden = self._model(one.windows.to(self._device)).last_hidden_state[0].float().cpu()  # (La, D)
            features.append(checked(hidden, self.grid(one.samples)))
        return features


def audio_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what decides the features of an audio checkpoint, its windowing included."""
    if checkpoint.config().get("model_type") == "whisper":
        from sadgr.extract.whisper import WINDOWING

        return encoder_settings(checkpoint, windowing=WINDOWING, decoder=AUDIO_POLICY)
    return encoder_settings(checkpoint, windowing=None, decoder=AUDIO_POLICY)


def load_audio_encoder(checkpoint: Checkpoint, device: torch.device) -> AudioEncoder:
    """Return the encoder for a checkpoint's family.

    Raises:
        ModelUnavailableError: neither a Whisper nor a convolutional waveform model.
    """
    config = checkpoint.config()
    if config.get("model_type") == "whisper":
        from sadgr.extract.whisper import WhisperEncoder

        return WhisperEncoder(checkpoint, device)
    if "conv_kernel" in config and "conv_stride" in config:
        return WaveformEncoder(checkpoint, device)
    raise ModelUnavailableError(
        f"{checkpoint.folder} is a {config.get('model_type')!r} model; expected a HuBERT, WavLM, wav2vec2 or Whisper one"
    )


def checked(hidden: torch.Tensor, grid: FrameGrid) -> AudioFeatures:
    """Hold the model's frame count against its grid: a difference would shift every word.

    Raises:
        ExtractError: they differ, so this checkpoint's grid is not what its config says.
    """
    if hidden.shape[0] != grid.count:
        raise ExtractError(
            f"the model gave {hidden.shape[0]} frames where its grid has {grid.count}; the grid is wrong"
        )
    return AudioFeatures(hidden.numpy(), grid)


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
