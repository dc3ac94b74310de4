"""Pooling against hand-computed frames, a slow oracle, and the properties that the method states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadgr.align.errors import PoolingError
from sadgr.align.grid import FrameGrid, frame_ranges
from sadgr.align.pooling import pool_blocks, pool_inside, pool_words

RATE_HZ = 16000


def hubert(count: int) -> FrameGrid:
    return FrameGrid(hop_samples=320, first_centre_samples=200, count=count)


def whisper(count: int) -> FrameGrid:
    return FrameGrid(hop_samples=320, first_centre_samples=0, count=count)


def times(*seconds: float) -> np.ndarray:
    return np.array(seconds, dtype=np.float64)


def test_centres_are_those_of_the_method():
    assert hubert(4).centres.tolist() == [200, 520, 840, 1160]
    assert whisper(3).centres.tolist() == [0, 320, 640]


@pytest.mark.parametrize(
    ("grid", "start_sample", "end_sample", "expected"),
    [
        (hubert(10), 0, 201, (0, 1)),  # the centre 200 is inside
        (hubert(10), 0, 520, (0, 1)),  # the end is not part of the word
        (hubert(10), 0, 521, (0, 2)),
        (hubert(10), 200, 1160, (0, 3)),  # the start is
        (hubert(10), 201, 1160, (1, 3)),
        (hubert(10), 201, 300, (0, 1)),  # holds no centre; midpoint 250.5 is nearest to 200
        (hubert(10), 350, 519, (1, 2)),  # midpoint 434.5 is nearest to 520
        (hubert(10), 360, 360, (0, 1)),  # an empty word half way between 200 and 520: the earlier
        (hubert(10), 3100, 9000, (9, 10)),  # the last centre is 3080, and the grid ends there
        (hubert(10), 0, 10**6, (0, 10)),
        (whisper(10), 0, 320, (0, 1)),
        (whisper(10), 0, 321, (0, 2)),
        (whisper(10), 320, 960, (1, 3)),
        (whisper(10), 1, 160, (0, 1)),
        (whisper(10), 1, 319, (0, 1)),  # midpoint 160 is as near to 0 as to 320
        (whisper(10), 2, 320, (1, 2)),
    ],
)
def test_ranges_by_hand(grid, start_sample, end_sample, expected):
    found = frame_ranges(grid, times(start_sample / RATE_HZ), times(end_sample / RATE_HZ))
    assert tuple(found[0]) == expected
    assert found.dtype == np.int64


def test_a_float_below_a_centre_does_not_lose_it():
    # 0.1 + 0.2 is above 0.3, and 0.3 s is the centre of Whisper's frame 15.
    grid = whisper(20)
    exact, noisy = frame_ranges(grid, times(0.3, 0.1 + 0.2), times(0.4, 0.1 + 0.3))
    assert exact.tolist() == noisy.tolist() == [15, 20]


def test_means_by_hand():
    frames = np.array([[0, 1], [2, 3], [10, 20], [30, 40]], dtype=np.float32)
    starts, ends = times(0, 600 / RATE_HZ, 0.02), times(600 / RATE_HZ, 0.1, 0.021)
    pooled = pool_words(frames, hubert(4), starts, ends)
    assert pooled.tolist() == [[1, 2], [20, 30], [0, 1]]  # the third holds no centre; 328 is nearest to 200
    assert pooled.dtype == np.float32
    assert pool_inside(frames, hubert(4), starts, ends).tolist() == [10.5, 16]  # every frame once, though 0 lies in two


def test_sums_are_kept_in_double():
    frames = np.concatenate([[[2.0**25]], np.ones((4095, 1))]).astype(np.float32)
    expected = (2.0**25 + 4095) / 4096
    pooled = pool_words(frames, whisper(4096), times(0), times(4096 * 0.02))
    inside = pool_inside(frames, whisper(4096), times(0), times(4096 * 0.02))
    assert pooled[0, 0] == inside[0] == np.float32(expected)


def test_a_broken_frame_stays_in_its_own_word():
    frames = np.array([[1], [np.nan], [3]], dtype=np.float32)
    pooled = pool_words(frames, whisper(3), times(0, 0.02, 0.04), times(0.02, 0.04, 0.06))
    assert pooled[[0, 2], 0].tolist() == [1, 3]
    assert np.isnan(pooled[1, 0])


def test_no_words():
    frames = np.ones((3, 5), dtype=np.float32)
    assert pool_words(frames, whisper(3), times(), times()).shape == (0, 5)
    with pytest.raises(PoolingError, match="no words"):
        pool_inside(frames, whisper(3), times(), times())


@pytest.mark.parametrize(
    ("starts", "ends", "message"),
    [
        ((0.0, np.nan), (0.1, 0.2), "word 1 .*not finite"),
        ((0.0,), (np.inf,), "not finite"),
        ((-0.01,), (0.1,), "before the clip"),
        ((0.2, 0.1), (0.1, 0.2), "word 0 .*ends before"),
        ((0.31,), (0.4,), r"after the audio's end"),  # ten of Whisper's frames are 0.2 s, and 0.1 s are tolerated
        ((0.0, 0.1), (0.1,), "shape"),
    ],
)
def test_times_that_cannot_be(starts, ends, message):
    with pytest.raises(PoolingError, match=message):
        pool_words(np.ones((10, 2), dtype=np.float32), whisper(10), times(*starts), times(*ends))


def test_a_word_just_past_the_end_takes_the_last_frame():
    assert frame_ranges(whisper(10), times(0.3), times(0.35)).tolist() == [[9, 10]]


def test_frames_that_are_not_the_grids():
    with pytest.raises(PoolingError, match=r"expects \(9, D\)"):
        pool_words(np.ones((10, 2), dtype=np.float32), whisper(9), times(0), times(0.1))
    with pytest.raises(PoolingError, match="no audio frames"):
        pool_words(np.ones((0, 2), dtype=np.float32), whisper(0), times(0), times(0.1))


@pytest.mark.parametrize("field", ["hop_samples", "sample_rate_hz"])
def test_grids_that_cannot_be(field):
    with pytest.raises(PoolingError):
        FrameGrid(**{"hop_samples": 320, "first_centre_samples": 0, "count": 1, field: 0})


grids = st.builds(FrameGrid, st.integers(1, 500), st.integers(0, 500), st.integers(1, 60))


@st.composite
def grid_and_words(draw):
    """A grid, and words anywhere on its audio, by samples."""
    grid = draw(grids)
    bounds = st.integers(0, grid.longest_audio_samples)
    words = draw(st.lists(st.tuples(bounds, bounds).map(sorted), min_size=1, max_size=12))
    starts, ends = np.array(words, dtype=np.float64).T / RATE_HZ
    return grid, starts, ends


@given(grid_and_words())
def test_equals_a_loop_over_words_and_frames(case):
    grid, starts, ends = case
    frames = np.random.default_rng(0).normal(size=(grid.count, 3)).astype(np.float32)
    inside = np.zeros(grid.count, dtype=bool)
    expected = []
    for start, end in zip(np.rint(starts * RATE_HZ), np.rint(ends * RATE_HZ), strict=True):
        held = [t for t, centre in enumerate(grid.centres) if start <= centre < end]
        held = held or [int(np.argmin(np.abs(grid.centres - (start + end) / 2)))]
        inside[held] = True
        expected.append(frames[held].mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(pool_words(frames, grid, starts, ends), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        pool_inside(frames, grid, starts, ends), frames[inside].mean(axis=0), rtol=1e-5, atol=1e-6
    )


@given(grid_and_words(), st.lists(st.integers(0, 60), max_size=4).map(sorted), st.booleans())
def test_pooling_by_blocks_equals_pooling_at_once(case, cuts, some_words):
    grid, starts, ends = case
    starts, ends = (starts, ends) if some_words else (times(), times())
    frames = np.random.default_rng(0).normal(size=(grid.count, 3)).astype(np.float32)
    edges = [0, *(min(cut, grid.count) for cut in cuts), grid.count]  # some blocks are empty
    pooled = pool_blocks((frames[first:last] for first, last in pairwise(edges)), grid, starts, ends)
    np.testing.assert_allclose(pooled.words, pool_words(frames, grid, starts, ends), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(pooled.mean, frames.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-7)
    if some_words:
        np.testing.assert_allclose(pooled.mean_words, pool_inside(frames, grid, starts, ends), rtol=1e-6, atol=1e-7)
    else:
        assert pooled.mean_words is None
    assert {pooled.words.dtype, pooled.mean.dtype} == {np.dtype(np.float32)}


def test_blocks_that_are_not_the_grids():
    block = np.ones((4, 2), dtype=np.float32)
    with pytest.raises(PoolingError, match="there are 8 frames; this grid expects 9"):
        pool_blocks([block, block], whisper(9), times(0), times(0.1))
    with pytest.raises(PoolingError, match=r"\(4, 2\) after 4 others; this grid expects \(7, D\)"):
        pool_blocks([block, block], whisper(7), times(0), times(0.1))
    with pytest.raises(PoolingError, match="there are 0 frames"):
        pool_blocks([], whisper(7), times(0), times(0.1))


@given(grid_and_words())
def test_every_word_has_a_frame_of_the_clip(case):
    grid, starts, ends = case
    ranges = frame_ranges(grid, starts, ends)
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert ranges.min() >= 0
    assert ranges.max() <= grid.count


@given(st.integers(1, 40), st.data())
def test_words_that_cover_everything_average_to_the_mean(count, data):
    grid = hubert(count)
    cuts = data.draw(st.lists(st.integers(0, grid.longest_audio_samples), max_size=8).map(sorted))
    edges = np.array([0, *cuts, grid.longest_audio_samples])
    # Only words that hold a centre: the others repeat a neighbour's frame.
    held = [sum(start <= centre < end for centre in grid.centres) for start, end in pairwise(edges)]
    starts, ends = edges[:-1] / RATE_HZ, edges[1:] / RATE_HZ
    frames = np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)
    pooled = pool_words(frames, grid, starts, ends)
    weighted = (pooled * np.array(held)[:, None]).sum(axis=0) / count
    np.testing.assert_allclose(weighted, frames.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(pool_inside(frames, grid, starts, ends), frames.mean(axis=0), atol=1e-5)


@given(grid_and_words(), st.integers(1, 5))
def test_shifting_by_hops_shifts_the_frames(case, hops):
    grid, starts, ends = case
    longer = FrameGrid(grid.hop_samples, grid.first_centre_samples, grid.count + hops + 2)
    shift_seconds = hops * grid.hop_samples / RATE_HZ
    before = frame_ranges(longer, starts, ends)
    after = frame_ranges(longer, starts + shift_seconds, ends + shift_seconds)
    # At the clip's edges the nearest frame is clamped, and cannot follow.
    free = (starts * RATE_HZ >= grid.first_centre_samples) & (after[:, 1] < longer.count)
    assert (after[free] == before[free] + hops).all()
