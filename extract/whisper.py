"""Audio features of a Whisper encoder, which takes windows of 30 s and pads shorter audio to that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sadgr.align.pooling import FrameGrid
from sadgr.extract.audio import AudioFeatures, AudioInput, Waveform, checked, feature_extractor
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import load_model
from sadgr.extract.errors import ClipError
from sadgr.extract.media.audio import SAMPLE_RATE_HZ

HOP_SAMPLES = 320
WINDOW_SECONDS = 30
OVERLAP_SECONDS = 4
WINDOWING = {"window_seconds": WINDOW_SECONDS, "overlap_seconds": OVERLAP_SECONDS}
_WINDOW = WINDOW_SECONDS * SAMPLE_RATE_HZ
_OVERLAP = OVERLAP_SECONDS * SAMPLE_RATE_HZ


def window_starts(samples: int) -> list[int]:
    """Return where windows of 30 s begin, in samples: each overlaps the one before by 4 s; the last may be short."""
    step = _WINDOW - _OVERLAP
    return list(range(0, max(samples - _OVERLAP, 1), step))


class WhisperEncoder:
    """The frozen encoder half of a Whisper model.

    Frames beyond the end of the audio are cropped; of two windows' frames in an overlap, each counts to its middle.

    Args:
        checkpoint: model and feature extractor.
        device: where it computes.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        model: Any = load_model(checkpoint, device)
        self._encoder = model.get_encoder()
        self._device = device
        self._extractor = feature_extractor(checkpoint)
        self.width: int = model.config.d_model

    def grid(self, samples: int) -> FrameGrid:
        """Return the frame grid: hop 320, centre 320 t, as many frames as have their centre in the audio."""
        return FrameGrid(HOP_SAMPLES, 0, -(-samples // HOP_SAMPLES), SAMPLE_RATE_HZ)

    def prepare(self, raw: Waveform) -> AudioInput:
        """Turn a waveform into log-mel windows, (W, mels, 3000).

        Raises:
            ClipError: it is empty.
        """
        if len(raw) == 0:
            raise ClipError("the audio has no samples")
        windows = [raw[start : start + _WINDOW] for start in window_starts(len(raw))]
        mels = self._extractor(windows, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        return AudioInput(mels, len(raw))

    @torch.inference_mode()
    def encode(self, batch: Sequence[AudioInput]) -> list[AudioFeatures]:
        """Return the frames of each clip."""
        features = []
        for one in batch:
            hidden = self._encoder(one.windows.to(self._device)).last_hidden_state.float().cpu()  # (W, 1500, D)
            features.append(checked(_joined(hidden, one.samples), self.grid(one.samples)))
        return features


def _joined(hidden: torch.Tensor, samples: int) -> torch.Tensor:
    """Put windows (W, 1500, D) together to the clip's real frames (La, D)."""
    starts = np.array(window_starts(samples)) // HOP_SAMPLES
    half = _OVERLAP // HOP_SAMPLES // 2
    count = -(-samples // HOP_SAMPLES)
    parts = []
    for window, start in enumerate(starts):
        first = 0 if window == 0 else half
        last = count - start if window == len(starts) - 1 else hidden.shape[1] - half
        parts.append(hidden[window, first:last])
    return torch.cat(parts)
