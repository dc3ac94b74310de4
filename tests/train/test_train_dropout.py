"""Dropout by bits."""

import pytest
import torch

from sadgr.train.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.85])
def test_chance_and_mean_are_what_p_says(p: float) -> None:
    torch.manual_seed(0)
    count = 400_003  # of four, three are left
    told = Dropout(p)(torch.ones(count))
    dropped = float((told == 0).double().mean())
    assert abs(dropped - p) < 5 * (p * (1 - p) / count) ** 0.5
    assert len(set(told.tolist())) == 2  # the others are scaled alike
    assert float(told.max()) == pytest.approx(1 / (1 - p), rel=2**-14 / (1 - p))


def test_entries_are_drawn_each_for_itself() -> None:
    """Neighbours, which share a draw of the generator, and the same places of two calls."""
    torch.manual_seed(0)
    layer = Dropout(0.5)
    first, second = (layer(torch.ones(100_000)) > 0 for _ in range(2))
    for apart in range(1, 6):
        assert abs(float((first[apart:] == first[:-apart]).double().mean()) - 0.5) < 0.01
    assert abs(float((first == second).double().mean()) - 0.5) < 0.01


def test_the_gradient_goes_where_the_value_went() -> None:
    torch.manual_seed(0)
    rows = torch.randn(7, 5, requires_grad=True)
    told = Dropout(0.3)(rows)
    told.sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    torch.testing.assert_close(rows.grad * rows, told)


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_what_is_left_is_added(p: float) -> None:
    layer, rows, given = Dropout(p), torch.randn(6, 5), torch.randn(6, 5)
    for mode in (True, False):
        layer.train(mode)
        torch.manual_seed(0)
        expected = rows + layer(given)
        torch.manual_seed(0)
        torch.testing.assert_close(layer.added(rows, given), expected)


def test_torch_s_seed_decides() -> None:
    layer, rows = Dropout(0.4), torch.ones(50, 3)
    told = []
    for _ in range(2):
        torch.manual_seed(3)
        told.append(layer(rows))
    assert torch.equal(*told) and not torch.equal(layer(rows), told[0])


def test_without_training_or_chance_rows_stay_as_they_are() -> None:
    rows = torch.randn(4, 3)
    assert torch.equal(Dropout(0.5).eval()(rows), rows) and torch.equal(Dropout(0.0)(rows), rows)
    assert torch.equal(Dropout(1.0)(rows), torch.zeros_like(rows))
