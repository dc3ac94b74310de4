"""What a run says of itself while it goes on."""

from sadgr.cache.console import Progress, duration
from sadgr.extract.pace import bottleneck


def test_the_slowest_stage_is_named_with_its_share():
    assert bottleneck({}) == ""
    assert bottleneck({"loading": 9.0}) == ""
    assert bottleneck({"text": 1.0, "audio": 2.0, "video": 7.0}) == "the video encoder (70% of the time)"
    assert bottleneck({"video": 4.0, "waiting": 6.0}).startswith("decoding: encoders wait for it (60%")
    # What is written meanwhile costs nothing, until it takes longer than all the rest.
    assert bottleneck({"video": 4.0, "waiting": 2.0, "writing": 5.0}).startswith("the video encoder (67%")
    assert bottleneck({"video": 4.0, "waiting": 2.0, "writing": 9.0}) == "writing into the cache (100% of the time)"


def test_times_are_said_in_their_unit():
    said = [duration(seconds) for seconds in (0.25, 59.0, 90.0, 7200.0, 100_000.0, 864_000.0)]
    assert said == ["0.2 s", "59.0 s", "1.5 min", "2.0 h", "27.8 h", "10.0 days"]


def test_a_log_gets_few_lines_and_the_end_is_told(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr("sadgr.cache.console.time.monotonic", lambda: now)
    shown = Progress("clips", 10_000, lambda seconds: (f"after {seconds:.0f} s", {}))
    for _ in range(10_000):
        now += 3.6
        shown.step()
    told = capsys.readouterr().err.splitlines()
    assert 50 < len(told) < 300  # ten hours
    assert told[0].startswith("clips: 3/10000 (0.3/s, after 11 s, 10.0 h left, until ")
    assert told[-1] == "clips: 10000/10000 (0.3/s, after 36000 s)"


def test_what_came_before_the_first_clip_does_not_count_into_the_estimate(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr("sadgr.cache.console.time.monotonic", lambda: now)
    shown = Progress("clips", 12)
    now = 1000.0  # models were loaded
    shown.step()
    for _ in range(6):
        now += 1.0
        shown.step()
    assert "clips: 6/12 (1.0/s, 6 s left)" in capsys.readouterr().err
