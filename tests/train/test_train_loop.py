"""What training sets of a processor."""

import torch

from sadgr.train.loop import fast_arithmetic


def test_tiny_numbers_count_as_zero_within_training_alone() -> None:
    """Hypothesis, among others, refuses to work where they do."""

    def tiny() -> float:
        return float(torch.tensor([1e-40]) * torch.ones(1))

    before = tiny()
    with fast_arithmetic(torch.device("cpu")):
        assert tiny() == 0.0
        with fast_arithmetic(torch.device("cpu")):
            assert tiny() == 0.0
        assert tiny() == 0.0  # the inner block leaves it as it found it
    assert tiny() == before > 0.0
