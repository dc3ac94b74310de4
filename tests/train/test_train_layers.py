"""Each layer, and the whole model, against its equations written in plain NumPy, one clip at a time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sadgr.cache import ClipFeatures
from sadgr.train.attention import MaskedMultimodalAttention, VideoSelfAttention
from sadgr.train.batch import Batch
from sadgr.train.config import Gate, ModelConfig
from sadgr.train.data import ClipTensors, clip_tensors, collate
from sadgr.train.fusion import Fusion
from sadgr.train.gate import AudioGate, CrossAttention, at_frames
from sadgr.train.models.sadgr import SADGR, WordConv
from sadgr.train.ragged import Spans

Array = NDArray[np.float64]
WORDS, FRAMES = Spans.of([4, 1, 3, 9]), Spans.of([2, 5, 1, 12])
CLIP_COUNT = 4


def array(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()


def linear(layer: nn.Module, rows: Array) -> Array:
    assert isinstance(layer, nn.Linear)
    return np.asarray(rows @ array(layer.weight).T + array(layer.bias))


def softmax(scores: Array) -> Array:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def word_attention(layer: MaskedMultimodalAttention, text: Array, audio: Array) -> Array:
    root = np.sqrt(text.shape[1])
    a_t = np.maximum(linear(layer.text_query, text) @ linear(layer.text_key, text).T / root, 0)
    a_a = np.maximum(linear(layer.audio_query, audio) @ linear(layer.audio_key, audio).T / root, 0)
    weights = softmax(array(layer.text_weight) * a_t + array(layer.audio_weight) * a_a + array(layer.bias))
    out = text + linear(layer.out, weights @ linear(layer.text_value, text))
    centred = out - out.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + layer.norm.eps)
    return np.asarray(normed * array(layer.norm.weight) + array(layer.norm.bias))


def self_attention(layer: VideoSelfAttention, frames: Array) -> Array:
    """Eq. 14."""
    keys = linear(layer.key, frames)
    return np.asarray(
        softmax(linear(layer.query, frames) @ keys.T / np.sqrt(keys.shape[1])) @ linear(layer.value, frames)
    )


def gate_of(layer: AudioGate, audio: Array) -> Array:
    """Eq. 16 and 17."""
    *hidden, last = layer.layers
    for one in hidden:
        audio = np.maximum(linear(one, audio), 0)
    return np.asarray(1 / (1 + np.exp(-linear(last, audio))))


def cross_attention(layer: CrossAttention, frames: Array, words: Array) -> Array:
    query, key, value = linear(layer.query, frames), linear(layer.key, words), linear(layer.value, words)
    width = query.shape[1] // layer.heads
    parts = [slice(head * width, (head + 1) * width) for head in range(layer.heads)]
    found = [softmax(query[:, one] @ key[:, one].T / np.sqrt(width)) @ value[:, one] for one in parts]
    return np.asarray(frames + linear(layer.out, np.hstack(found)))


def convolution(layer: WordConv, words: Array) -> Array:
    """Eq. 12 and 13, with zeros before the first word and after the last."""
    weight = array(layer.weight)  # (kernel, d_out, d_in)
    beyond = np.zeros((len(weight) // 2, words.shape[1]))
    around = np.vstack([beyond, words, beyond])
    seen = [around[place : place + len(weight)] for place in range(len(words))]
    return np.stack([np.einsum("koi,ki->o", weight, one) for one in seen]) + array(layer.bias)


def words_at_frames(words: Array, n_frames: int) -> Array:
    """The word whose part of the clip holds the frame's centre, where all words are equally long."""
    return words[[int(np.floor((frame + 0.5) / n_frames * len(words))) for frame in range(n_frames)]]


def whole_model(model: SADGR, clip: ClipTensors) -> tuple[Array, Array | None]:
    """METHOD.md's table, for one clip: outputs, and the gate."""
    features = (array(clip.text), array(clip.audio), array(clip.video))
    stand_ins = [array(vector) for vector in model.missing.vectors]
    text, audio, video = (
        rows if there else np.tile(vector, (len(rows), 1))
        for rows, there, vector in zip(features, clip.present, stand_ins, strict=True)
    )
    text_words = convolution(model.text_conv, linear(model.heads.text, text))
    audio_words = convolution(model.audio_conv, linear(model.heads.audio, audio))
    text_words = word_attention(model.word_attention, text_words, audio_words)
    frames, gate = self_attention(model.video_attention, video), None
    if model.config.gate == "audio":
        gate = gate_of(model.gate, audio.mean(axis=0))
    elif model.config.gate == "frames":
        gate = gate_of(model.gate, words_at_frames(audio, len(frames)))
    elif model.config.gate == "attention":
        frames = cross_attention(model.cross_attention, frames, audio)
    guided = frames if gate is None else frames * gate
    joined = np.concatenate([text_words.mean(axis=0), audio_words.mean(axis=0), guided.mean(axis=0)])
    return linear(model.head, np.maximum(linear(model.fusion.hidden, joined), 0)), gate


def draw(spans: Spans, width: int) -> tuple[Tensor, list[Array]]:
    """Random rows, and the same clip by clip."""
    rows = torch.randn(int(spans.lengths.sum()), width, dtype=torch.float64)
    return rows, [array(part) for part in torch.split(rows, spans.lengths.tolist())]


def assert_clips(found: Tensor, expected: list[Array]) -> None:
    np.testing.assert_allclose(array(found), np.concatenate(expected), atol=1e-9, rtol=0)


def test_masked_multimodal_attention() -> None:
    torch.manual_seed(0)
    layer = MaskedMultimodalAttention(6).double()
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    with torch.no_grad():
        layer.text_weight.fill_(0.7)
        layer.audio_weight.fill_(-1.3)
        layer.bias.fill_(0.4)
    (text, texts), (audio, audios) = draw(WORDS, 6), draw(WORDS, 6)
    assert len(WORDS.groups.masks) > 1
    expected = [word_attention(layer, one, other) for one, other in zip(texts, audios, strict=True)]
    assert_clips(layer(text, audio, WORDS), expected)


def test_video_self_attention_is_eq_14() -> None:
    torch.manual_seed(1)
    layer = VideoSelfAttention(7, 3).double()
    video, clips = draw(FRAMES, 7)
    assert_clips(layer(video, FRAMES), [self_attention(layer, frames) for frames in clips])


def test_mean_of_self_attention_is_the_mean_of_its_frames() -> None:
    torch.manual_seed(1)
    layer = VideoSelfAttention(7, 3).double()
    video, clips = draw(FRAMES, 7)
    means = layer.mean(video, FRAMES)
    torch.testing.assert_close(means, FRAMES.mean(layer(video, FRAMES)))
    expected = np.stack([self_attention(layer, frames).mean(axis=0) for frames in clips])
    np.testing.assert_allclose(array(means), expected, atol=1e-6)  # weights of a mean are float32


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_gate_is_eq_15_to_17(layers: int) -> None:
    torch.manual_seed(2)
    gate = AudioGate(5, 4, 7, layers).double()
    audio, clips = draw(WORDS, 5)
    found = array(gate(WORDS.mean(audio)))
    assert found.shape == (CLIP_COUNT, 7) and ((found > 0) & (found < 1)).all()
    expected = [gate_of(gate, words.mean(axis=0)) for words in clips]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-6)


def test_the_mean_of_modulated_frames_is_the_modulated_mean() -> None:
    """Eq. 18 gates each frame; with one gate for all of a clip's frames, its mean may be gated instead."""
    torch.manual_seed(3)
    video, clips = draw(FRAMES, 7)
    gate = torch.rand(CLIP_COUNT, 7, dtype=torch.float64)
    torch.testing.assert_close(FRAMES.mean(video * FRAMES.spread(gate)), FRAMES.mean(video) * gate)
    expected = np.stack([(frames * array(one)).mean(axis=0) for frames, one in zip(clips, gate, strict=True)])
    np.testing.assert_allclose(array(FRAMES.mean(video) * gate), expected, atol=1e-6)


def test_frames_take_the_word_of_their_time() -> None:
    audio, clips = draw(WORDS, 5)
    counts = FRAMES.lengths.tolist()
    assert_clips(at_frames(audio, WORDS, FRAMES), [words_at_frames(*pair) for pair in zip(clips, counts, strict=True)])
    words = torch.arange(3.0)[:, None]
    assert at_frames(words, Spans.of([3]), Spans.of([6])).flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert at_frames(words, Spans.of([3]), Spans.of([1])).flatten().tolist() == [1]


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_cross_attention(heads: int) -> None:
    torch.manual_seed(4)
    layer = CrossAttention(8, 5, heads).double()
    (video, videos), (audio, audios) = draw(FRAMES, 8), draw(WORDS, 5)
    expected = [cross_attention(layer, frames, words) for frames, words in zip(videos, audios, strict=True)]
    assert_clips(layer(video, audio, FRAMES, WORDS), expected)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolution_sees_zeros_beyond_a_clip(kernel: int) -> None:
    torch.manual_seed(5)
    layer = WordConv(5, 4, kernel).double()
    words, clips = draw(WORDS, 5)
    found = layer(words, WORDS)
    assert_clips(found, [convolution(layer, one) for one in clips])
    torchs = nn.Conv1d(5, 4, kernel, padding=kernel // 2).double()
    torchs.load_state_dict({"weight": layer.weight.permute(1, 2, 0), "bias": layer.bias})
    alone = [torchs(part.T[None])[0].T for part in torch.split(words, WORDS.lengths.tolist())]
    torch.testing.assert_close(found, torch.cat(alone))


def test_fusion_is_one_hidden_layer() -> None:
    torch.manual_seed(6)
    fusion = Fusion(2, 3, 4, hidden=5, dropout=0.5).double().eval()
    parts = [torch.randn(6, width, dtype=torch.float64) for width in (2, 3, 4)]
    expected = np.maximum(linear(fusion.hidden, np.hstack([array(part) for part in parts])), 0)
    np.testing.assert_allclose(array(fusion(*parts)), expected, atol=1e-9)


@pytest.mark.parametrize("gate", ["audio", "none", "attention", "frames"])
def test_whole_model(
    gate: Gate, small: ModelConfig, make_clip: Callable[..., ClipFeatures], double: Callable[[Batch], Batch]
) -> None:
    torch.manual_seed(7)
    model = SADGR(replace(small, gate=gate, gate_layers=3, n_outputs=2, conv_kernel=5)).double().eval()
    for parameter in model.parameters():  # away from ones and zeros that would hide a factor or a bias
        nn.init.normal_(parameter, std=0.3)
    lengths = ((4, 3, ""), (1, 1, "text"), (9, 7, "audio"), (3, 2, "video"), (2, 16, "text audio"), (12, 2, ""))
    clips = [
        clip_tensors(make_clip(str(i), i, words, frames, without=without), small)
        for i, (words, frames, without) in enumerate(lengths)
    ]
    output = model(double(collate(clips)))
    outputs, gates = zip(*(whole_model(model, clip) for clip in clips), strict=True)
    np.testing.assert_allclose(array(output.prediction), np.stack(outputs), atol=1e-6)
    assert np.std(outputs, axis=0).min() > 1e-3  # clips do differ
    if gates[0] is None:
        assert output.gate is None
    else:
        np.testing.assert_allclose(array(output.gate), np.vstack(gates), atol=1e-6)
