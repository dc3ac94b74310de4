import pytest
import torch
from torch import nn

from sadgr.extract.convolutions import InFloat32, mend


class Wrong(nn.Conv1d):
    """Right in float32 alone."""

    def forward(self, values):
        right = super().forward(values)
        return right if values.dtype == torch.float32 else right + 1.0


def test_a_convolution_that_comes_out_wrong_is_computed_in_float32():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Sequential(Wrong(8, 8, 3, groups=2)))
    values = torch.randn(2, 4, 30)
    expected = model(values)
    model.to(torch.bfloat16)
    assert (model(values.bfloat16()) - expected).abs().max() > 0.5
    assert mend(model) == ["1.0"] and isinstance(model[1][0], InFloat32)
    assert model[1][0].weight.dtype == torch.bfloat16
    found = model(values.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() < 0.02 * expected.norm()
    assert mend(model) == []


@pytest.mark.parametrize("per_group", [1, 2, 4, 8, 12, 16, 48])
def test_whatever_this_processor_does_grouped_convolutions_are_right(per_group):
    """As HuBERT's over positions is; on processors with AMX some of these come out wrong by themselves."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2 * per_group, 2 * per_group, 16, padding=8, groups=2)).requires_grad_(False)
    values = torch.randn(1, 2 * per_group, 49)
    expected = model(values)
    mend(model.to(torch.bfloat16))
    assert (model(values.bfloat16()).float() - expected).norm() < 0.02 * expected.norm()


def test_float32_is_left_alone():
    model = nn.Sequential(Wrong(8, 8, 3))
    assert mend(model) == []
