import numpy as np
import pytest
import torch

from sadgr.train.config import Widths
from sadgr.train.models.lmf import LMF, LMFConfig, LowRankFusion
from sadgr.train.models.tfn import TensorFusion
from tests.train.models import small
from tests.train.models.checks import (
    array,
    linear,
    lstm,
    parameter_count,
    widths,
)

SMALL: LMFConfig = small.SETTINGS["lmf"]


def expected_parameters(w: Widths, c: LMFConfig) -> int:
    def deep(d_in: int, hidden: int) -> int:
        return linear(d_in, hidden) + 2 * linear(hidden, hidden)

    text = lstm(w.d_text, c.lstm_hidden) + linear(c.lstm_hidden, c.text_hidden) + linear(c.text_hidden, c.text_hidden)
    embeddings = text + deep(w.d_audio, c.audio_hidden) + deep(w.d_video, c.video_hidden)
    factors = c.rank * w.n_outputs * (c.text_hidden + c.audio_hidden + c.video_hidden + 3)
    return w.d_text + w.d_audio + w.d_video + embeddings + factors + w.n_outputs


@pytest.mark.parametrize("config", [SMALL, LMFConfig()])
def test_parameters(config: LMFConfig) -> None:
    with torch.device("meta"):
        model = LMF(widths("multilabel", 3), config)
    assert parameter_count(model) == expected_parameters(widths("multilabel", 3), config)


def vectors(*sizes: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(5, size, generator=generator, dtype=torch.float64) for size in sizes]


def test_fusion_is_a_sum_of_outer_products() -> None:
    """h_o = sum_i prod_m (z_m . w_m,o^(i)) + b_o, term by term."""
    torch.manual_seed(0)
    fusion, given = LowRankFusion((3, 4, 2), rank=3, n_outputs=2).double(), vectors(3, 4, 2)
    with torch.no_grad():
        fusion.bias.copy_(torch.tensor([0.5, -2.0]))
    factors, z = [array(one).reshape(-1, 3, 2) for one in fusion.factors], [array(one) for one in given]
    expected = np.zeros((5, 2))
    for b, o, i in np.ndindex(5, 2, 3):
        expected[b, o] += np.prod([z[m][b] @ factors[m][:, i, o] for m in range(3)])
    np.testing.assert_allclose(array(fusion(*given)), expected + np.array([0.5, -2.0]), atol=1e-12)


def test_at_full_rank_it_is_tfn_s_linear_map() -> None:
    """Any weights of TFN's linear map are planted as factors: one outer product for each pair of audio and video entries."""
    n_text, n_audio, n_video, n_outputs = 4, 3, 2, 2
    torch.manual_seed(0)
    full = TensorFusion((n_text, n_audio, n_video), n_outputs).double()
    fusion = LowRankFusion((n_text, n_audio, n_video), n_audio * n_video, n_outputs).double()
    weight = full.weight.view(n_audio, n_video, n_outputs, n_text)
    with torch.no_grad():
        for one in (*fusion.factors, fusion.bias):
            one.zero_()
        fusion.bias.copy_(full.bias)
        for i, (j, k) in enumerate(np.ndindex(n_audio, n_video)):
            text, audio, video = (one.view(len(one), -1, n_outputs)[:, i] for one in fusion.factors)
            text.copy_(weight[j, k].T)  # (n_text, n_outputs)
            audio[j] = 1.0
            video[k] = 1.0
    given = vectors(n_text, n_audio, n_video)
    torch.testing.assert_close(fusion(*given), full(*given), atol=1e-12, rtol=0)


def test_rank_one_is_too_little_for_what_full_rank_holds() -> None:
    """Weights of a rank-one map, seen as text by the rest, are a matrix of rank one; TFN's can be of any."""
    fusion = LowRankFusion((4, 3, 2), rank=1, n_outputs=1).double()
    text, audio, video = (array(one)[:, 0] for one in fusion.factors)
    dense = np.einsum("i,j,k->ijk", text, audio, video).reshape(4, 6)
    assert np.linalg.matrix_rank(dense) == 1
    given = vectors(4, 3, 2)
    product = np.einsum("bi,bj,bk->bijk", *map(array, given)).reshape(5, -1)
    expected = product @ dense.ravel() + array(fusion.bias)
    np.testing.assert_allclose(array(fusion(*given))[:, 0], expected, atol=1e-12)
