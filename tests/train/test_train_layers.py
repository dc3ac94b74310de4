"""Each layer against its equation written in plain NumPy, one clip at a time."""

import numpy as np
import torch
from torch import nn

from sadgr.train.attention import MaskedMultimodalAttention, VideoSelfAttention
from sadgr.train.fusion import Fusion, masked_mean
from sadgr.train.gate import AudioGate, modulate
from sadgr.train.model import WordConv

LENGTHS = (4, 1, 3)
MASK = torch.arange(4)[None, :] < torch.tensor(LENGTHS)[:, None]


def numbers(layer: nn.Linear, rows: np.ndarray) -> np.ndarray:
    return rows @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def softmax(scores: np.ndarray) -> np.ndarray:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def padded(width: int) -> torch.Tensor:
    """Padding that would show: it holds large numbers."""
    return torch.randn(3, 4, width, dtype=torch.float64).masked_fill(~MASK[..., None], 1e3)


def test_masked_multimodal_attention() -> None:
    torch.manual_seed(0)
    attention = MaskedMultimodalAttention(6).double()
    nn.init.normal_(attention.norm.weight)
    with torch.no_grad():
        attention.text_weight.fill_(0.7)
        attention.audio_weight.fill_(-1.3)
        attention.bias.fill_(0.4)
    text, audio = padded(6), padded(6)
    found = attention(text, audio, MASK).detach().numpy()
    for clip, length in enumerate(LENGTHS):
        x_t, x_a = text[clip, :length].numpy(), audio[clip, :length].numpy()
        a_t = np.maximum(numbers(attention.text_query, x_t) @ numbers(attention.text_key, x_t).T / np.sqrt(6), 0)
        a_a = np.maximum(numbers(attention.audio_query, x_a) @ numbers(attention.audio_key, x_a).T / np.sqrt(6), 0)
        weights = softmax(0.7 * a_t - 1.3 * a_a + 0.4)
        out = x_t + numbers(attention.out, weights @ numbers(attention.text_value, x_t))
        centred = out - out.mean(axis=1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + attention.norm.eps)
        expected = normed * attention.norm.weight.detach().numpy() + attention.norm.bias.detach().numpy()
        np.testing.assert_allclose(found[clip, :length], expected, atol=1e-6)


def test_video_self_attention_is_eq_14() -> None:
    torch.manual_seed(1)
    attention = VideoSelfAttention(7, 3).double()
    video = padded(7)
    found = attention(video, MASK).detach().numpy()
    for clip, length in enumerate(LENGTHS):
        frames = video[clip, :length].numpy()
        scores = numbers(attention.query, frames) @ numbers(attention.key, frames).T / np.sqrt(3)
        np.testing.assert_allclose(found[clip, :length], softmax(scores) @ numbers(attention.value, frames), atol=1e-9)


def test_gate_is_eq_15_to_18() -> None:
    torch.manual_seed(2)
    gate = AudioGate(5, 4, 7).double()
    audio, video = padded(5), padded(7)
    found = gate(audio, MASK)
    assert found.shape == (3, 7)
    for clip, length in enumerate(LENGTHS):
        mean = audio[clip, :length].numpy().mean(axis=0)
        expected = 1 / (1 + np.exp(-numbers(gate.out, np.maximum(numbers(gate.hidden, mean), 0))))
        np.testing.assert_allclose(found[clip].detach().numpy(), expected, atol=1e-9)
        modulated = modulate(video, found)[clip].detach().numpy()
        np.testing.assert_allclose(modulated, video[clip].numpy() * expected[None, :], atol=1e-9)


def test_masked_mean_ignores_whatever_stands_in_padding() -> None:
    rows = padded(5)
    expected = torch.stack([rows[clip, :length].mean(dim=0) for clip, length in enumerate(LENGTHS)])
    torch.testing.assert_close(masked_mean(rows, MASK), expected)
    torch.testing.assert_close(masked_mean(rows.masked_fill(~MASK[..., None], float("nan")), MASK), expected)


def test_convolution_sees_zeros_at_padding() -> None:
    torch.manual_seed(3)
    conv = WordConv(5, 4, 3).double()
    words = padded(5)
    found = conv(words, MASK).detach().numpy()
    weight, bias = conv.conv.weight.detach().numpy(), conv.conv.bias.detach().numpy()  # (4, 5, 3)
    for clip, length in enumerate(LENGTHS):
        around = np.vstack([np.zeros(5), words[clip, :length].numpy(), np.zeros(5)])
        for place in range(length):
            expected = np.einsum("oik,ki->o", weight, around[place : place + 3]) + bias
            np.testing.assert_allclose(found[clip, place], expected, atol=1e-9)


def test_fusion_is_one_hidden_layer() -> None:
    torch.manual_seed(4)
    fusion = Fusion(2, 3, 4, hidden=5, dropout=0.5).double().eval()
    parts = [torch.randn(6, width, dtype=torch.float64) for width in (2, 3, 4)]
    expected = np.maximum(numbers(fusion.hidden, np.hstack([part.numpy() for part in parts])), 0)
    np.testing.assert_allclose(fusion(*parts).detach().numpy(), expected, atol=1e-9)
