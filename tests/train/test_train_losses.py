import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

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


def as_autograd_has_it(text: Tensor, audio: Tensor, scale: Tensor, transcripts: Tensor | None) -> Tensor:
    """Eq. 9-11 by two cross-entropies, which autograd differentiates."""
    logits = scale * (functional.normalize(text, dim=-1) @ functional.normalize(audio, dim=-1).T)
    own = torch.arange(len(text))
    if transcripts is not None:
        same = (transcripts[:, None] == transcripts) & ~torch.eye(len(text), dtype=torch.bool)
        logits = torch.where(same, torch.tensor(-math.inf, dtype=logits.dtype), logits)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


@pytest.mark.parametrize(
    "transcripts", [None, torch.tensor([0, 1, 2, 0, 3, 0, 1, 4]), torch.zeros(8, dtype=torch.int64)]
)
@pytest.mark.parametrize("scale", [1.0, 1 / 0.07, 100.0])
def test_closed_form_gradient_is_autograd_s(transcripts: Tensor | None, scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    values = [torch.randn(8, 5, dtype=torch.float64, generator=generator) for _ in range(2)]
    found = []
    for loss in (info_nce, as_autograd_has_it):
        inputs = [one.clone().requires_grad_() for one in (*values, torch.tensor(scale, dtype=torch.float64))]
        out = loss(inputs[0], inputs[1], inputs[2], transcripts)
        (3 * out).backward()  # what comes from above counts too
        found.append([out, *(one.grad for one in inputs)])
    for ours, oracle in zip(*found, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-10, atol=1e-10)


def test_gradient_is_that_of_finite_differences() -> None:
    inputs = [torch.randn(4, 3, dtype=torch.float64).requires_grad_() for _ in range(2)]
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: info_nce(*given, torch.tensor([0, 1, 0, 2])), (*inputs, scale))


def test_the_sharpest_temperature_overflows_nowhere() -> None:
    """Each text lies opposite its own audio and on the other's: logits are -100 and 100, beyond float32's exp."""
    text = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    audio = (-2 * text).requires_grad_()
    loss = info_nce(text, audio, torch.tensor(100.0))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(200.0)
    assert audio.grad is not None and bool(audio.grad.isfinite().all())


def test_masked_duplicates_have_the_closed_forms() -> None:
    """A pair is contrasted with those of other transcripts alone: n - 1 of them, and log N becomes the mean of log n."""
    transcripts = torch.tensor([7, 7, 7, 1, 2, 2])
    n_contrasted = [4, 4, 4, 6, 5, 5]  # itself among them
    same = torch.randn(1, 8).expand(6, 8)
    expected = sum(math.log(n) for n in n_contrasted) / 6
    assert float(info_nce(same, 3 * same, torch.tensor(5.0), transcripts)) == pytest.approx(expected, abs=1e-6)
    basis = torch.eye(6, 9)
    expected = sum(math.log(1 + (n - 1) * math.exp(-1 / 0.5)) for n in n_contrasted) / 6
    assert float(info_nce(basis, basis, torch.tensor(2.0), transcripts)) == pytest.approx(expected, abs=1e-6)


def test_a_mask_without_duplicates_changes_nothing_and_one_of_duplicates_alone_leaves_nothing() -> None:
    text, audio = (torch.randn(6, 4).requires_grad_() for _ in range(2))
    scale = torch.tensor(5.0)
    assert torch.equal(info_nce(text, audio, scale, torch.arange(6)), info_nce(text, audio, scale))
    loss = info_nce(text, audio, scale, torch.zeros(6, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert text.grad is not None and float(text.grad.abs().max()) < 1e-6


def test_total_loss_is_eq_21() -> None:
    assert float(total_loss(torch.tensor(0.5), {}, {})) == 0.5
    losses = {"contrastive": torch.tensor(2.0), "other": torch.tensor(1.0)}
    assert float(total_loss(torch.tensor(0.5), losses, {"contrastive": 0.1})) == pytest.approx(1.7)
