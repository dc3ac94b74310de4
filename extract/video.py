"""Video features: [CLS] of the last layer of a ViT- or DINOv2-like encoder, a vector a sampled frame (eq. 4)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.class_token import class_tokens, fits
from sadgr.extract.encoder import load_model, placed
from sadgr.extract.errors import ClipError
from sadgr.extract.parts import Budget, in_groups
from sadgr.extract.pictures import Pictures

FRAMES_AT_ONCE, MOST_FRAMES = 16, 512
"""Video frames that share a pass: to begin with, and at most. More gain nothing on a CPU."""


class VideoEncoder:
    """A frozen vision transformer.

    Args:
        checkpoint: model and image processor.
        device: where it computes.
        dtype: what it computes in.

    Attributes:
        width: D.
        resizing: what frames must go through before `prepare`; see `Pictures`.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        model = load_model(checkpoint, torch.device("cpu"))
        self._shortcut = fits(model)
        self._model = placed(model, device, dtype)
        self._device, self._dtype = device, dtype
        self._pictures = Pictures(checkpoint)
        self.resizing = self._pictures.resizing
        self.width: int = self._model.config.hidden_size
        self._budget = Budget(device, FRAMES_AT_ONCE, MOST_FRAMES)
        self.at_once = 1 if device.type == "cpu" else 16

    def resize(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Bring frames (Lv, H, W, 3) to what `prepare` takes."""
        return self.resizing.apply(pixels) if self.resizing else pixels

    def prepare(self, raw: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Make sampled frames ready.

        Args:
            raw: (Lv, h, w, 3) uint8, RGB, gone through `resizing`.

        Returns:
            (Lv, h, w, 3) uint8; or (Lv, 3, h, w) float32 where there is no `resizing`.
        """
        if len(raw) == 0:
            raise ClipError("the clip has no video frames")
        return self._pictures.prepare(raw)

    @torch.inference_mode()
    def encode(self, batch: Sequence[torch.Tensor]) -> list[npt.NDArray[np.float32]]:
        """Return (Lv, D) float32 for each clip; frames of several clips go through the model together."""
        frames = torch.cat(list(batch))  # (sum of Lv, h, w, 3)
        vectors = torch.stack(
            in_groups(lambda places: list(self._vectors(frames[places])), [1] * len(frames), self._budget)
        )
        return [part.numpy() for part in torch.split(vectors, [len(one) for one in batch])]

    def _vectors(self, frames: torch.Tensor) -> torch.Tensor:
        """Return (F, D) float32 on the CPU."""
        pixels = self._pictures.pixels(frames, self._device).to(self._dtype)
        if self._shortcut:
            return class_tokens(self._model, pixels).float().cpu()
        hidden: torch.Tensor = self._model(pixel_values=pixels).last_hidden_state  # (F, 1 + P, D)
        return hidden[:, 0].float().cpu()
