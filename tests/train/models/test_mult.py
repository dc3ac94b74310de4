"""MulT: its attention and a whole cross-modal transformer against plain NumPy, clip by clip."""

from functools import partial
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from sadgr.train.models.mult import CrossModal, Memory, MulTConfig
from sadgr.train.models.stacked import Pairing
from sadgr.train.models.transformer import placed
from sadgr.train.ragged import Spans
from tests.train.models import checks, plain, small

Array = NDArray[np.float64]
SMALL: MulTConfig = small.SETTINGS["mult"]
build = partial(small.build, "mult")
AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)
LENGTHS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 9)), min_size=1, max_size=6)


def clips_of(rows: Tensor, spans: Spans) -> list[Array]:
    return [checks.array(part) for part in torch.split(rows, spans.lengths.tolist())]


def disturbed(module: AnyModule) -> AnyModule:
    """Weights in float64 that all differ, biases and gains too."""
    torch.manual_seed(1)
    for parameter in module.double().parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(LENGTHS)
def test_attention_is_that_of_each_clip_alone(clips: list[tuple[int, int]]) -> None:
    """Planted sequences of all lengths, in any order: what is grouped, padded and masked equals eq. 3 clip by clip."""
    generator = torch.Generator().manual_seed(0)
    targets, sources = (Spans.of(list(lengths)) for lengths in zip(*clips, strict=True))
    stack, width, heads = 2, 6, 3

    def rows(spans: Spans) -> Tensor:
        count = int(spans.lengths.sum())
        return torch.randn((stack, count, width), generator=generator, dtype=torch.float64)

    queries, keys, values = rows(targets), rows(sources), rows(sources)
    pairing = Pairing(targets, sources)
    known = pairing.gathered(torch.cat([keys, values], dim=2), width)
    found = pairing.attend(queries, *known, heads)
    for of in range(stack):
        parts = zip(
            clips_of(queries[of], targets), clips_of(keys[of], sources), clips_of(values[of], sources), strict=True
        )
        expected = np.concatenate([plain.attention(*part, heads) for part in parts])
        np.testing.assert_allclose(checks.array(found[of]), expected, atol=1e-9)


def test_cross_modal_transformer_equals_its_transcription() -> None:
    """Two stacked ones of two layers, whose source stays as it is in all of them."""
    module = disturbed(CrossModal(2, 6, SMALL))
    targets, sources = Spans.of([3, 1, 5]), Spans.of([2, 4, 1])
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn((2, 9, 6), generator=generator, dtype=torch.float64)
    source = torch.randn((2, 7, 6), generator=generator, dtype=torch.float64)
    found = module(rows, source, Pairing(targets, sources))
    for of in range(2):
        parts = zip(clips_of(rows[of], targets), clips_of(source[of], sources), strict=True)
        expected = [plain.cross_modal(module, *part, of) for part in parts]
        np.testing.assert_allclose(checks.array(found[of]), np.concatenate(expected), atol=1e-9)


def test_memory_gives_what_the_last_row_of_a_whole_transformer_would() -> None:
    """The last layer computes one row a clip; the transcription computes all and takes the last."""
    module = disturbed(Memory(2, 6, SMALL))
    spans = Spans.of([4, 1, 3])
    rows = torch.randn((2, 8, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = module(rows, spans)
    for of in range(2):
        expected = [plain.memory(module, own, of) for own in clips_of(rows[of], spans)]
        np.testing.assert_allclose(checks.array(found[of]), np.stack(expected), atol=1e-9)


def test_places_are_sines_and_cosines_of_the_place_in_the_clip() -> None:
    found = placed(torch.zeros(5, 6, dtype=torch.float64), Spans.of([2, 3]))
    rates = 10_000 ** (-np.array([0, 2, 4]) / 6)
    angles = np.array([0, 1, 0, 1, 2])[:, None] * rates
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(checks.array(found), expected, atol=1e-6)  # rates are float32


def test_order_of_words_and_of_frames_counts() -> None:
    """Without positions attention would not see it."""
    model, batch = build().eval(), checks.batch_of(checks.widths(), [5], [4])
    with torch.no_grad():
        expected = model(batch).prediction
        for name in ("text", "audio", "video"):
            turned = {name: getattr(batch, name).flip(0)}
            other = batch.with_rows(**turned)
            assert float((model(other).prediction - expected).abs()) > 1e-4, name


def test_parameters_are_as_many_as_the_formula_says() -> None:
    widths, config = checks.widths(), SMALL
    m, layers = config.d_model, config.layers

    def transformer(d: int, sources: int) -> int:
        attends, feeds = 4 * checks.linear(d, d), checks.linear(d, 4 * d) + checks.linear(4 * d, d)
        return layers * (attends + feeds + 2 * 2 * d) + (1 + sources) * 2 * d

    expected = (
        sum(3 * d * m + m + d for d in (widths.d_text, widths.d_audio, widths.d_video))  # convolution, stand-in
        + 6 * transformer(m, sources=1)
        + 3 * transformer(2 * m, sources=0)
        + 2 * checks.linear(6 * m, 6 * m)
        + checks.linear(6 * m, 1)
    )
    assert checks.parameter_count(build(widths)) == expected


@pytest.mark.parametrize(("field", "value"), [("heads", 4), ("conv_kernel", 2)])
def test_settings_that_no_layer_can_have_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must"):
        MulTConfig(**{"d_model": 6, "heads": 3, field: value})
