"""Video features: [CLS] of the last layer of a ViT- or DINOv2-like encoder, a vector a sampled frame (eq. 4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.class_token import class_tokens, fits
from sadgr.extract.encoder import load_model
from sadgr.extract.errors import ClipError, ModelUnavailableError
from sadgr.extract.parts import Budget, in_groups
from sadgr.extract.resizing import Resizing

FRAMES_AT_ONCE, MOST_FRAMES = 16, 512
"""Video frames that share a pass: to begin with, and at most. More gain nothing on a CPU."""
PIXEL_TOLERANCE = 1e-5
"""Between our frames and those of the checkpoint's own processor, whose values lie within some +-2."""


class VideoEncoder:
    """A frozen vision transformer.

    Args:
        checkpoint: model and image processor.
        device: where it computes.
        dtype: what it computes in.

    Attributes:
        width: D.
        resizing: what frames must go through before `prepare`, mostly where they are decoded; None where the checkpoint's
            own processor does something that only it can do, and is then asked.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        from transformers import AutoImageProcessor

        model = load_model(checkpoint, torch.device("cpu"))
        self._shortcut = fits(model)
        self._model = model.to(device, dtype)
        self._device, self._dtype = device, dtype
        try:
            # Pillow's resizing is the one that most checkpoints were trained with, and needs no torchvision.
            self._processor = AutoImageProcessor.from_pretrained(
                checkpoint.folder, local_files_only=True, backend="pil"
            )
        except (OSError, ValueError) as error:
            raise ModelUnavailableError(f"{checkpoint.folder} has no image processor: {error}") from error
        self._scale, self._shift = _normalisation(self._processor.to_dict())
        self.resizing = self._resizing()
        self.width: int = self._model.config.hidden_size
        self._budget = Budget(device, FRAMES_AT_ONCE, MOST_FRAMES)
        self.at_once = 1 if device.type == "cpu" else 16

    def _resizing(self) -> Resizing | None:
        """Read the processor's resizing, and hold it against what the processor itself does."""
        raw = np.random.default_rng(0).integers(0, 256, (2, 90, 160, 3), dtype=np.uint8)
        try:
            resizing = Resizing.of(self._processor.to_dict())
            ours = self._pixels(torch.from_numpy(resizing.apply(raw)), torch.device("cpu"))
        except ValueError:
            return None
        own = self._processed(raw)
        return resizing if own.shape == ours.shape and (own - ours).abs().max() <= PIXEL_TOLERANCE else None

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
        return torch.from_numpy(raw) if self.resizing else self._processed(raw)

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
        pixels = self._pixels(frames, self._device) if self.resizing else frames.to(self._device)
        pixels = pixels.to(self._dtype)
        if self._shortcut:
            return class_tokens(self._model, pixels).float().cpu()
        hidden: torch.Tensor = self._model(pixel_values=pixels).last_hidden_state  # (F, 1 + P, D)
        return hidden[:, 0].float().cpu()

    def _pixels(self, frames: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Normalise (F, h, w, 3) uint8 to (F, 3, h, w) float32."""
        pixels = frames.to(device).permute(0, 3, 1, 2).float()
        return pixels.mul_(self._scale.to(device)).add_(self._shift.to(device)).contiguous()

    def _processed(self, raw: npt.NDArray[np.uint8]) -> torch.Tensor:
        pixels: torch.Tensor = self._processor(
            list(raw), return_tensors="pt", input_data_format="channels_last"
        ).pixel_values
        return pixels


def _normalisation(settings: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what pixels are multiplied by, and what is then added, each (3, 1, 1), as a processor's settings say."""
    rescale = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    mean, std = (
        np.asarray(settings[name] if settings.get("do_normalize", True) else default, np.float64)
        for name, default in (("image_mean", [0.0] * 3), ("image_std", [1.0] * 3))
    )
    scale, shift = rescale / std, -mean / std
    return tuple(torch.tensor(one, dtype=torch.float32).view(3, 1, 1) for one in (scale, shift))  # type: ignore[return-value]
