"""Encoders of the waveform itself: HuBERT, WavLM, wav2vec2."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sadgr.align.grid import FrameGrid
from sadgr.extract.audio import AudioFeatures, AudioInput, Frames, Waveform, check_count, feature_extractor, whole
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import load_model
from sadgr.extract.errors import ClipError
from sadgr.extract.group_norm import ClipStatistics, FirstNorm
from sadgr.extract.layers import LAST, Layer
from sadgr.extract.media.audio import SAMPLE_RATE_HZ
from sadgr.extract.parts import Budget, in_groups
from sadgr.extract.windows import Window, spread

SAMPLES_AT_ONCE, MOST_SAMPLES = 160 * SAMPLE_RATE_HZ, 1600 * SAMPLE_RATE_HZ
"""Sound that shares a pass of the transformer on a GPU, padding included: to begin with, and at most."""


@dataclass(frozen=True)
class Windowing:
    """How recordings longer than a window are cut; part of the fingerprint.

    Attributes:
        window_seconds: length of a window.
        overlap_seconds: what two neighbours share at least.
    """

    window_seconds: float = 180
    overlap_seconds: float = 10

    def settings(self) -> dict[str, Any]:
        """Return what decides the features of long recordings."""
        return {
            "version": 1,
            "window_seconds": self.window_seconds,
            "overlap_seconds": self.overlap_seconds,
            "normalised_over": "clip",
        }


def windowing_of(config: dict[str, Any]) -> Windowing:
    """Return the windows of a model: about 4 GB for a base-sized one, which is its convolutions in HuBERT.

    WavLM's biased attention holds several (heads, La, La) matrices at once, so that it reaches that sooner.
    """
    return Windowing(window_seconds=90) if config.get("model_type") == "wavlm" else Windowing()


class WaveformEncoder:
    """A frozen encoder whose front end is a stack of convolutions over the waveform.

    Args:
        checkpoint: model and feature extractor.
        device: where it computes.
        layer: which layer the frames come from.
        dtype: what it computes in.
        windowing: how long recordings are cut; by default as `audio_settings` says.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        layer: Layer = LAST,
        windowing: Windowing | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        config = checkpoint.config()
        self._layer = layer.of(config)
        self._dtype = dtype
        self._model = load_model(checkpoint, device, dtype)
        self._device = device
        self._budget = Budget(device, SAMPLES_AT_ONCE, MOST_SAMPLES)
        self.at_once = 1 if device.type == "cpu" else 32
        self._normalise = bool(feature_extractor(checkpoint).do_normalize)
        self._first_norm = FirstNorm.find(self._model)
        self._hop, self._field = _hop_and_field(config["conv_kernel"], config["conv_stride"])
        chosen = windowing or windowing_of(config)
        self._window_frames = int(chosen.window_seconds * SAMPLE_RATE_HZ) // self._hop
        self._overlap_frames = int(chosen.overlap_seconds * SAMPLE_RATE_HZ) // self._hop
        self.width: int = self._model.config.hidden_size

    def grid(self, samples: int) -> FrameGrid:
        """Return the frame grid of a clip: hop and first centre follow from kernels and strides.

        HuBERT: hop 320, first centre 200, (n - 400) // 320 + 1 frames.
        """
        count = max((samples - self._field) // self._hop + 1, 0)
        return FrameGrid(self._hop, self._field // 2, count, SAMPLE_RATE_HZ)

    def prepare(self, raw: Waveform) -> AudioInput:
        """Find how the waveform is to be normalised over the whole clip, where the checkpoint was trained so.

        Raises:
            ClipError: it is shorter than one frame.
        """
        if self.grid(len(raw)).count == 0:
            raise ClipError(
                f"the audio has {len(raw)} samples ({len(raw) / 16:.1f} ms), less than one frame of the model"
            )
        if not self._normalise:
            return AudioInput(raw)
        return AudioInput(raw, *_mean_and_deviation(raw, self._samples(self._window_frames + 1)))

    def blocks(self, one: AudioInput) -> Iterator[Frames]:
        """Give a clip's frames window by window, in order.

        Window starts lie on the frame grid, so that a window's frame is a frame of the whole. A clip that fits into one
        window goes through the model as it is. Memory does not grow with the clip.

        Returns:
            Blocks (m, D) float32, together (La, D).
        """
        *earlier, final = spread(self.grid(one.samples).count, self._window_frames, self._overlap_frames)
        statistics = None
        if earlier and self._first_norm:
            statistics = self._first_norm.statistics(one.waveform, one.shift, one.scale)
        for window in earlier:
            end = window.start * self._hop + self._samples(window.stop - window.start)
            yield self._frames(one, window, end, statistics)
        yield self._frames(one, final, one.samples, statistics)  # what is left over beyond the last frame included

    def encode(self, batch: Sequence[AudioInput]) -> list[AudioFeatures]:
        """Return the frames of each clip."""
        return [whole(blocks, self.grid(one.samples)) for blocks, one in zip(self.streams(batch), batch, strict=True)]

    def streams(self, batch: Sequence[AudioInput]) -> Iterator[Iterable[Frames]]:
        """Give the frames of each clip, in blocks (m, D) float32.

        On a CPU one clip at a time, which costs nothing there. On a GPU, clips of similar length share the transformer,
        padded and masked; the convolutions go clip by clip all the same, since HuBERT-base normalises the first one over
        time, so that padding would change the features themselves, whatever the attention mask.
        """
        short = [place for place, one in enumerate(batch) if self.grid(one.samples).count <= self._window_frames]
        frames: dict[int, Frames] = {}
        if self._device.type != "cpu" and self._layer.is_last and not getattr(self._model.config, "add_adapter", False):
            clips = [batch[place] for place in short]
            found = in_groups(
                lambda places: self.together([clips[place] for place in places]),
                [one.samples for one in clips],
                self._budget,
            )
            frames = dict(zip(short, found, strict=True))
        for place, one in enumerate(batch):
            yield [frames.pop(place)] if place in frames else self.blocks(one)

    @torch.inference_mode()
    def together(self, batch: Sequence[AudioInput]) -> list[Frames]:
        """Return the last layer's frames of clips that fit into one window each, (La, D) float32, from one pass of the transformer."""
        convolved = [self._model.feature_extractor(self._wave(one, 0, one.samples))[0].T for one in batch]  # (La, C)
        lengths = [len(one) for one in convolved]
        padded = torch.nn.utils.rnn.pad_sequence(convolved, batch_first=True)  # (B, La, C)
        mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]  # (B, La)
        projected = self._model.feature_projection(padded)
        # The mask has to be boolean: the encoders invert it, and the inverse of the integer 1 is -2, which is true, too.
        output = self._model.encoder(
            projected[0] if isinstance(projected, tuple) else projected,
            attention_mask=mask.to(self._device),
        )
        hidden = output.last_hidden_state.float().cpu().numpy()  # (B, La, D)
        for length, one in zip(lengths, batch, strict=True):
            check_count(length, self.grid(one.samples).count)
        return [hidden[row, :length] for row, length in enumerate(lengths)]

    @torch.inference_mode()
    def _frames(self, one: AudioInput, window: Window, end: int, statistics: ClipStatistics | None) -> Frames:
        """Return the frames that count of one window, whose samples end before `end`."""
        norm = self._first_norm.using(statistics) if self._first_norm and statistics else nullcontext()
        with norm:
            wave = self._wave(one, window.start * self._hop, end)
            output = self._model(wave, output_hidden_states=not self._layer.is_last)
        hidden = self._layer.pick(output)[0].float().cpu().numpy()  # (frames of the window, D)
        check_count(len(hidden), window.stop - window.start)
        kept: Frames = hidden[window.kept]
        return kept

    def _wave(self, one: AudioInput, begin: int, end: int) -> torch.Tensor:
        """Return normalised samples [begin, end), (1, n)."""
        samples = one.waveform[begin:end].astype(np.float64)
        wave = ((samples - one.shift) / one.scale).astype(np.float32)
        return torch.from_numpy(wave)[None].to(self._device, self._dtype)

    def _samples(self, frames: int) -> int:
        """Samples that give so many frames and no more."""
        return (frames - 1) * self._hop + self._field


def _hop_and_field(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Return how many samples lie between two frames, and how many a frame covers."""
    hop, field = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return hop, field


def _mean_and_deviation(waveform: Waveform, block: int) -> tuple[float, float]:
    """Zero mean and unit variance as Wav2Vec2FeatureExtractor has them, 1e-7 under the root; in float64, by blocks."""
    parts = range(0, len(waveform), block)
    mean = sum(waveform[at : at + block].astype(np.float64).sum() for at in parts) / len(waveform)
    variance = sum(((waveform[at : at + block].astype(np.float64) - mean) ** 2).sum() for at in parts) / len(waveform)
    return float(mean), float(np.sqrt(variance + 1e-7))
