"""Audio features of a Whisper encoder, which takes windows of 30 s and pads shorter audio to that."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from sadgr.align.grid import FrameGrid
from sadgr.extract.audio import AudioFeatures, AudioInput, Frames, Waveform, check_count, feature_extractor, whole
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import load_model
from sadgr.extract.errors import ClipError
from sadgr.extract.layers import LAST, Layer
from sadgr.extract.media.audio import SAMPLE_RATE_HZ
from sadgr.extract.windows import join

HOP_SAMPLES = 320
WINDOW_SECONDS = 30
OVERLAP_SECONDS = 4
WINDOWING = {"window_seconds": WINDOW_SECONDS, "overlap_seconds": OVERLAP_SECONDS}
_WINDOW = WINDOW_SECONDS * SAMPLE_RATE_HZ
_OVERLAP = OVERLAP_SECONDS * SAMPLE_RATE_HZ
_WINDOW_FRAMES = _WINDOW // HOP_SAMPLES


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
        layer: which layer the frames come from.
        dtype: what it computes in.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        layer: Layer = LAST,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._layer = layer.of(checkpoint.config())
        self._dtype = dtype
        model: Any = load_model(checkpoint, device, dtype)
        self._encoder = model.get_encoder()
        self._device = device
        self._extractor = feature_extractor(checkpoint)
        self.width: int = model.config.d_model
        self.at_once = 1

    def grid(self, samples: int) -> FrameGrid:
        """Return the frame grid: hop 320, centre 320 t, as many frames as have their centre in the audio."""
        return FrameGrid(HOP_SAMPLES, 0, -(-samples // HOP_SAMPLES), SAMPLE_RATE_HZ)

    def prepare(self, raw: Waveform) -> AudioInput:
        """Take a waveform.

        Raises:
            ClipError: it is empty.
        """
        if len(raw) == 0:
            raise ClipError("the audio has no samples")
        return AudioInput(raw)

    def streams(self, batch: Sequence[AudioInput]) -> Iterator[Iterable[Frames]]:
        """Give the frames of each clip, in blocks."""
        return map(self.blocks, batch)

    def blocks(self, one: AudioInput) -> Iterator[Frames]:
        """Give a clip's frames window by window, in order: blocks (m, D) float32, together (La, D)."""
        count = self.grid(one.samples).count
        starts = window_starts(one.samples)
        edges = [(start // HOP_SAMPLES, min(start // HOP_SAMPLES + _WINDOW_FRAMES, count)) for start in starts]
        for start, window in zip(starts, join(edges, count), strict=True):
            yield self._frames(one.waveform[start : start + _WINDOW])[window.kept]

    def encode(self, batch: Sequence[AudioInput]) -> list[AudioFeatures]:
        """Return the frames of each clip."""
        return [whole(self.blocks(one), self.grid(one.samples)) for one in batch]

    @torch.inference_mode()
    def _frames(self, samples: Waveform) -> Frames:
        """Return the frames of a window of 30 s, (1500, D), those beyond the end of its samples included."""
        mels = self._extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        output = self._encoder(mels.to(self._device, self._dtype), output_hidden_states=not self._layer.is_last)
        hidden: Frames = self._layer.pick(output)[0].float().cpu().numpy()  # (1500, D)
        check_count(len(hidden), _WINDOW_FRAMES)
        return hidden
