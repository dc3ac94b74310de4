"""The way from an aligner's words back to the transcript's, and times for words that it did not find."""

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sadgr.align import Flag, split_words
from sadgr.align.transcript import Timed, fill_gaps, match_words

UNKNOWN = frozenset({"<unk>", "spn"})


def timed(text, seconds=1.0):
    """The aligner's words, one after the other, each of the same length."""
    return [Timed(label, place * seconds, (place + 1) * seconds, 0.9) for place, label in enumerate(text.split())]


def matched(words, heard):
    return match(words.split(), timed(heard))


def match(words, heard):
    """Start and end of each word, or None; the scores are all those of what was heard."""
    spans = match_words(words, heard, UNKNOWN)
    assert {span[2] for span in spans if span} <= {0.9}
    return [span and span[:2] for span in spans]


def test_split_at_any_white_space():
    assert split_words("  Well,\tI\u00a0mean --\n(umm) OK. ") == ("Well,", "I", "mean", "--", "(umm)", "OK.")
    assert split_words(" \n") == ()


@pytest.mark.parametrize(
    ("words", "heard", "expected"),
    [
        ("The birch canoe.", "the birch canoe", [(0, 1), (1, 2), (2, 3)]),
        # split and joined clitics
        ("I don’t know", "i do n't know", [(0, 1), (1, 3), (3, 4)]),
        ("We can not go", "we cannot go", [(0, 1), (1, 1.5), (1.5, 2), (2, 3)]),
        ("We cannot go", "we can not go", [(0, 1), (1, 3), (3, 4)]),
        ("NASA's dog", "nasa 's dog", [(0, 2), (2, 3)]),
        # what the aligner wrote out, or the transcript did
        ("In 1984 we", "in nineteen eighty four we", [(0, 1), (1, 4), (4, 5)]),
        ("pays $1.50 now", "pays one dollar and fifty cents now", [(0, 1), (1, 6), (6, 7)]),
        ("twenty one 30", "21 thirty", [(0, 2 / 3), (2 / 3, 1), (1, 2)]),
        ("a well-known one", "a well known one", [(0, 1), (1, 3), (3, 4)]),
        # words that the aligner does not know
        ("rice is zorbled now", "rice is <unk> now", [(0, 1), (1, 2), (2, 3), (3, 4)]),
        ("rice is zorbled", "rice is spn", [(0, 1), (1, 2), (2, 3)]),
        ("a zorbled -- day", "a <UNK> day", [(0, 1), (1, 2), None, (2, 3)]),
        ("情感 day", "<unk> day", [(0, 1), (1, 2)]),
        ("two zorbled gleeps here", "two <unk> here", [(0, 1), None, None, (2, 3)]),
        ("zorbled don't go", "<unk> do n't go", [(0, 1), (1, 3), (3, 4)]),
        ("in 1984 gleeps", "in nineteen eighty four <unk>", [(0, 1), (1, 4), (4, 5)]),
        ("-- day", "<unk> day", [None, (1, 2)]),
        ("canoe day", "-- day", [None, (1, 2)]),
        # words too many and too few
        ("one two three", "one uh two three", [(0, 1), (2, 3), (3, 4)]),
        ("one two three", "one three", [(0, 1), None, (1, 2)]),
        ("so one two", "one two", [None, (0, 1), (1, 2)]),
        ("one two three", "one two", [(0, 1), (1, 2), None]),
        ("one -- two", "one two", [(0, 1), None, (1, 2)]),
        # a word said again is the next one, not the same
        ("words words words", "words words words", [(0, 1), (1, 2), (2, 3)]),
        ("no no way", "no way", None),
        # nothing alike
        ("quite another clip", "it is summer", [None, None, None]),
        ("a b", "cat dog", [None, None]),
        ("", "one two", []),
        ("one two", "", [None, None]),
        ("-- ♪", "<unk>", [None, None]),
    ],
)
def test_matches_by_hand(words, heard, expected):
    found = matched(words, heard)
    if expected is None:  # either "no" may be the one that was found, not both
        assert sorted(found[:2], key=str) == [(0, 1), None]
        assert found[2] == (1, 2)
        return
    assert [span and pytest.approx(span) for span in expected] == found


def test_a_word_found_in_several_labels_has_the_lowest_of_their_scores():
    heard = [Timed(label, i, i + 1, 1 - i / 100) for i, label in enumerate(["in", "nineteen", "eighty", "four", "it"])]
    assert [span[2] for span in match_words(("in", "1984", "it"), heard, UNKNOWN)] == [1.0, 0.97, 0.96]


def test_a_labels_time_passes_evenly_over_its_letters():
    can, not_ = match(["can", "nots"], [Timed("cannots", 1.0, 1.7, 0.9)])
    assert can == pytest.approx((1.0, 1.3))
    assert not_ == pytest.approx((1.3, 1.7))


vocabulary = st.sampled_from(
    [
        "the",
        "a",
        "canoe",
        "slid",
        "don't",
        "cannot",
        "1984",
        "$5",
        "well-known",
        "birch",
        "words",
        "words",
        "(umm)",
        "情感",
        "--",
        "NASA's",
        "21st",
        "planks.",
        "I",
    ]
)


@settings(deadline=None)
@given(st.lists(vocabulary, max_size=12), st.lists(st.floats(0.05, 1), min_size=12, max_size=12))
def test_a_transcript_finds_itself(words, lengths):
    """Its own words as labels give each its own time, unless there is nothing to say."""
    edges = [sum(lengths[:place]) for place in range(len(words) + 1)]
    spans = match(words, [Timed(word, *edge, 0.9) for word, edge in zip(words, pairwise(edges), strict=True)])
    spoken = [any(letter.isalnum() for letter in word) for word in words]
    assert spans == [edge if said else None for edge, said in zip(pairwise(edges), spoken, strict=True)]


@settings(deadline=None)
@given(st.lists(vocabulary, max_size=10), st.lists(vocabulary | st.sampled_from(sorted(UNKNOWN)), max_size=10))
def test_whatever_the_labels_spans_are_in_order_and_of_the_aligners_time(words, labels):
    heard = timed(" ".join(labels), 0.5)
    spans = match(words, heard)
    assert len(spans) == len(words)
    found = [span for span in spans if span]
    assert all(0 <= start < end <= len(heard) * 0.5 + 1e-9 for start, end in found)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(found))


@settings(deadline=None)
@given(st.lists(vocabulary, min_size=2, max_size=10), st.data())
def test_a_word_left_out_does_not_move_the_others_elsewhere(words, data):
    """Every word that is found still has letters of its own: its time overlaps that of an equal word."""
    gone = data.draw(st.integers(0, len(words) - 1))
    heard = [one for place, one in enumerate(timed(" ".join(words))) if place != gone]
    for word, span in zip(words, match(words, heard), strict=True):
        if span and len(word) > 3:
            assert any(one.label == word and one.start <= span[0] < one.end for one in heard)


# -- words without a time


def scored(spans):
    return [span and (*span, 0.7) for span in spans]


def spans_of(times):
    return [(word.start_seconds, word.end_seconds) for word in times]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([None, None], [(0, 2), (2, 4)]),
        ([(1, 2), None, None, (3, 4)], [(1, 2), (2, 2.5), (2.5, 3), (3, 4)]),
        ([None, (1, 2), None], [(0, 1), (1, 2), (2, 4)]),
        ([(1, 2), None, (2, 3)], [(1, 2), (2, 2), (2, 3)]),  # no gap: an empty span at the boundary
        ([(0, 4), None], [(0, 4), (4, 4)]),
        ([], []),
    ],
)
def test_gaps_by_hand(spans, expected):
    words = [f"w{place}" for place in range(len(spans))]
    times = fill_gaps(words, scored(spans), 4.0)
    assert [word.text for word in times] == words
    assert spans_of(times) == expected
    for word, span in zip(times, spans, strict=True):
        assert (word.flag, word.score) == ((Flag.ALIGNED, 0.7) if span else (Flag.INTERPOLATED, 0.0))


def test_scores_stay_with_their_words():
    times = fill_gaps(["a", "b", "c"], [(0, 1, 0.3), None, (1, 2, 0.5)], 3.0)
    assert [word.score for word in times] == [0.3, 0.0, 0.5]


def test_lengths_that_differ_are_refused():
    for words, spans in ((["a"], []), ([], [(0, 1, 0.5)])):
        with pytest.raises(ValueError, match="zip"):
            fill_gaps(words, spans, 1.0)


@st.composite
def ordered_spans(draw):
    """Spans in order within the clip, some of them missing."""
    count = draw(st.integers(0, 12))
    bounds = sorted(draw(st.lists(st.floats(0, 20), min_size=2 * count, max_size=2 * count)))
    known = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    spans = [tuple(bounds[2 * i : 2 * i + 2]) if known[i] else None for i in range(count)]
    return spans, draw(st.floats(0, 5)) + (bounds[-1] if bounds else 0.0)


@settings(deadline=None)
@given(ordered_spans())
def test_gaps_are_filled_in_order_within_the_clip(case):
    spans, duration = case
    times = fill_gaps(["w"] * len(spans), scored(spans), duration)
    assert len(times) == len(spans)
    edges = [edge for word in times for edge in (word.start_seconds, word.end_seconds)]
    tolerance = 1e-9  # a share's last bit
    assert all(before <= after + tolerance for before, after in pairwise(edges))
    assert all(0 <= edge <= duration + tolerance for edge in edges)
    for word, span in zip(times, spans, strict=True):
        assert (word.flag is Flag.ALIGNED) == (span is not None)
        assert span is None or (word.start_seconds, word.end_seconds) == span


@settings(deadline=None)
@given(ordered_spans())
def test_neighbours_without_a_time_share_equally_and_leave_nothing_between(case):
    spans, duration = case
    times = fill_gaps(["w"] * len(spans), scored(spans), duration)
    runs = [pair for pair in pairwise(times) if {word.flag for word in pair} == {Flag.INTERPOLATED}]
    assume(runs)
    for before, after in runs:
        assert before.end_seconds == pytest.approx(after.start_seconds, abs=1e-9)
        lengths = [word.end_seconds - word.start_seconds for word in (before, after)]
        assert lengths[0] == pytest.approx(lengths[1], abs=1e-9)
