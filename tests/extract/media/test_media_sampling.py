"""Frame selection is arithmetic on times: closed forms and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadgr.extract.media.sampling import Sampling, choose_by_rate, choose_evenly, choose_frames, shown_during
from sadgr.extract.media.span import Span


def test_equal_parts_take_the_middle_frame_of_each():
    times = np.arange(48) / 25
    assert choose_frames(times, 48 / 25, 16).tolist() == list(range(1, 48, 3))  # centre of 3 frames: the second


@pytest.mark.parametrize("frame_count", [1, 2, 15, 16])
def test_few_frames_are_all_taken_and_none_twice(frame_count):
    times = 0.3 + np.arange(frame_count) / 30
    assert choose_frames(times, 0.3 + frame_count / 30, 16).tolist() == list(range(frame_count))


def test_a_long_still_is_taken_once():
    times = np.array([0.0, 0.1, 0.2, 9.0, 9.1])
    assert choose_frames(times, 10.0, 5).tolist() == [2, 3]  # centres 1, 3, 5, 7 see the still; 9 the frame after it


def test_first_frame_late_is_counted_from_there():
    times = 5 + np.arange(10.0)
    assert choose_frames(times, 15.0, 2).tolist() == [2, 7]


@given(
    steps=st.lists(st.floats(0.001, 5), min_size=1, max_size=60),
    start=st.floats(0, 1000),
    count=st.integers(1, 20),
)
def test_chosen_frames_are_distinct_and_shown_at_some_centre(steps, start, count):
    edges = start + np.cumsum([0.0, *steps])
    times, end = edges[:-1], edges[-1]
    chosen = choose_frames(times, end, count)
    parts = min(count, len(times))
    centres = [times[0] + (part + 0.5) * (end - times[0]) / parts for part in range(parts)]
    on_display = {max(i for i in range(len(times)) if times[i] <= centre) for centre in centres}
    assert chosen.tolist() == sorted(on_display)


def test_a_span_starts_with_the_frame_that_is_on_display():
    times = np.arange(10.0)
    assert shown_during(times, Span(2.5, 5.0)) == slice(2, 5)
    assert shown_during(times, Span(2.0, 5.1)) == slice(2, 6)
    assert shown_during(times, Span(7.2)) == slice(7, 10)
    assert shown_during(times + 3, Span(0.0, 4.5)) == slice(0, 2)


@pytest.mark.parametrize(
    "bounds", [(2.0, 2.0), (3.0, 2.0), (-0.1, 1.0), (float("nan"), 1.0), (0.0, float("nan")), (0.0, float("inf"))]
)
def test_spans_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match="span"):
        Span(*bounds)


def test_a_rate_gives_the_frames_at_the_centres_of_its_parts():
    times = np.arange(100) / 25
    assert choose_by_rate(times, 4.0, 2).tolist() == [6, 18, 31, 43, 56, 68, 81, 93]  # centres 0.25, 0.75, ...
    assert choose_by_rate(times, 4.0, 100).tolist() == list(range(100))  # faster than the film: each frame once
    assert choose_by_rate(times + 7, 11.0, 0.1).tolist() == [99]  # one part of 10 s, whose centre lies beyond the end
    assert choose_by_rate(np.array([0.0]), 0.04, 2).tolist() == [0]


def test_key_frames_are_taken_evenly_over_their_list():
    keys = np.array([0, 12, 24, 36, 48, 60, 72, 84])
    assert choose_evenly(keys, 4).tolist() == [12, 36, 60, 84]
    assert choose_evenly(keys, 16).tolist() == keys.tolist()
    assert choose_evenly(keys, 1).tolist() == [48]
    assert choose_evenly(keys[:0], 4).tolist() == []


def test_samplings_are_read_as_people_write_them():
    assert Sampling.parse("uniform").settings == {"mode": "uniform", "frames": 16}
    assert Sampling.parse("keyframe", 8).settings == {"mode": "keyframe", "frames": 8}
    assert Sampling.parse("fps=2.5").settings == {"mode": "fps", "per_second": 2.5}
    for wrong in ("", "fps", "fps=", "fps=0", "fps=-1", "fps=nan", "fps=inf", "iframe", "uniform=4", "fps=2fps"):
        with pytest.raises(ValueError, match=r"expected uniform, keyframe, or fps=K"):
            Sampling.parse(wrong)
    with pytest.raises(ValueError, match="how many"):
        Sampling(frames=0)
