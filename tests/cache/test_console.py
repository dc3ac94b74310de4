"""Signals that ask for a stop."""

import signal

import pytest

from sadgr.cache import console
from sadgr.cache.console import stop_requested


def test_a_signal_asks_for_a_stop_and_may_come_by_two_ways(capsys):
    """As SLURM sends it to every process of a job, and the one that started this passes it on once more."""
    with stop_requested() as stop:
        assert not stop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
            assert stop()
    assert capsys.readouterr().err == "SIGINT: saving what is done, then stopping\n"


def test_a_second_signal_that_comes_later_ends_at_once(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_requested():
        signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(console, "SAME_SIGNAL_SECONDS", -1.0)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")
    assert signal.getsignal(signal.SIGINT) is before
