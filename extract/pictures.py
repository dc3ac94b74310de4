"""What a vision checkpoint's image processor makes of video frames; known without its weights.

So whoever shares out work, such as a process without a GPU, knows what decoders are to do.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.errors import ModelUnavailableError
from sadgr.extract.resizing import Resizing

PIXEL_TOLERANCE = 1e-5
"""Between our frames and those of the checkpoint's own processor, whose values lie within some +-2."""


class Pictures:
    """Frames as a checkpoint's image processor brings them to its encoder.

    Args:
        checkpoint: its image processor is read.

    Attributes:
        resizing: what frames must go through before `prepare`, mostly where they are decoded; None where the checkpoint's
            own processor does something that only it can do, and is then asked.

    Raises:
        ModelUnavailableError: the checkpoint has no image processor.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers import AutoImageProcessor

        try:
            # Pillow's resizing is the one that most checkpoints were trained with, and needs no torchvision.
            self._processor = AutoImageProcessor.from_pretrained(
                checkpoint.folder, local_files_only=True, backend="pil"
            )
        except (OSError, ValueError) as error:
            raise ModelUnavailableError(f"{checkpoint.folder} has no image processor: {error}") from error
        self._scale, self._shift = _normalisation(self._processor.to_dict())
        self.resizing = self._resizing()

    def _resizing(self) -> Resizing | None:
        """Read the processor's resizing, and hold it against what the processor itself does."""
        raw = np.random.default_rng(0).integers(0, 256, (2, 90, 160, 3), dtype=np.uint8)
        try:
            resizing = Resizing.of(self._processor.to_dict())
            ours = self._normalised(torch.from_numpy(resizing.apply(raw)), torch.device("cpu"))
        except ValueError:
            return None
        own = self._processed(raw)
        return resizing if own.shape == ours.shape and (own - ours).abs().max() <= PIXEL_TOLERANCE else None

    def prepare(self, raw: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Make sampled frames ready for `pixels`.

        Args:
            raw: (Lv, h, w, 3) uint8, RGB, gone through `resizing`.

        Returns:
            (Lv, h, w, 3) uint8; or (Lv, 3, h, w) float32 where there is no `resizing`.
        """
        return torch.from_numpy(raw) if self.resizing else self._processed(raw)

    def pixels(self, frames: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Return (F, 3, h, w) float32 on the device, of frames that `prepare` gave."""
        return self._normalised(frames, device) if self.resizing else frames.to(device)

    def _normalised(self, frames: torch.Tensor, device: torch.device) -> torch.Tensor:
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
