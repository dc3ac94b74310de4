import math

import numpy as np
import pytest
import torch

from sadgr.train.heads import ProjectionHeads
from sadgr.train.losses import info_nce, total_loss


def test_heads_begin_and_stay_at_their_temperature_limits() -> None:
    heads = ProjectionHeads(4, 6, 5)
    assert heads.logit_scale().item() == pytest.approx(1 / 0.07)
    text, audio = heads(torch.randn(3, 2, 4), torch.randn(3, 2, 6))
    assert text.shape == audio.shape == (3, 2, 5)
    with torch.no_grad():
        heads.log_scale.fill_(9.0)
    heads.limit_scale()
    assert heads.logit_scale().item() == pytest.approx(100.0)
    heads.logit_scale().backward()
    assert heads.log_scale.grad is not None and heads.log_scale.grad > 0  # the limit is no trap


def test_paper_sized_heads_have_the_method_s_parameters() -> None:
    weights = sum(p.numel() for name, p in ProjectionHeads(768, 768, 768).named_parameters() if name != "log_scale")
    assert weights == 1_181_184


@pytest.mark.parametrize("n_pairs", [2, 7, 64])
def test_identical_embeddings_give_log_n(n_pairs: int) -> None:
    same = torch.randn(1, 8).expand(n_pairs, 8)
    assert float(info_nce(same, 3 * same, torch.tensor(1 / 0.07))) == pytest.approx(math.log(n_pairs), abs=1e-5)


@pytest.mark.parametrize("tau", [0.07, 0.5, 2.0])
def test_orthonormal_embeddings_give_the_closed_form(tau: float) -> None:
    n_pairs = 6
    basis = torch.eye(n_pairs, 9)
    expected = math.log(1 + (n_pairs - 1) * math.exp(-1 / tau))
    assert float(info_nce(5 * basis, 0.1 * basis, torch.tensor(1 / tau))) == pytest.approx(expected, abs=1e-6)


def test_both_directions_count() -> None:
    rng = np.random.default_rng(0)
    text, audio = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))

    def one_way(queries: np.ndarray, keys: np.ndarray) -> float:
        cosines = queries @ keys.T / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(keys, axis=1))
        logits = np.exp(cosines / 0.2)
        return float(-np.mean(np.log(np.diag(logits) / logits.sum(axis=1))))

    forth, back = one_way(text, audio), one_way(audio, text)
    assert abs(forth - back) > 1e-3
    loss = info_nce(torch.from_numpy(text), torch.from_numpy(audio), torch.tensor(5.0))
    assert float(loss) == pytest.approx((forth + back) / 2)


@pytest.mark.parametrize("n_pairs", [0, 1])
def test_nothing_to_contrast_costs_nothing(n_pairs: int) -> None:
    assert float(info_nce(torch.randn(n_pairs, 4), torch.randn(n_pairs, 4), torch.tensor(3.0))) == 0.0


def test_total_loss_is_eq_21() -> None:
    assert float(total_loss(torch.tensor(0.5), torch.tensor(2.0), 0.1)) == pytest.approx(0.7)
