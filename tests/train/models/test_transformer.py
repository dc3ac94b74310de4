"""The transformer layer against plain NumPy, clip by clip."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sadgr.train.models.stacked import Pairing
from sadgr.train.models.transformer import TransformerLayer, highest
from sadgr.train.ragged import Spans
from tests.train.models import checks

Array = NDArray[np.float64]


def affine(layer: nn.Linear, rows: Array) -> Array:
    return np.asarray(rows @ checks.array(layer.weight).T + checks.array(layer.bias))


def norm(layer: nn.LayerNorm, rows: Array) -> Array:
    mean, variance = rows.mean(axis=1, keepdims=True), rows.var(axis=1, keepdims=True)
    return np.asarray((rows - mean) / np.sqrt(variance + 1e-5) * checks.array(layer.weight) + checks.array(layer.bias))


def transcribed(layer: TransformerLayer, rows: Array, source: Array) -> Array:
    """Attention head by head, then GELU between two maps; a norm after each sum."""
    queries, (keys, values) = affine(layer.query, rows), np.split(affine(layer.key_value, source), 2, axis=1)
    heads = []
    for own in np.split(np.arange(layer.width), layer.heads):
        scores = np.exp(queries[:, own] @ keys[:, own].T / np.sqrt(len(own)))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ values[:, own])
    rows = norm(layer.attention_norm, rows + affine(layer.out, np.concatenate(heads, axis=1)))
    wide = affine(layer.wide, rows)
    gelu = wide * torch.special.ndtr(torch.from_numpy(wide)).numpy()  # x times the normal distribution's P(X < x)
    return norm(layer.norm, rows + affine(layer.narrow, gelu))


def test_layer_equals_its_transcription() -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(6, 3, dropout=0.0).double()
    for parameter in layer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    targets, sources = Spans.of([3, 1, 9]), Spans.of([2, 7, 1])
    rows, source = torch.randn(13, 6, dtype=torch.float64), torch.randn(10, 6, dtype=torch.float64)
    found = layer(rows, source, Pairing(targets, sources))
    parts = zip(rows.split(targets.lengths.tolist()), source.split(sources.lengths.tolist()), strict=True)
    expected = np.concatenate([transcribed(layer, checks.array(own), checks.array(asked)) for own, asked in parts])
    np.testing.assert_allclose(checks.array(found), expected, atol=1e-9)


def test_highest_takes_no_padding() -> None:
    spans = Spans.of([1, 3])
    rows = torch.tensor([[-5.0, -1.0], [-2.0, -9.0], [-7.0, -3.0], [-4.0, -8.0]])
    assert highest(spans.padded(rows), spans.mask).tolist() == [[-5.0, -1.0], [-2.0, -3.0]]
