"""Video frames at the size that a checkpoint's own processor brings them to, made where they are decoded.

What leaves a decoder is then small, and all that is left for the encoder's device is a multiplication.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Resizing:
    """How frames are resized and cut.

    Attributes:
        height: of the resized frame; 0 where `shortest_edge` says it, or nothing is resized.
        width: likewise.
        shortest_edge: length that the shorter side gets; 0 where height and width say it.
        resample: Pillow's filter.
        crop_height: of the part cut out of the middle; 0 for all of it.
        crop_width: likewise.
    """

    height: int = 0
    width: int = 0
    shortest_edge: int = 0
    resample: int = Image.Resampling.BILINEAR
    crop_height: int = 0
    crop_width: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Resizing":
        """Read a processor's settings, as in its preprocessor_config.json.

        Raises:
            ValueError: it does something that this does not.
        """
        size, crop = settings.get("size") or {}, settings.get("crop_size") or {}
        cut = bool(settings.get("do_center_crop"))
        known = {"height", "width", "shortest_edge"}
        if settings.get("do_resize", True) and (not size or set(size) - known or set(crop) - known):
            raise ValueError(f"size {size} and crop_size {crop}: expected height and width, or shortest_edge")
        resized = size if settings.get("do_resize", True) else {}
        return cls(
            height=int(resized.get("height", 0)),
            width=int(resized.get("width", 0)),
            shortest_edge=int(resized.get("shortest_edge", 0)),
            resample=int(settings.get("resample", Image.Resampling.BILINEAR)),
            crop_height=int(crop.get("height", 0)) if cut else 0,
            crop_width=int(crop.get("width", 0)) if cut else 0,
        )

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and cut frames.

        Args:
            pixels: (Lv, H, W, 3) uint8 RGB.

        Returns:
            (Lv, h, w, 3) uint8.
        """
        height, width = self._resized(*pixels.shape[1:3])
        if (height, width) != pixels.shape[1:3]:
            filtering = Image.Resampling(self.resample)
            pictures = [Image.fromarray(one).resize((width, height), filtering) for one in pixels]
            pixels = np.stack([np.asarray(one) for one in pictures])
        return self._cropped(pixels)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.shortest_edge:
            short, long = sorted((height, width))
            longer = int(self.shortest_edge * long / short)
            return (self.shortest_edge, longer) if height <= width else (longer, self.shortest_edge)
        return self.height or height, self.width or width

    def _cropped(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = pixels.shape[1:3]
        crop_height, crop_width = self.crop_height or height, self.crop_width or width
        if crop_height > height or crop_width > width:
            raise ValueError(f"{crop_height} x {crop_width} cannot be cut out of {height} x {width}")
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return np.ascontiguousarray(pixels[:, top : top + crop_height, left : left + crop_width])
