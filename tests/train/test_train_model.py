from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sadgr.cache import ClipFeatures
from sadgr.train.batch import Batch
from sadgr.train.config import Gate, ModelConfig
from sadgr.train.data import ClipTensors, clip_tensors, collate
from sadgr.train.losses import info_nce
from sadgr.train.models.sadgr import CONTRASTIVE, SADGR

Make = Callable[..., ClipFeatures]
WITHOUT = ("", "text", "audio", "video", "text audio", "text video", "audio video", "text audio video")
GATES: tuple[Gate, ...] = ("audio", "none", "attention", "frames")


def expected_parameters(c: ModelConfig) -> dict[str, int]:
    """Closed form of METHOD.md's table, row by row."""

    def linear(d_in: int, d_out: int) -> int:
        return d_in * d_out + d_out

    between = (c.gate_layers - 2) * linear(c.gate_hidden, c.gate_hidden)
    gate = (
        linear(c.d_audio, c.d_video)
        if c.gate_layers == 1
        else linear(c.d_audio, c.gate_hidden) + between + linear(c.gate_hidden, c.d_video)
    )
    cross = 2 * linear(c.d_video, c.d_video) + 2 * linear(c.d_audio, c.d_video)
    guide = {"audio": {"gate": gate}, "frames": {"gate": gate}, "attention": {"cross_attention": cross}, "none": {}}
    return {
        "missing": c.d_text + c.d_audio + c.d_video,
        "heads": linear(c.d_text, c.d_shared) + linear(c.d_audio, c.d_shared) + 1,
        "text_conv": c.conv_kernel * c.d_shared * c.d_model + c.d_model,
        "audio_conv": c.conv_kernel * c.d_shared * c.d_model + c.d_model,
        "word_attention": 5 * linear(c.d_model, c.d_model) + linear(c.d_model, c.d_model) + 3 + 2 * c.d_model,
        "video_attention": 2 * linear(c.d_video, c.d_key) + linear(c.d_video, c.d_video),
        **guide[c.gate],
        "fusion": linear(2 * c.d_model + c.d_video, c.fusion_hidden),
        "head": linear(c.fusion_hidden, c.n_outputs),
    }


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(),
        ModelConfig(d_text=384, d_audio=400, d_video=416, n_outputs=3),
        *(ModelConfig(d_audio=400, d_video=416, gate=gate) for gate in GATES),
        *(ModelConfig(d_audio=400, d_video=416, gate_hidden=100, gate_layers=layers) for layers in (1, 2, 3, 4)),
    ],
)
def test_parameters_are_the_table_s(config: ModelConfig) -> None:
    with torch.device("meta"):
        model = SADGR(config)
    found = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    assert found == expected_parameters(config)


def test_paper_sized_model_by_number() -> None:
    # heads 1,181,185; convolutions 2 x 590,080; word attention 395,267; video attention 689,024; gate 394,240;
    # fusion 327,936; head 257; missing 2,304
    assert sum(expected_parameters(ModelConfig()).values()) == 4_170_373


@pytest.mark.parametrize("gate", GATES)
def test_every_row_has_the_table_s_shape(gate: Gate, small: ModelConfig, make_clip: Make) -> None:
    lengths = ((1, 4), (2, 2), (3, 1))  # 6 words and 7 frames in all
    clips = [clip_tensors(make_clip(str(i), i, *pair), small) for i, pair in enumerate(lengths)]
    config = replace(small, gate=gate)
    model, batch = SADGR(config), collate(clips)
    shapes: dict[str, tuple[int, ...]] = {}

    def noting(name: str) -> Callable[..., None]:
        def note(_module: torch.nn.Module, _args: object, out: Tensor | Sequence[Tensor]) -> None:
            first = out if isinstance(out, Tensor) else out[0]
            shapes.setdefault(name, tuple(first.shape))  # of the heads' two calls, the one on words

        return note

    for name, child in model.named_children():
        child.register_forward_hook(noting(name))
    output = model(batch)
    by_frame, by_clip = (7, small.d_video), (3, small.d_video)
    guide: dict[Gate, dict[str, tuple[int, ...]]] = {
        "audio": {"gate": by_clip},
        "none": {},
        "attention": {"video_attention": by_frame, "cross_attention": by_frame},
        "frames": {"video_attention": by_frame, "gate": by_frame},
    }
    assert shapes == {
        "missing": (6, small.d_text),
        "heads": (6 + 3, small.d_shared),  # words, and the means of three
        "text_conv": (6, small.d_model),
        "audio_conv": (6, small.d_model),
        "word_attention": (6, small.d_model),
        **guide[gate],
        "fusion": (3, small.fusion_hidden),
        "head": (3, 1),
    }
    assert output.prediction.shape == (3, 1)
    assert (output.gate is None) == (gate in ("none", "attention"))
    if output.gate is not None:
        assert output.gate.shape == (by_clip if gate == "audio" else by_frame)
        assert bool(((output.gate >= 0) & (output.gate <= 1)).all())


@settings(max_examples=60, deadline=None)
@given(
    clips=st.lists(st.tuples(st.integers(1, 14), st.integers(1, 16), st.sampled_from(WITHOUT)), min_size=1, max_size=7),
    gate=st.sampled_from(GATES),
    data=st.data(),
)
def test_what_else_is_in_the_batch_never_changes_a_prediction(
    clips: list[tuple[int, int, str]],
    gate: Gate,
    data: st.DataObject,
    small: ModelConfig,
    make_clip: Make,
    double: Callable[[Batch], Batch],
) -> None:
    torch.manual_seed(0)
    model = SADGR(replace(small, gate=gate)).double().eval()
    tensors = [
        clip_tensors(make_clip(str(i), i, n_words, n_frames, without=without), small)
        for i, (n_words, n_frames, without) in enumerate(clips)
    ]
    order = data.draw(st.permutations(range(len(clips))))
    with torch.no_grad():
        together = model(double(collate([tensors[i] for i in order]))).prediction
        alone = torch.cat([model(double(collate([tensors[i]]))).prediction for i in order])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


def mixed_batch(small: ModelConfig, make_clip: Make) -> Batch:
    clips = [make_clip(str(i), i, n_words=2 + i % 3, without=without) for i, without in enumerate((*WITHOUT, ""))]
    return collate([clip_tensors(clip, small, target=(1.0,)) for clip in clips])


@pytest.mark.parametrize(
    ("gate", "layers"), [("audio", 2), ("audio", 1), ("audio", 4), ("none", 2), ("attention", 2), ("frames", 3)]
)
def test_gradient_reaches_every_parameter(gate: Gate, layers: int, small: ModelConfig, make_clip: Make) -> None:
    torch.manual_seed(0)
    model, batch = SADGR(replace(small, gate=gate, gate_layers=layers)), mixed_batch(small, make_clip)
    output = model(batch)
    task = functional.l1_loss(output.prediction, batch.target)
    (task + 0.1 * output.losses["contrastive"]).backward()  # type: ignore[no-untyped-call]
    # Softmax ignores what is the same for all keys of a query: these are in the table, yet have nothing to do.
    inert = {"word_attention.bias", "video_attention.key.bias", "cross_attention.key.bias"}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if name in inert:
            assert parameter.grad.abs().max() < 1e-6, name
        else:
            assert parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("modality", ["text", "audio", "video"])
def test_learned_vector_stands_in_for_what_is_missing(
    modality: str, gate: Gate, small: ModelConfig, make_clip: Make
) -> None:
    torch.manual_seed(0)
    model = SADGR(replace(small, gate=gate)).eval()
    index = ("text", "audio", "video").index(modality)
    clip = make_clip("a", 0, n_words=3, n_frames=1)
    without = clip_tensors(make_clip("a", 0, n_words=3, n_frames=1, without=modality), small)
    vector = model.missing.vectors[index].detach()
    whole = clip_tensors(clip, small)
    given_as_feature = replace(whole, **{modality: vector.expand_as(getattr(whole, modality))})
    lost = collate([whole]).with_present(torch.tensor([[i != index for i in range(3)]]))
    with torch.no_grad():
        found, expected = (model(collate([one])).prediction for one in (without, given_as_feature))
        assert not torch.equal(found, model(collate([whole])).prediction)
        assert torch.equal(found, model(lost).prediction)  # to lose it is never to have had it
    torch.testing.assert_close(found, expected)


def test_contrast_counts_only_clips_with_both_means(small: ModelConfig, make_clip: Make) -> None:
    batch, model = mixed_batch(small, make_clip), SADGR(small)
    paired = [batch.text_mean[batch.paired], batch.audio_mean[batch.paired]]
    assert len(paired[0]) == 3  # whole, whole, and the one without video
    expected = info_nce(*model.heads(*paired), model.heads.logit_scale())
    torch.testing.assert_close(model(batch).losses[CONTRASTIVE], expected)
    alone: list[ClipTensors] = [clip_tensors(make_clip("a", 0, without="audio"), small)]
    assert float(model(collate(alone)).losses[CONTRASTIVE].detach()) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"d_model": 0},
        {"conv_kernel": 2},
        {"dropout": 1.0},
        {"n_outputs": -1},
        {"gate_layers": 0},
        {"gate": "video"},
        {"attention_heads": 5, "gate": "attention"},
    ],
)
def test_impossible_widths_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelConfig(**wrong)


def test_heads_of_attention_bind_only_where_there_is_attention() -> None:
    assert ModelConfig(attention_heads=5).gate == "audio"
