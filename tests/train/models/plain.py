"""Transformers that stand side by side, in plain NumPy, one clip and one of them (`of`) at a time."""

import numpy as np
from numpy.typing import NDArray

from sadgr.train.models.mult import Block, CrossModal, Memory
from sadgr.train.models.stacked import FeedForward, StackedLinear, StackedNorm
from tests.train.models.checks import array

Array = NDArray[np.float64]


def softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def attention(queries: Array, keys: Array, values: Array, heads: int) -> Array:
    """Eq. 3 with several heads: softmax(Q K' / sqrt(d_k)) V, head by head."""
    d_key = queries.shape[1] // heads
    parts = []
    for head in range(heads):
        own = slice(head * d_key, (head + 1) * d_key)
        parts.append(softmax(queries[:, own] @ keys[:, own].T / np.sqrt(d_key)) @ values[:, own])
    return np.concatenate(parts, axis=1)


def affine(layer: StackedLinear, rows: Array, of: int) -> Array:
    bias = array(layer.bias).reshape(len(layer.weight), -1)[of]
    return np.asarray(rows @ array(layer.weight)[of] + bias)


def norm(layer: StackedNorm, rows: Array, of: int) -> Array:
    width = rows.shape[1]
    gain, bias = (array(one).reshape(-1, width)[of] for one in (layer.gain, layer.bias))
    mean, variance = rows.mean(axis=1, keepdims=True), rows.var(axis=1, keepdims=True)
    return np.asarray((rows - mean) / np.sqrt(variance + 1e-5) * gain + bias)


def forward(layer: FeedForward, rows: Array, of: int) -> Array:
    return affine(layer.narrow, np.maximum(affine(layer.wide, rows, of), 0), of)


def block(layer: Block, rows: Array, normal: Array, keys: Array, values: Array, of: int) -> Array:
    """Eq. 4: attention, then a feed-forward map, each added to what comes in."""
    queries = affine(layer.query, normal, of)
    rows = rows + affine(layer.out, attention(queries, keys, values, layer.heads), of)
    return rows + forward(layer.feed_forward, norm(layer.feed_norm, rows, of), of)


def cross_modal(module: CrossModal, rows: Array, source: Array, of: int) -> Array:
    """Eq. 3 and 4, layer by layer: rows ask a source that stays as it is."""
    known = affine(module.key_value, norm(module.source_norm, source, of), of)
    width = rows.shape[1]
    for number, (before, layer) in enumerate(zip(module.norms, module.blocks, strict=True)):
        keys, values = np.split(known[:, 2 * width * number : 2 * width * (number + 1)], 2, axis=1)
        rows = block(layer, rows, norm(before, rows, of), keys, values, of)
    return norm(module.last_norm, rows, of)


def memory(module: Memory, rows: Array, of: int) -> Array:
    """What a whole transformer over a modality's own rows makes of the last one."""
    for before, layer, key_value in zip(module.norms, module.blocks, module.key_value, strict=True):
        normal = norm(before, rows, of)
        keys, values = np.split(affine(key_value, normal, of), 2, axis=1)
        rows = block(layer, rows, normal, keys, values, of)
    return norm(module.last_norm, rows, of)[-1]
