"""Convolutions that a processor's library gets wrong in low precision, silently, are computed in float32.

oneDNN 3.12 on processors with AMX does so in bfloat16 with fewer than 16 channels a group under wide kernels (relative error 1
where 0.003 is rounding); HuBERT-base and -large have 48 and 64 a group, and are right. Other shapes are known to others:
https://github.com/pytorch/pytorch/issues/163347 and /169688. So each convolution of a model is tried when it is loaded.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

WRONG = 0.05
"""Relative; bfloat16's rounding comes to 0.003."""


class InFloat32(nn.Module):
    """A convolution computed in float32, which takes and gives the model's own type."""

    def __init__(self, exact: nn.Conv1d | nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self._exact, self._dtype = exact, dtype

    @property
    def weight(self) -> Tensor:
        """Its weights in the model's type, which models look up."""
        return self._exact.weight.to(self._dtype)

    def forward(self, values: Tensor) -> Tensor:
        """Convolve (..., channels, places)."""
        return self._exact(values.float()).to(self._dtype)  # type: ignore[no-any-return]  # torch: __call__ is Any


@torch.no_grad()
def mend(model: nn.Module) -> list[str]:
    """Put `InFloat32` in the place of convolutions that come out wrong.

    Args:
        model: on a CPU, in the type that it computes in.

    Returns:
        Names of those that were replaced.
    """
    found = []
    for above, module in list(model.named_modules()):
        for name, one in list(module.named_children()):
            if isinstance(one, nn.Conv1d | nn.Conv2d) and one.weight.dtype != torch.float32:
                exact = deepcopy(one).float()
                if _apart(one, exact) > WRONG:
                    setattr(module, name, InFloat32(exact, one.weight.dtype))
                    found.append(f"{above}.{name}".lstrip("."))
    return found


def _apart(one: nn.Conv1d | nn.Conv2d, exact: nn.Conv1d | nn.Conv2d) -> float:
    """Relative difference of what both make of noise."""
    places = [4 * size + 8 for size in one.kernel_size]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, one.in_channels, *places, generator=generator).to(one.weight.dtype)
    expected = exact(noise.float())
    return float((one(noise).float() - expected).norm() / expected.norm().clamp_min(1e-12))
