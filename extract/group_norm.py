"""A group norm over time, computed over a whole recording though the model sees it window by window."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

_BLOCK_FRAMES = 1 << 17


@dataclass(frozen=True)
class ClipStatistics:
    """Mean and variance over time of each of C channels, (C,) float64."""

    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]


class FirstNorm:
    """The group norm after the first convolution of HuBERT-base and its kin, which takes each channel over all of time.

    In a window it would see that window's loudness and timbre alone. As the convolution is linear, its statistics over the
    whole recording follow from the second moments of the waveform's snippets of a kernel's length, without convolving.

    Args:
        convolution: (C, 1, K) kernel.
        norm: one group a channel.
    """

    def __init__(self, convolution: torch.nn.Conv1d, norm: torch.nn.GroupNorm) -> None:
        self._convolution = convolution
        self._norm = norm

    @classmethod
    def find(cls, model: Any) -> "FirstNorm | None":
        """Return the model's; None for a model that normalises each frame by itself."""
        first = model.feature_extractor.conv_layers[0]
        norm = getattr(first, "layer_norm", None)
        if not isinstance(norm, torch.nn.GroupNorm) or norm.num_groups != norm.num_channels:
            return None
        return cls(first.conv, norm)

    def statistics(self, waveform: npt.NDArray[np.float32], shift: float, scale: float) -> ClipStatistics:
        """Return what the norm would find in the whole recording.

        Args:
            waveform: (n,) float32, n at least a kernel; it goes into the model as (waveform - shift) / scale.
            shift: see there.
            scale: see there.

        Returns:
            In float64; memory is that of a block of the recording, however long it is.
        """
        kernel = self._convolution.weight[:, 0].detach().cpu().double().numpy()  # (C, K)
        size, hop = kernel.shape[1], self._convolution.stride[0]
        frames = (len(waveform) - size) // hop + 1
        first, second = np.zeros(size), np.zeros((size, size))
        for begin in range(0, frames, _BLOCK_FRAMES):
            end = min(begin + _BLOCK_FRAMES, frames)
            wave = (waveform[begin * hop : (end - 1) * hop + size].astype(np.float64) - shift) / scale
            snippets = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]  # (frames, K)
            first += snippets.sum(axis=0)
            second += snippets.T @ snippets
        mean = kernel @ (first / frames)
        variance = np.einsum("ck,kl,cl->c", kernel, second / frames, kernel) - mean**2
        bias = 0.0 if self._convolution.bias is None else self._convolution.bias.detach().cpu().double().numpy()
        return ClipStatistics(mean + bias, np.maximum(variance, 0.0))

    def using(self, statistics: ClipStatistics) -> torch.utils.hooks.RemovableHandle:
        """Let the norm use these statistics; a context manager that ends it."""
        norm = self._norm
        deviation = torch.from_numpy(np.sqrt(statistics.variance + norm.eps))
        mean = torch.from_numpy(statistics.mean).to(norm.weight)[:, None]  # (C, 1)
        gain = (norm.weight.detach().cpu().double() / deviation).to(norm.weight)[:, None]

        def normalise(_: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
            torch.sub(inputs[0], mean, out=output)  # (1, C, L); in place, since it is by far the largest tensor of all
            return output.mul_(gain).add_(norm.bias[:, None])

        return norm.register_forward_hook(normalise)
