"""What training sets of a processor, and that nobody else can tell."""

from collections.abc import Callable

import pytest
import torch

from sadgr.train.loop import quickly

CPU = torch.device("cpu")


def tiny_numbers_left() -> int:
    """So many of 2**20 numbers, which threads share, are not 0 after a product with 1."""
    return int((torch.full((2**20,), 1e-40) * torch.ones(2**20)).count_nonzero())


def test_tiny_numbers_count_as_zero_for_the_work_alone() -> None:
    """Also where threads have worked before, as when features were gathered; Hypothesis refuses to work where they do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert tiny_numbers_left() == 2**20
        assert quickly(lambda _: (tiny_numbers_left(), torch.get_num_threads()), CPU, lambda: False) == (0, 2)
        assert tiny_numbers_left() == 2**20
    finally:
        torch.set_num_threads(threads)


def test_the_work_is_told_to_stop_and_its_errors_come_through() -> None:
    assert quickly(lambda stop: stop(), CPU, lambda: True) is True

    def fails(_: Callable[[], bool]) -> None:
        raise ValueError("told")

    with pytest.raises(ValueError, match="told"):
        quickly(fails, CPU, lambda: False)


def test_an_interrupt_of_the_caller_stops_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []

    def waits(stop: Callable[[], bool]) -> None:
        while not stop():
            pass
        told.append(True)

    class Interrupted:
        def __init__(self, future: object) -> None:
            del future

        def result(self) -> None:
            raise KeyboardInterrupt

    from concurrent.futures import ThreadPoolExecutor

    submit = ThreadPoolExecutor.submit
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda pool, *given: Interrupted(submit(pool, *given)))
    with pytest.raises(KeyboardInterrupt):
        quickly(waits, CPU, lambda: False)
    assert told == [True]
