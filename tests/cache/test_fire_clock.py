"""Clocks that jump, run ahead or differ between hosts: what is written later counts, and names still sort."""

import itertools
import signal
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sadgr.cache import CacheError, FeatureSet, FeatureWriter, RunLog, source_digest
from sadgr.cache import publish as publishing
from sadgr.cache.compact import compact
from sadgr.cache.failures import failures
from sadgr.cache.publish import TIME_FORMAT, next_stem, shard_names, unique_stem

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch):
    """Set the wall clock of `publish`, and the host's name; each look at it may be one of several times."""

    def set_to(*times: datetime, host: str = "here") -> None:
        cycle = itertools.cycle(times)

        class Fake(datetime):
            @classmethod
            def now(cls, tz=None):
                return next(cycle)

        monkeypatch.setattr(publishing, "datetime", Fake)
        monkeypatch.setattr(publishing.socket, "gethostname", lambda: host)

    return set_to


@contextmanager
def ending(seconds: int = 20):
    """Fail instead of hanging for ever."""

    def give_up(*_):
        raise AssertionError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read(text_set, clip="a"):
    return FeatureSet(text_set.path).read(clip)["words"]


def put(text_set, planted, seed, clip="a"):
    planted.write(FeatureSet(text_set.path), planted.record(clip, seed=seed, version=str(seed)))


def check_latest(text_set, planted, seed, clip="a"):
    np.testing.assert_array_equal(read(text_set, clip), planted.arrays("text", seed=seed)["words"])
    assert FeatureSet(text_set.path).missing({clip: source_digest(transcript=str(seed))}) == []


def test_a_clock_that_jumps_back_and_forth(text_set, planted, clock):
    rng = np.random.default_rng(4)
    names = []
    for seed in range(60):
        clock(NOON + timedelta(seconds=float(rng.normal(scale=1e6))))
        put(text_set, planted, seed)
        names.append(shard_names(text_set.path)[-1])
        check_latest(text_set, planted, seed)
    assert names == sorted(set(names)) == shard_names(text_set.path)
    compact(FeatureSet(text_set.path), "link")
    check_latest(text_set, planted, 59)
    clock(NOON - timedelta(days=9000))
    put(text_set, planted, 60)
    check_latest(text_set, planted, 60)


def test_a_clock_that_jumps_between_two_looks_at_it(text_set, planted, clock):
    """The temporary name and the shard's own are made at different times."""
    clock(NOON, NOON - timedelta(days=400), NOON + timedelta(days=4), NOON - timedelta(days=40))
    for seed in range(12):
        put(text_set, planted, seed)
        check_latest(text_set, planted, seed)


def test_a_clock_that_stands_still(text_set, planted, clock):
    clock(NOON)
    for seed in range(20):
        put(text_set, planted, seed)
        check_latest(text_set, planted, seed)
    times = [name.split("-")[0] for name in shard_names(text_set.path)]
    assert times == sorted(set(times)) and times[0] == f"{NOON:{TIME_FORMAT}}"


def test_a_clock_far_ahead_sets_the_pace_for_all_that_follow(text_set, planted, clock):
    clock(datetime(2199, 1, 1, tzinfo=UTC), host="ahead")
    put(text_set, planted, 1)
    clock(NOON, host="right")
    for seed in range(2, 9):
        put(text_set, planted, seed)
        check_latest(text_set, planted, seed)
    assert [name.split("-")[1] for name in shard_names(text_set.path)] == ["ahead", *["right"] * 7]


def test_a_clock_at_the_end_of_all_times(text_set, planted, clock):
    """Nothing can sort after it by its time alone: what is written counts, or the shard in the way is named."""
    clock(FAR)
    put(text_set, planted, 1)
    (blocking,) = shard_names(text_set.path)
    clock(NOON)
    try:
        put(text_set, planted, 2)
    except CacheError as error:
        assert blocking in str(error)
    else:
        check_latest(text_set, planted, 2)


def test_two_hosts_whose_clocks_differ_by_hours(text_set, planted, clock):
    """Whoever writes later wins, though the other's clock says otherwise; alternating, and several times in a row."""
    rng = np.random.default_rng(11)
    offsets = {"fast": timedelta(hours=5), "slow": timedelta(hours=-3), "zone": timedelta(0)}
    latest = {}
    for seed in range(45):
        host = str(rng.choice(sorted(offsets)))
        clock(NOON + timedelta(seconds=seed) + offsets[host], host=host)
        clip = str(rng.choice(["a", "b", "c"]))
        put(text_set, planted, seed, clip)
        latest[clip] = seed
        if seed % 15 == 7:
            compact(FeatureSet(text_set.path), "link")
    for clip, seed in latest.items():
        check_latest(text_set, planted, seed, clip)


def test_a_writer_that_was_open_while_another_host_wrote(text_set, planted, clock):
    """The name is made when the shard is published, not when its work began."""
    clock(NOON)
    with FeatureWriter(FeatureSet(text_set.path), "link") as slow:
        slow.add(planted.record("a", seed=2, version="2"))
        clock(NOON + timedelta(hours=2), host="other")
        put(text_set, planted, 1)
        clock(NOON + timedelta(seconds=1))
    check_latest(text_set, planted, 2)


@pytest.mark.parametrize("stranger", ["zebra.h5", "99-x.h5", "notes about shards.h5", "\u00fcbung.h5", "~.h5"])
def test_a_strangers_file_does_not_let_the_old_count(text_set, planted, clock, stranger):
    clock(NOON + timedelta(days=30), host="ahead")
    put(text_set, planted, 1)
    (text_set.path / stranger).write_bytes(b"mine")
    clock(NOON)
    with ending():
        put(text_set, planted, 2)
    check_latest(text_set, planted, 2)


def test_stems_sort_after_all_that_are_there_whatever_the_clock(clock):
    rng, names = np.random.default_rng(2), []
    for _ in range(500):
        clock(NOON + timedelta(microseconds=int(rng.integers(-5, 5))), host=f"h{rng.integers(3)}")
        stem = next_stem(names)
        assert all(stem > name for name in names)
        names.append(f"{stem}~abcd1234.h5" if rng.random() < 0.3 else f"{stem}.h5")
    assert len(set(names)) == 500


def test_hosts_with_odd_names_make_plain_stems(clock):
    for host in ("node-17.cluster.local", "a b", "", "héé", "x" * 64):
        clock(NOON, host=host)
        time, _, process, _ = unique_stem().split("-")
        assert time == "20260301T120000.000000Z" and process.isdigit()


def test_the_log_of_a_later_run_counts_though_the_clock_was_set_back(cache, clock):
    clock(NOON)
    with RunLog(cache.path, {}) as log:
        log.clip("demo", "a", "failed", "text", "no words")
        log.clip("demo", "b", "done", "text")
    clock(NOON - timedelta(hours=1), host="other")
    with RunLog(cache.path, {}) as log:
        log.clip("demo", "a", "done", "text")
        log.clip("demo", "b", "failed", "text", "cut short")
    assert [(one.clip, one.reason) for one in failures(cache)] == [("b", "cut short")]
