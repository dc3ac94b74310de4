"""Windows against their definition, written out as a search over all windows for every step."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadgr.extract.windows import Window, join, spread, spread_words


@st.composite
def sizes(draw):
    longest = draw(st.integers(1, 60))
    return draw(st.integers(0, 400)), longest, draw(st.integers(0, longest - 1))


@given(sizes())
def test_every_step_counts_once_and_windows_are_full_and_overlap(case):
    count, longest, overlap = case
    windows = spread(count, longest, overlap)
    assert [step for one in windows for step in range(one.first, one.last)] == list(range(count))
    assert all(one.stop - one.start == min(longest, count) for one in windows)
    assert all(before.stop - after.start >= overlap for before, after in pairwise(windows))
    fewer = len(windows) - 1
    assert fewer == 0 or fewer * longest - (fewer - 1) * overlap < count, "fewer windows would do"


@given(sizes())
def test_every_step_counts_where_it_is_furthest_from_an_edge(case):
    count, longest, overlap = case
    windows = spread(count, longest, overlap)

    def to_the_edge(window, step):
        before = step - window.start if window.start > 0 else count
        after = window.stop - 1 - step if window.stop < count else count
        return min(before, after)

    for one in windows:
        for step in range(one.first, one.last):
            best = max(to_the_edge(other, step) for other in windows if other.start <= step < other.stop)
            assert to_the_edge(one, step) == best


def test_a_window_by_hand():
    assert spread(10, 10, 3) == [Window(0, 10, 0, 10)]
    assert spread(17, 10, 3) == [Window(0, 10, 0, 8), Window(7, 17, 8, 17)]
    assert spread(18, 10, 3) == [Window(0, 10, 0, 7), Window(4, 14, 7, 11), Window(8, 18, 11, 18)]
    assert spread(18, 10, 3)[1].kept == slice(3, 7)


@given(sizes(), st.lists(st.integers(1, 9), max_size=60))
def test_windows_of_words_cover_every_piece_once(case, lengths):
    _, longest, overlap = case
    words = [word for word, length in enumerate(lengths) for _ in range(length)]
    windows = spread_words(words, longest, overlap)
    assert [step for one in windows for step in range(one.first, one.last)] == list(range(len(words)))
    assert all(one.stop - one.start <= longest for one in windows)
    assert all(before.stop - after.start >= overlap - 2 * (overlap // 4) for before, after in pairwise(windows))


@given(st.lists(st.integers(1, 3), min_size=20, max_size=80))
def test_short_words_are_never_cut(lengths):
    """A quarter of the overlap holds every word here."""
    words = [word for word, length in enumerate(lengths) for _ in range(length)]
    for one in spread_words(words, 40, 12):
        for at in (one.start, one.stop, one.first, one.last):
            assert at in (0, len(words)) or words[at - 1] != words[at]


def test_a_word_longer_than_a_window_is_cut_within():
    windows = spread_words([0] * 5 + [1] * 30 + [2] * 5, 10, 2)
    assert [step for one in windows for step in range(one.first, one.last)] == list(range(40))


def test_what_cannot_be():
    with pytest.raises(ValueError, match="overlap by 10"):
        spread(20, 10, 10)
    with pytest.raises(ValueError, match="overlap"):
        spread(20, 0, 0)
    with pytest.raises(ValueError, match="no window"):
        Window(0, 4, 2, 5)


def test_windows_are_joined_between_words_where_there_is_a_place():
    assert [one.last for one in join([(0, 10), (6, 16)], 16)] == [8, 16]
    assert [one.last for one in join([(0, 10), (6, 16)], 16, [3, 7, 12])] == [7, 16]
    assert [one.last for one in join([(0, 10), (6, 16)], 16, [3, 12])] == [8, 16]
