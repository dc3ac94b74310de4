"""MISA: its three losses against plain NumPy and closed forms."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from sadgr.train.models.misa import (
    DIFFERENCE,
    MISA,
    RECONSTRUCTION,
    SIMILARITY,
    MISAConfig,
    central_moment_discrepancy,
    difference,
    overlap,
    reconstruction,
    similarity,
)
from tests.train.models import checks, small

SMALL: MISAConfig = small.SETTINGS["misa"]
build = partial(small.build, "misa")


def samples(count: int, seed: int = 0) -> list[Tensor]:
    """Several (5, 4) of numbers in (0, 1), in float64."""
    return list(torch.rand((count, 5, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def transcribed_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Eq. 8 on (0, 1), whose width is 1: means, then central moments 2 to 5."""
    total = np.sqrt(((a.mean(0) - b.mean(0)) ** 2).sum())
    for k in range(2, 6):
        of_a, of_b = (((one - one.mean(0)) ** k).mean(0) for one in (a, b))
        total += np.sqrt(((of_a - of_b) ** 2).sum())
    return float(total)


def transcribed_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """||A'B||_F^2 of eq. 10 on rows of mean zero and length one, over M x M entries."""
    ready = []
    for one in (a, b):
        centred = one - one.mean(axis=0)
        ready.append(centred / np.linalg.norm(centred, axis=1, keepdims=True))
    return float(np.linalg.norm(ready[0].T @ ready[1], "fro") ** 2 / (a.shape[1] * b.shape[1]))


def test_similarity_is_the_mean_discrepancy_of_pairs() -> None:
    shared = samples(3)
    expected = np.mean([transcribed_discrepancy(a.numpy(), b.numpy()) for a, b in combinations(shared, 2)])
    assert float(similarity(shared)) == pytest.approx(expected, abs=1e-9)


def test_equal_samples_do_not_differ_and_their_gradient_is_finite() -> None:
    sample = samples(1)[0].requires_grad_()
    found = central_moment_discrepancy(sample, sample)
    found.backward()  # type: ignore[no-untyped-call]
    assert float(found.detach()) == 0 and bool(torch.isfinite(sample.grad).all())  # type: ignore[arg-type]


def test_moving_a_sample_changes_its_mean_alone() -> None:
    """Central moments do not see it: the discrepancy is the length of the move."""
    sample, move = samples(1)[0], torch.tensor([0.3, 0.0, -0.4, 0.0], dtype=torch.float64)
    assert float(central_moment_discrepancy(sample, sample + move)) == pytest.approx(0.5, abs=1e-9)


def test_difference_is_the_sum_of_six_overlaps() -> None:
    shared, private = samples(3), samples(3, seed=1)
    pairs = [*zip(shared, private, strict=True), *combinations(private, 2)]
    expected = sum(transcribed_overlap(a.numpy(), b.numpy()) for a, b in pairs)
    assert float(difference(shared, private)) == pytest.approx(expected, abs=1e-9)


def test_samples_in_orthogonal_directions_do_not_overlap() -> None:
    """One varies where the other does not, and clips' signs are such that products cancel."""
    a = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 1], [0, -1], [0, 1], [0, -1]], dtype=torch.float64)
    assert float(overlap(a, b)) == 0
    assert float(overlap(a, a)) == 16 / 4  # A'A has one entry that is not 0, 4


def test_reconstruction_is_the_mean_squared_error() -> None:
    made, given = samples(3), samples(3, seed=1)
    expected = np.mean([np.mean((a.numpy() - b.numpy()) ** 2) for a, b in zip(made, given, strict=True)])
    assert float(reconstruction(made, given)) == pytest.approx(expected, abs=1e-9)


def test_losses_come_times_their_weights() -> None:
    batch = checks.all_clips(checks.widths())
    plain = build().train()(batch).losses
    torch.manual_seed(0)
    double = {"similarity_weight": 2.0, "difference_weight": 0.6, "reconstruction_weight": 2.0}
    doubled = MISA(checks.widths(), MISAConfig(**{**vars(SMALL), **double})).train()(batch).losses
    assert set(plain) == {SIMILARITY, DIFFERENCE, RECONSTRUCTION}
    for name, own in plain.items():
        loss = own.detach()
        assert float(doubled[name].detach()) == pytest.approx(2 * float(loss), rel=1e-6)
        assert float(loss) > 0


def test_parameters_are_as_many_as_the_formula_says() -> None:
    widths, config = checks.widths(), SMALL
    m, h, feed = config.d_model, config.d_recurrent, config.feed_forward

    def recurrent(d: int) -> int:
        return 2 * checks.lstm(d, h) + 2 * 2 * h + 2 * checks.lstm(2 * h, h)

    expected = (
        widths.d_text + widths.d_audio + widths.d_video
        + recurrent(widths.d_audio) + recurrent(widths.d_video)
        + checks.linear(widths.d_text, m) + 2 * checks.linear(4 * h, m) + 3 * 2 * m
        + 7 * checks.linear(m, m)  # one shared, three private encoders, three decoders
        + 4 * checks.linear(m, m) + checks.linear(m, feed) + checks.linear(feed, m) + 2 * 2 * m
        + checks.linear(6 * m, 3 * m) + checks.linear(3 * m, 1)
    )  # fmt: skip
    assert checks.parameter_count(build(widths)) == expected


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide d_model 6, got 4"):
        MISAConfig(d_model=6, heads=4)
