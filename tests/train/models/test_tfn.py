import numpy as np
import pytest
import torch

from sadgr.train.config import Widths
from sadgr.train.models.tfn import TFN, TensorFusion, TFNConfig
from tests.train.models import small
from tests.train.models.checks import (
    array,
    linear,
    lstm,
    parameter_count,
    widths,
)

SMALL: TFNConfig = small.SETTINGS["tfn"]


def expected_parameters(w: Widths, c: TFNConfig) -> int:
    def deep(d_in: int, hidden: int) -> int:
        return linear(d_in, hidden) + 2 * linear(hidden, hidden)

    text = lstm(w.d_text, c.lstm_hidden) + linear(c.lstm_hidden, c.text_hidden) + linear(c.text_hidden, c.text_hidden)
    entries = (c.text_hidden + 1) * (c.audio_hidden + 1) * (c.video_hidden + 1)
    reader = linear(entries, c.fusion_hidden) + linear(c.fusion_hidden, c.fusion_hidden)
    embeddings = text + deep(w.d_audio, c.audio_hidden) + deep(w.d_video, c.video_hidden)
    return w.d_text + w.d_audio + w.d_video + embeddings + reader + linear(c.fusion_hidden, w.n_outputs)


@pytest.mark.parametrize("config", [SMALL, TFNConfig()])
def test_parameters(config: TFNConfig) -> None:
    with torch.device("meta"):
        model = TFN(widths("classification", 4), config)
    assert parameter_count(model) == expected_parameters(widths("classification", 4), config)


def test_paper_s_tensor_has_129_by_33_by_33_entries() -> None:
    with torch.device("meta"):
        assert TFN(widths()).fusion.weight[:, 0].numel() == 129 * 33 * 33


def test_fusion_is_a_linear_map_of_the_outer_product() -> None:
    """h = W vec(t x a x v) + b, with the product written out."""
    torch.manual_seed(0)
    fusion = TensorFusion((3, 4, 2), 5).double()
    given = [torch.randn(6, width, dtype=torch.float64) for width in (3, 4, 2)]
    product = np.einsum("bi,bj,bk->bijk", *map(array, given)).reshape(6, -1)
    dense = array(fusion.weight).reshape(4, 2, 5, 3).transpose(2, 3, 0, 1).reshape(5, -1)
    np.testing.assert_allclose(array(fusion(*given)), product @ dense.T + array(fusion.bias), atol=1e-12)


@pytest.mark.parametrize("kept", ["text", "audio", "video", "text audio", "audio video", "text audio video"])
def test_ones_in_front_keep_each_modality_and_each_pair(kept: str) -> None:
    """The paper's reason for the 1: what only one or two modalities say is a term of its own."""
    torch.manual_seed(0)
    fusion = TensorFusion((4, 3, 5), 1).double()
    z = [torch.cat([torch.ones(2, 1), torch.randn(2, width - 1)], dim=1).double() for width in (4, 3, 5)]
    parts = [slice(1, None) if name in kept else slice(0, 1) for name in ("text", "audio", "video")]
    with torch.no_grad():
        fusion.bias.zero_()
        weight = fusion.weight.view(3, 5, 1, 4)
        only = torch.zeros_like(weight)
        only[parts[1], parts[2], :, parts[0]] = weight[parts[1], parts[2], :, parts[0]]
        fusion.weight.copy_(only.view(15, 1, 4))
        base = fusion(*z)
        for modality, name in enumerate(("text", "audio", "video")):
            moved = [one.clone() for one in z]
            moved[modality][:, 1:] *= 2  # each term holds each kept modality once
            torch.testing.assert_close(fusion(*moved), base * (2 if name in kept else 1), atol=1e-12, rtol=0)
    assert float(base.abs().min()) > 1e-4
