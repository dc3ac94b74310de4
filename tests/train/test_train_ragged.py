"""Sequences end to end, against plain loops over clips."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sadgr.train.ragged import MOST_PADDING, Spans

LENGTHS = st.lists(st.integers(1, 59), min_size=1, max_size=12)


def rows_of(lengths: list[int]) -> Tensor:
    """Rows that all differ, three wide."""
    return torch.randn(sum(lengths), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@settings(deadline=None)
@given(LENGTHS)
def test_mean_averages_each_clip_s_own_rows(lengths: list[int]) -> None:
    rows = rows_of(lengths)
    expected = torch.stack([part.mean(dim=0) for part in torch.split(rows, lengths)])
    torch.testing.assert_close(Spans.of(lengths).mean(rows), expected, atol=1e-6, rtol=0)


@settings(deadline=None)
@given(LENGTHS)
def test_spread_gives_each_row_its_clip_s_vector(lengths: list[int]) -> None:
    spans, values = Spans.of(lengths), rows_of([len(lengths)])
    expected = torch.cat([value.expand(length, -1) for value, length in zip(values, lengths, strict=True)])
    assert torch.equal(spans.spread(values), expected)
    assert spans.owners.tolist() == [clip for clip, length in enumerate(lengths) for _ in range(length)]
    assert len(spans) == len(lengths)


@settings(deadline=None)
@given(LENGTHS)
def test_padded_begins_with_the_clip_and_ends_with_zeros(lengths: list[int]) -> None:
    spans, rows = Spans.of(lengths), rows_of(lengths)
    padded = spans.padded(rows)
    assert padded.shape == (len(lengths), max(lengths), 3) and spans.mask.shape == padded.shape[:2]
    for clip, part in enumerate(torch.split(rows, lengths)):
        assert torch.equal(padded[clip, : len(part)], part)
        assert not padded[clip, len(part) :].any()
        assert spans.mask[clip].tolist() == [place < len(part) for place in range(max(lengths))]


@settings(deadline=None)
@given(LENGTHS, st.integers(-6, 6))
def test_shifted_moves_rows_within_their_clip(lengths: list[int], steps: int) -> None:
    rows = rows_of(lengths)
    expected = torch.zeros_like(rows)
    for part, into in zip(torch.split(rows, lengths), torch.split(expected, lengths), strict=True):
        for place in range(len(part)):
            if 0 <= place + steps < len(part):
                into[place + steps] = part[place]
    assert torch.equal(Spans.of(lengths).shifted(rows, steps), expected)


@settings(deadline=None)
@given(LENGTHS)
def test_groups_hold_each_row_once_with_its_clip_around_it(lengths: list[int]) -> None:
    spans, rows = Spans.of(lengths), torch.arange(1, sum(lengths) + 1)[:, None]
    met: list[list[int]] = []
    for valid, of_group in zip(spans.groups.masks, spans.groups.padded(rows), strict=True):
        padded = of_group[..., 0]  # (b, L)
        assert padded.shape == valid.shape
        for found, mask in zip(padded, valid, strict=True):
            assert mask.tolist() == sorted(mask.tolist(), reverse=True)  # valid ones first
            assert not found[~mask].any()
            met.append(found[mask].tolist())
    assert sorted(met) == [part.flatten().tolist() for part in torch.split(rows, lengths)]


@settings(deadline=None)
@given(LENGTHS)
def test_groups_are_few_and_little_of_them_is_padding(lengths: list[int]) -> None:
    masks = Spans.of(lengths).groups.masks
    for mask in masks:
        own = mask.sum(dim=1)
        assert mask.shape[1] == own.max() <= MOST_PADDING * own.min() + 2
    assert sum(mask.numel() for mask in masks) <= MOST_PADDING * sum(lengths) + 2 * len(lengths)
    assert len(masks) <= 8  # 1-3, 4-7, 8-12, 13-18, 19-25, 26-34, 35-45, 46-59 at most


@settings(deadline=None)
@given(LENGTHS)
def test_what_was_computed_by_group_comes_back_in_order(lengths: list[int]) -> None:
    spans, rows = Spans.of(lengths), rows_of(lengths).requires_grad_()
    back = spans.groups.flat(spans.groups.padded(rows))
    assert torch.equal(back, rows)
    weights = rows_of([sum(lengths)])
    (back * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None and torch.equal(rows.grad, weights)  # nothing reaches padding


def test_a_usual_batch_is_hardly_padded() -> None:
    """Sentences of ten words in the middle and few that are very long: padded to its longest, it would be mostly padding."""
    drawn = torch.distributions.LogNormal(2.3, 0.8)
    torch.manual_seed(0)
    lengths = drawn.sample(torch.Size([128])).clamp(1, 100).long()  # type: ignore[no-untyped-call]
    places = sum(mask.numel() for mask in Spans(lengths, torch.device("cpu")).groups.masks)
    assert places / int(lengths.sum()) == pytest.approx(1.3, abs=0.07)
    assert len(lengths) * int(lengths.max()) / int(lengths.sum()) > 4
