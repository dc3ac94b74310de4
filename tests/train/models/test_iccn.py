"""ICCN: its correlation against scikit-learn's CCA and SciPy's square roots, its images against plain NumPy."""

from functools import partial

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from sklearn.cross_decomposition import CCA
from torch import nn

from sadgr.train.models.iccn import CORRELATION, ICCNConfig, Interaction, total_correlation
from tests.train.models import checks, small

SMALL: ICCNConfig = small.SETTINGS["iccn"]
build = partial(small.build, "iccn")
Array = NDArray[np.float64]


def related(count: int, seed: int) -> tuple[Array, Array]:
    """Two samples of 4 and 3 columns that share two sources."""
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((count, 2))
    first = sources @ rng.standard_normal((2, 4)) + rng.standard_normal((count, 4))
    return first, sources @ rng.standard_normal((2, 3)) + rng.standard_normal((count, 3))


@pytest.mark.parametrize("seed", range(3))
def test_without_ridge_it_is_the_sum_of_scikit_learn_s_canonical_correlations(seed: int) -> None:
    first, second = related(60, seed)
    scores = CCA(n_components=3, max_iter=50_000, tol=1e-14).fit(first, second).transform(first, second)
    expected = sum(np.corrcoef(scores[0][:, i], scores[1][:, i])[0, 1] for i in range(3))
    found = total_correlation(torch.from_numpy(first), torch.from_numpy(second), ridge=0.0)
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_with_ridge_it_is_the_trace_norm_of_the_whitened_covariance() -> None:
    """S11^(-1/2) S12 S22^(-1/2) as the paper has it, with symmetric square roots."""
    first, second = related(20, 3)
    joint, ridge = np.cov(first.T, second.T), 0.3
    left, right = (joint[:4, :4] + ridge * np.eye(4), joint[4:, 4:] + ridge * np.eye(3))
    whitened = np.linalg.inv(scipy.linalg.sqrtm(left)) @ joint[:4, 4:] @ np.linalg.inv(scipy.linalg.sqrtm(right))
    found = total_correlation(torch.from_numpy(first), torch.from_numpy(second), ridge)
    assert float(found) == pytest.approx(np.linalg.norm(whitened, "nuc"), abs=1e-9)


def test_closed_forms() -> None:
    """A sample correlates with any invertible map of itself fully; with what is orthogonal to it not at all."""
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn((30, 3), generator=generator, dtype=torch.float64)
    mixed = sample @ torch.randn((3, 3), generator=generator, dtype=torch.float64) + 5
    assert float(total_correlation(sample, mixed, ridge=0.0)) == pytest.approx(3)
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert float(total_correlation(signs[:, :1], signs[:, 1:], ridge=0.0)) == pytest.approx(0, abs=1e-12)
    assert float(total_correlation(sample[:1], mixed[:1], ridge=1e-3)) == 0.0


def test_gradient_of_correlation_is_that_of_differences() -> None:
    first, second = (torch.from_numpy(one).requires_grad_() for one in related(12, 1))
    assert torch.autograd.gradcheck(lambda a, b: total_correlation(a, b, 1e-2), (first, second))


def test_training_on_it_makes_parts_correlate() -> None:
    """Its sign is right: descent raises the correlation."""
    model, batch = build(), checks.all_clips(checks.widths())
    optimizer, seen = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = model.train()(batch).losses[CORRELATION]
        loss.backward()
        optimizer.step()
        seen.append(-float(loss.detach()) / SMALL.correlation_weight)
    assert seen[-1] > seen[0] + 0.5 and seen[-1] <= 3


def test_clips_that_lack_a_modality_do_not_count_for_correlation() -> None:
    model, batch = build().train(), checks.all_clips(checks.widths())
    lost = checks.without(batch, [[True, clip != 1, clip != 4] for clip in range(8)])
    whole = checks.chosen(batch, [0, 2, 3, 5, 6, 7])
    torch.testing.assert_close(model(lost).losses[CORRELATION], model(whole).losses[CORRELATION])


def convolved(layer: nn.Conv2d, images: Array) -> Array:
    """(C, H, W), 3 x 3 windows with zeros beyond the edges, then ReLU and the largest of each 2 x 2."""
    weight, bias = checks.array(layer.weight), checks.array(layer.bias)  # type: ignore[arg-type]
    _, high, wide = images.shape
    edged = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    out = np.array(
        [
            [[(one * edged[:, i : i + 3, j : j + 3]).sum() + b for j in range(wide)] for i in range(high)]
            for one, b in zip(weight, bias, strict=True)
        ]
    )
    return np.asarray(np.maximum(out, 0).reshape(len(out), high // 2, 2, wide // 2, 2).max(axis=(2, 4)))


def test_interaction_equals_its_transcription() -> None:
    torch.manual_seed(0)
    module = Interaction(8, 4, channels=2, d_out=3).double()
    first, second = torch.randn(2, 8, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    found = checks.array(module(first, second))
    for clip in range(2):
        images = np.outer(checks.array(first)[clip], checks.array(second)[clip])[None]
        for number in (0, 3):
            images = convolved(module.images[number], images)  # type: ignore[arg-type]
        expected = checks.array(module.out.weight) @ images.ravel() + checks.array(module.out.bias)
        np.testing.assert_allclose(found[clip], expected, atol=1e-9)


def test_parameters_are_as_many_as_the_formula_says() -> None:
    w, c = checks.widths(), SMALL

    def interaction(side: int) -> int:
        first, second = 9 * c.channels + c.channels, 9 * c.channels * 2 * c.channels + 2 * c.channels
        return first + second + checks.linear(2 * c.channels * c.d_text * side // 16, c.d_correlated)

    expected = (
        w.d_text + w.d_audio + w.d_video + checks.linear(w.d_text, c.d_text)
        + checks.linear(3 * w.d_audio, c.d_audio) + checks.linear(3 * w.d_video, c.d_video)
        + checks.lstm(c.d_audio, c.d_audio) + checks.lstm(c.d_video, c.d_video)
        + interaction(c.d_audio) + interaction(c.d_video)
        + checks.linear(2 * c.d_correlated + c.d_text, 1)
    )  # fmt: skip
    assert checks.parameter_count(build(w)) == expected


@pytest.mark.parametrize(("field", "value"), [("d_text", 6), ("d_audio", 2), ("conv_kernel", 2)])
def test_settings_that_no_layer_can_have_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must"):
        ICCNConfig(**{field: value})
