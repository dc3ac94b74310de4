"""TMBL: a layer of its six streams against plain NumPy, stream by stream and clip by clip; its binding and its losses."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sadgr.train.models.stacked import StackedLinear, StackedNorm
from sadgr.train.models.tmbl import BindingLayer, TMBLConfig, bound, unlikeness
from tests.train.models import checks, small

SMALL: TMBLConfig = small.SETTINGS["tmbl"]
build = partial(small.build, "tmbl")
Array = NDArray[np.float64]


def affine(layer: StackedLinear, rows: Array, of: int) -> Array:
    bias = checks.array(layer.bias).reshape(len(layer.weight), -1)[of]
    return np.asarray(rows @ checks.array(layer.weight)[of] + bias)


def norm(layer: StackedNorm, rows: Array, of: int) -> Array:
    gain, bias = (checks.array(one).reshape(-1, rows.shape[1])[of] for one in (layer.gain, layer.bias))
    mean, variance = rows.mean(axis=1, keepdims=True), rows.var(axis=1, keepdims=True)
    return np.asarray((rows - mean) / np.sqrt(variance + 1e-5) * gain + bias)


def test_layer_equals_its_transcription() -> None:
    """Own streams ask themselves; shared ones take one modality's queries, the next one's keys, the third one's values."""
    torch.manual_seed(0)
    layer = BindingLayer(SMALL).double()
    for parameter in layer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    count, inner = 3, SMALL.d_attention
    tokens = torch.randn(6, 2 * count, 6, dtype=torch.float64)
    found = checks.array(layer(tokens))
    for clip in range(count):
        own = checks.array(tokens)[:, 2 * clip : 2 * clip + 2]  # (6, 2, M)
        parts = [np.split(affine(layer.query_key_value, own[stream], stream), 3, axis=1) for stream in range(6)]
        for stream in range(6):
            first = stream // 3 * 3
            turn = [0, 0, 0] if first == 0 else [0, 1, 2]
            queries, keys, values = (parts[first + (stream + turn[role]) % 3][role] for role in range(3))
            heads = []
            for one in np.split(np.arange(inner), SMALL.heads):
                scores = np.exp(queries[:, one] @ keys[:, one].T / np.sqrt(len(one)))
                heads.append(scores / scores.sum(axis=1, keepdims=True) @ values[:, one])
            rows = own[stream] + affine(layer.out, np.concatenate(heads, axis=1), stream)
            rows = norm(layer.attention_norm, rows, stream)
            gate, value = np.split(affine(layer.wide, rows, stream), 2, axis=1)
            expected = norm(layer.norm, rows + affine(layer.narrow, np.maximum(gate, 0) * value, stream), stream)
            np.testing.assert_allclose(found[stream, 2 * clip : 2 * clip + 2], expected, atol=1e-9)


def test_binding_takes_halves_of_one_clip() -> None:
    text, video, audio = ([[number] * 4] for number in (1.0, 2.0, 3.0))
    tokens = bound(torch.tensor([text, video, audio]))
    assert tokens[:, 0, 0].tolist() == [[1, 1, 2, 2], [2, 2, 3, 3], [3, 3, 1, 1]]
    assert torch.equal(tokens[:, 0, 1], torch.tensor([text[0], video[0], audio[0]]))


def test_unlikeness_equals_its_transcription() -> None:
    shared = torch.randn((3, 4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = checks.array(shared)
    a = a / np.linalg.norm(a, axis=2, keepdims=True)
    expected = np.mean([1 - (a[i, row] * a[j, row]).sum() for i, j in ((0, 1), (0, 2), (1, 2)) for row in range(4)])
    assert float(unlikeness(shared)) == pytest.approx(expected, abs=1e-9)
    assert float(unlikeness(shared[:1].expand(3, 4, 5))) == pytest.approx(0, abs=1e-9)


def test_fusion_s_tokens_stand_in_order() -> None:
    """Own parts of one clip, their CLS, its shared parts, theirs."""
    model = build().double()
    model.places.data.zero_()
    tokens = torch.arange(6 * 4 * 6, dtype=torch.float64).view(6, 4, 6)  # 2 clips, M 6
    seen = []
    model.fusion.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].mT))
    model._fused(tokens)
    (sequence,) = seen
    assert sequence.shape == (2, 14, 6)
    for clip in range(2):
        own, shared = (tokens[part, 2 * clip : 2 * clip + 2].flatten(0, 1) for part in (slice(0, 3), slice(3, 6)))
        expected = torch.cat([own, model.kinds[:1], shared, model.kinds[1:]])
        torch.testing.assert_close(sequence[clip], expected)


def test_parameters_are_as_many_as_the_formula_says() -> None:
    w, c, m = checks.widths(), SMALL, SMALL.d_model

    def recurrent(d_in: int) -> int:
        h = c.d_recurrent
        return 2 * checks.lstm(d_in, h) + 4 * h + 2 * checks.lstm(2 * h, h)

    stream = (
        3 * checks.linear(m, c.d_attention) + checks.linear(c.d_attention, m)
        + checks.linear(m, 2 * c.feed_forward) + checks.linear(c.feed_forward, m)
        + 4 * m
    )  # fmt: skip
    expected = (
        w.d_text + w.d_audio + w.d_video + recurrent(w.d_audio) + recurrent(w.d_video)
        + sum(checks.linear(d, m) + 2 * m for d in (w.d_text, 4 * c.d_recurrent, 4 * c.d_recurrent))
        + 6 * c.layers * stream + (2 + 14) * m
        + checks.linear(3 * m, m // 2) + checks.linear(3 * (m // 2), m // 2) + checks.linear(3 * (m // 2), 1)
    )  # fmt: skip
    assert checks.parameter_count(build(w)) == expected


@pytest.mark.parametrize(("field", "value"), [("heads", 3), ("d_model", 7)])
def test_settings_that_no_layer_can_have_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must"):
        TMBLConfig(**{"d_attention": 4, "heads": 2, field: value})
