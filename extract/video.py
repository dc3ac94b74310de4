"""Video features: [CLS] of the last layer of a ViT- or DINOv2-like encoder, a vector a sampled frame (eq. 4)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import load_model
from sadgr.extract.errors import ClipError, ModelUnavailableError

FRAMES_AT_ONCE = 32


class VideoEncoder:
    """A frozen vision transformer.

    Args:
        checkpoint: model and image processor.
        device: where it computes.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        from transformers import AutoImageProcessor

        self._model = load_model(checkpoint, device)
        self._device = device
        try:
            # Pillow's resizing is the one that most checkpoints were trained with, and needs no torchvision.
            self._processor = AutoImageProcessor.from_pretrained(
                checkpoint.folder, local_files_only=True, backend="pil"
            )
        except (OSError, ValueError) as error:
            raise ModelUnavailableError(f"{checkpoint.folder} has no image processor: {error}") from error
        self.width: int = self._model.config.hidden_size

    def prepare(self, raw: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Resize and normalise sampled frames as the checkpoint's own processor does.

        Args:
            raw: (Lv, H, W, 3) uint8, RGB.

        Returns:
            (Lv, 3, h, w) float32.
        """
        if len(raw) == 0:
            raise ClipError("the clip has no video frames")
        pixels: torch.Tensor = self._processor(
            list(raw), return_tensors="pt", input_data_format="channels_last"
        ).pixel_values
        return pixels

    @torch.inference_mode()
    def encode(self, batch: Sequence[torch.Tensor]) -> list[npt.NDArray[np.float32]]:
        """Return (Lv, D) float32 for each clip; frames of several clips go through the model together."""
        frames = torch.cat(list(batch))  # (sum of Lv, 3, h, w)
        vectors = torch.cat([self._cls(part) for part in torch.split(frames, FRAMES_AT_ONCE)])
        return [part.numpy() for part in torch.split(vectors, [len(one) for one in batch])]

    def _cls(self, frames: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self._model(pixel_values=frames.to(self._device)).last_hidden_state  # (F, 1 + P, D)
        return hidden[:, 0].float().cpu()
