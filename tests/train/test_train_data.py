from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sadgr.cache import ClipFeatures
from sadgr.train.config import ModelConfig
from sadgr.train.data import Clips, ClipTensors, clip_tensors, collate
from sadgr.train.errors import TrainError
from sadgr.train.gather import encoder_widths, labelled_rows
from sadgr.train.pairs import choose_rows
from sadgr.train.tasks import choose_target

Make = Callable[..., ClipFeatures]
WITHOUT = ("", "text", "audio", "video", "text audio", "text audio video")


def test_batch_holds_clips_end_to_end(small: ModelConfig, make_clip: Make) -> None:
    clips = [make_clip("a", 0, n_words=2, n_frames=3), make_clip("b", 1, n_words=4, n_frames=1)]
    targets = ((1.5,), (-2.0,))
    batch = collate([clip_tensors(clip, small, target=label) for clip, label in zip(clips, targets, strict=True)])
    assert (batch.words.lengths.tolist(), batch.frames.lengths.tolist()) == ([2, 4], [3, 1])
    np.testing.assert_array_equal(batch.text[:2], clips[0].text_words)
    np.testing.assert_array_equal(batch.audio[2:], clips[1].audio_words)
    np.testing.assert_array_equal(batch.video[3:], clips[1].video_frames)
    np.testing.assert_array_equal(batch.audio_mean[1], clips[1].audio_mean)
    assert batch.target.tolist() == [[1.5], [-2.0]]
    assert batch.present.all() and batch.paired.all()


def in_half(clip: ClipTensors) -> ClipTensors:
    """As float16 tells it."""
    floats = ("text", "audio", "video", "text_mean", "audio_mean")
    return replace(clip, **{name: getattr(clip, name).half().float() for name in floats})


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from(WITHOUT)), min_size=1, max_size=6),
    data=st.data(),
)
def test_columns_give_any_clips_shortest_first(
    lengths: list[tuple[int, int, str]], data: st.DataObject, small: ModelConfig, make_clip: Make
) -> None:
    tensors = [
        clip_tensors(make_clip(str(i), i, words, frames, without=without), small, target=(float(i), -float(i)))
        for i, (words, frames, without) in enumerate(lengths)
    ]
    clips = Clips(tensors)
    chosen = data.draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=9))
    by_words = sorted(chosen, key=lambda i: len(tensors[i].text))  # ties stay as they come
    found = clips.batch(chosen)
    expected = replace(collate([in_half(tensors[i]) for i in by_words]), numbers=torch.tensor(by_words))
    pairs = {field.name: (getattr(found, field.name), getattr(expected, field.name)) for field in fields(found)[1:]}
    pairs |= {name: (getattr(found, name), getattr(expected, name)) for name in ("text", "audio", "video")}
    pairs |= {name: (getattr(found, name).lengths, getattr(expected, name).lengths) for name in ("words", "frames")}
    for name, (one, other) in pairs.items():
        assert one.dtype == other.dtype and torch.equal(one, other), name
    for one, other in zip(found.features.means, expected.features.means, strict=True):
        torch.testing.assert_close(one, other)
    assert clips.ids == [clip.clip_id for clip in tensors] and len(clips) == len(tensors)
    assert clips.words.tolist() == [len(clip.text) for clip in tensors]
    assert clips.frames.tolist() == [len(clip.video) for clip in tensors]
    assert clips.target.tolist() == [[i, -i] for i in range(len(tensors))]


def test_a_clip_without_text_or_audio_is_no_pair(small: ModelConfig, make_clip: Make) -> None:
    batch = collate([clip_tensors(make_clip(str(i), i), small) for i in range(4)])
    present = torch.tensor([[True, True, True], [False, True, True], [True, False, True], [True, True, False]])
    fewer = batch.with_present(present)
    assert torch.equal(fewer.present, present) and fewer.paired.tolist() == [True, False, False, True]
    assert torch.equal(fewer.text, batch.text) and fewer.words is batch.words
    unpaired = replace(batch, paired=torch.zeros(4, dtype=torch.bool))
    assert not unpaired.with_present(present).paired.any()


def test_audio_without_words_is_one_span(small: ModelConfig, make_clip: Make) -> None:
    clip = replace(make_clip("a", 0, without="text"), audio_words=None, audio_mean_words=None)
    tensors = clip_tensors(clip, small)
    assert tensors.present == (False, True, True) and not tensors.paired
    assert clip.audio_mean is not None
    torch.testing.assert_close(tensors.audio, torch.from_numpy(clip.audio_mean)[None])
    assert tensors.text.shape == (1, small.d_text)


def test_audio_without_word_times_stands_at_every_word(small: ModelConfig, make_clip: Make) -> None:
    clip = replace(make_clip("a", 0, n_words=5), audio_words=None)
    assert clip.audio_mean is not None
    torch.testing.assert_close(clip_tensors(clip, small).audio, torch.from_numpy(clip.audio_mean).expand(5, -1))


def test_empty_word_list_counts_as_no_words(small: ModelConfig, make_clip: Make) -> None:
    clip = make_clip("a", 0)
    empty = replace(clip, text_words=clip.text_words[:0], text_mean=None, audio_words=clip.audio_words[:0])  # type: ignore[index]
    tensors = clip_tensors(empty, small)
    assert tensors.present == (False, True, True)
    assert tensors.text.shape == (1, small.d_text)


def test_chosen_audio_mean_decides_which_clips_pair(small: ModelConfig, make_clip: Make) -> None:
    clip = replace(make_clip("a", 0), audio_mean_words=None)
    assert clip_tensors(clip, small, "mean").paired
    assert not clip_tensors(clip, small, "mean_words").paired


@pytest.mark.parametrize(("text_words", "audio_words"), [(3, 4), (1, 4)])
def test_word_axes_that_differ_are_named(
    text_words: int, audio_words: int, small: ModelConfig, make_clip: Make
) -> None:
    clip = replace(make_clip("v$_$7", 0, n_words=text_words), audio_words=np.zeros((audio_words, 12), np.float32))
    with pytest.raises(TrainError, match=rf"'v\$_\$7' has {text_words} text words and {audio_words} audio words"):
        clip_tensors(clip, small)


@pytest.mark.parametrize("field", ["text_words", "audio_words", "video_frames", "text_mean", "audio_mean"])
def test_nan_is_named(field: str, small: ModelConfig, make_clip: Make) -> None:
    clip = make_clip("v$_$7", 0)
    array = getattr(clip, field).copy()
    array.flat[0] = np.nan
    with pytest.raises(TrainError, match=r"'v\$_\$7'.*not finite"):
        clip_tensors(replace(clip, **{field: array}), small)


def test_other_width_is_named(small: ModelConfig, make_clip: Make) -> None:
    with pytest.raises(TrainError, match="video is 14 wide, the model expects 15"):
        clip_tensors(make_clip("a", 0), replace(small, d_video=15))


def test_widths_come_from_the_first_clips_that_show_them(make_clip: Make) -> None:
    clips = [make_clip("a", 0, without="text video"), make_clip("b", 1, without="audio"), make_clip("c", 2)]
    assert encoder_widths(clips, "demo") == (10, 12, 14)
    with pytest.raises(TrainError, match="no labelled clip of data set demo has video features"):
        encoder_widths([make_clip("a", 0, without="video")], "demo")


def table(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=[f"c{i}" for i in range(len(next(iter(columns.values()))))])


def rows_of(labels: pd.DataFrame, log: Callable[[str], None], wanted: str = "sentiment") -> pd.DataFrame:
    return labelled_rows(labels, choose_target(labels, wanted, None, "demo"), "demo", log)


def test_rows_without_split_or_label_are_left_out_and_counted() -> None:
    said: list[str] = []
    labels = table(mode=["train", "valid", "", "train"], label=[1.0, 2.0, 3.0, np.nan], extra=list("abcd"))
    rows = rows_of(labels, said.append)
    assert rows.to_dict("index") == {"c0": {"mode": "train", "label": 1.0}, "c1": {"mode": "valid", "label": 2.0}}
    assert said == [
        "2 of 4 clips have no split or no label and are left out",
        "no labelled clips in split test: only the valid split is scored",
    ]


def test_a_clip_needs_all_labels_that_are_learned() -> None:
    labels = table(mode=["train", "valid", "train"], happy=[1.0, 0.0, 2.0], sad=[0.0, 1.0, np.nan])
    assert list(rows_of(labels, lambda _: None, "happy,sad").index) == ["c0", "c1"]


def test_an_empty_word_is_no_label() -> None:
    labels = table(mode=["train", "valid", "train"], mood=["calm", "tense", ""])
    assert list(rows_of(labels, lambda _: None, "mood").index) == ["c0", "c1"]


def test_labels_that_are_all_alike_are_told() -> None:
    said: list[str] = []
    rows_of(table(mode=["train", "valid", "test"], label=[1.5, 1.5, 1.5]), said.append)
    assert said == ["every label is 1.5: there is nothing to tell apart, and correlation is undefined"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (table(mode=["test", "test"], label=[1.0, 2.0]), r"split train and valid \(found: test 2\)"),
        (table(mode=["train", "test"], label=[1.0, 2.0]), "in split valid"),
        (table(label=[1.0, 2.0]), r"split train and valid \(found: none\)"),
    ],
)
def test_splits_that_cannot_be_learned_are_explained(labels: pd.DataFrame, message: str) -> None:
    with pytest.raises(TrainError, match=message):
        rows_of(labels, print)


def test_pretraining_never_reads_the_test_split() -> None:
    splits = np.array(["train", "test", "valid", "", "train", "valid"], dtype=object)
    train, held_out = choose_rows(splits, 0.5, seed=1)
    assert (train.tolist(), held_out.tolist()) == ([0, 4], [2, 5])
    no_valid = np.array(["train"] * 6 + ["test"] * 3, dtype=object)
    train, held_out = choose_rows(no_valid, 0.5, seed=1)
    assert sorted([*train, *held_out]) == list(range(6)) and len(held_out) == 3


def test_a_data_set_without_splits_holds_out_a_part_by_seed() -> None:
    splits = np.array([""] * 100, dtype=object)
    train, held_out = choose_rows(splits, 0.1, seed=1)
    assert sorted([*train, *held_out]) == list(range(100)) and len(held_out) == 10
    assert choose_rows(splits, 0.1, seed=1)[1].tolist() == held_out.tolist()
    assert choose_rows(splits, 0.1, seed=2)[1].tolist() != held_out.tolist()
