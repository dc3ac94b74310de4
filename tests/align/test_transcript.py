"""From transcripts to words, and from an aligner's words back to them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadgr.align.transcript import fill_gaps, match_words, split_words
from sadgr.align.words import Flag

UNKNOWN = frozenset({"<unk>", "spn"})


def heard(text: str) -> list[tuple[str, float, float]]:
    """An aligner's words, one a second."""
    return [(label, float(i), i + 1.0) for i, label in enumerate(text.split())]


def test_words_are_split_at_white_space_alone():
    assert split_words(" Well,\tI -- don't\n\u00a0know!  ") == ("Well,", "I", "--", "don't", "know!")
    assert split_words(" \n") == ()


@pytest.mark.parametrize(
    ("transcript", "output", "spans"),
    [
        ("Hello, World!", "hello world", [(0, 1), (1, 2)]),
        ("don't go", "do n't go", [(0, 2), (2, 3)]),
        ("do n't go", "don't go", [(0, 0.5), (0.5, 1), (1, 2)]),  # letters share the time: d o | n t
        ("a lot of", "alot of", [(0, 0.25), (0.25, 1), (1, 2)]),
        ("in 1984 it", "in nineteen eighty four it", [(0, 1), (1, 4), (4, 5)]),
        ("twenty-one cats", "twenty one cats", [(0, 2), (2, 3)]),
        ("the zorbled rice", "the <unk> rice", [(0, 1), (1, 2), (2, 3)]),
        ("-- hi ♪ you", "hi you", [None, (0, 1), None, (1, 2)]),
        ("hi there you", "hi you", [(0, 1), None, (1, 2)]),
        ("the cat the dog", "the dog", [None, None, (0, 1), (1, 2)]),
        ("yes", "no", [None]),
    ],
)
def test_an_aligners_words_are_mapped_back(transcript, output, spans):
    assert match_words(split_words(transcript), heard(output), UNKNOWN) == spans


def test_untimed_words_share_the_gap_between_their_neighbours():
    times = fill_gaps(tuple("abcdef"), [None, (1, 2), None, None, (3, 4), None], [0.5] * 6, 5.0)
    assert [(word.start_seconds, word.end_seconds) for word in times] == [
        (0, 1), (1, 2), (2, 2.5), (2.5, 3), (3, 4), (4, 5),
    ]  # fmt: skip
    assert [int(word.flag) for word in times] == [1, 0, 1, 1, 0, 1]
    assert [word.score for word in times] == [0, 0.5, 0, 0, 0.5, 0]


def test_where_there_is_no_gap_the_time_lies_at_the_boundary():
    times = fill_gaps(("a", "b", "c"), [(0, 1), None, (1, 2)], [1.0] * 3, 2.0)
    assert times[1].flag is Flag.INTERPOLATED
    assert 0 <= times[1].start_seconds <= 1 <= times[1].end_seconds <= 2


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), max_size=10), st.data())
def test_filled_times_stay_in_the_clip_and_in_order(cuts, data):
    edges = sorted(edge for cut in cuts for edge in cut)
    spans = [
        (start / 10, end / 10) if data.draw(st.booleans()) else None
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    times = fill_gaps(tuple(map(str, range(len(spans)))), spans, [0.5] * len(spans), 4.0)
    assert [word.text for word in times] == [str(i) for i in range(len(spans))]
    assert all(0 <= word.start_seconds <= word.end_seconds <= 4.0 for word in times)
    for before, after in pairwise(times):
        assert before.start_seconds <= after.start_seconds
        assert before.end_seconds <= after.end_seconds
    for word, span in zip(times, spans, strict=True):
        assert span is None or (word.start_seconds, word.end_seconds) == span
