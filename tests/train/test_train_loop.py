"""What training sets of a processor, and that others find it as it was."""

import torch

from sadgr.train.loop import without_denormals


def tiny() -> float:
    return float(torch.tensor([1e-40]) * torch.ones(1))


def test_tiny_numbers_count_as_zero_within_the_block_alone() -> None:
    """Hypothesis, among others, refuses to work where they do."""
    before = tiny()
    with without_denormals():
        assert tiny() == 0.0
        with without_denormals():
            assert tiny() == 0.0
        assert tiny() == 0.0  # the inner block leaves it as it found it
    assert tiny() == before > 0.0


def test_they_count_again_after_an_error() -> None:
    try:
        with without_denormals():
            raise ValueError
    except ValueError:
        assert tiny() > 0.0
