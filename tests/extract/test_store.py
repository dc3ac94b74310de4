"""What is kept of each clip: `--store`, and asking for more later."""

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import FeatureCache, SelectionError
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.choice import Choice
from sadgr.extract.layers import Layer
from sadgr.extract.media.sampling import Sampling
from sadgr.extract.presets import Preset
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.run import run

TEXT = "it was the best of times"


@pytest.fixture
def extract(tmp_path, tiny, make_clip, planted_aligner):
    """Extract three clips as a recipe says; gives what was done and what was said."""
    for name in "abc":
        make_clip(tmp_path / "source" / "Raw" / "v" / f"{name}.mp4")
    rows = [("v", name, TEXT, 1.0, "train") for name in "abc"]
    table = pd.DataFrame(rows, columns=["video_id", "clip_id", "text", "label", "mode"])
    table.to_csv(tmp_path / "source" / "label.csv", index=False)
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))

    def go(*store, choice=None, aligner=planted_aligner, retry_failed=False, **more):
        said = []
        recipe = Recipe(models, store=frozenset(store) or None, **more)
        request = Request(
            tmp_path / "source",
            tmp_path / "cache",
            "demo",
            recipe,
            "cpu",
            choice=choice or Choice(),
            retry_failed=retry_failed,
        )
        return run(request, aligner, lambda: False, said.append), said

    return go


@pytest.fixture
def data(tmp_path):
    return lambda: FeatureCache(tmp_path / "cache")["demo"]


def read(data, modality: str, clip: str = "v$_$a") -> dict:
    return data.feature_set(modality).read(clip)


def test_the_default_is_what_training_reads(extract, data):
    extract()
    assert set(read(data(), "text")) == {"words", "mean"}
    assert set(read(data(), "audio")) == {"words", "mean", "mean_words"}
    assert set(read(data(), "video")) == {"frames", "seconds"}


def test_means_alone_need_no_alignment_and_no_picture(extract, data):
    summary, _ = extract("mean", modalities=("text", "audio"), aligner=None)
    assert summary.done == {"text": 3, "audio": 3}
    assert {one.modality for one in data().feature_sets()} == {"text", "audio"}
    assert set(read(data(), "text")) == set(read(data(), "audio")) == {"mean"}
    ids, text, audio = data().means(data().select())
    assert len(ids) == 3 and text.shape == audio.shape == (3, 16)


def test_everything_on_request_and_it_agrees_with_itself(extract, data):
    extract("words", "mean", "frames", "tokens")
    text, audio, video = (read(data(), modality) for modality in ("text", "audio", "video"))
    assert text["tokens"].shape == (len(text["input_ids"]), 16) and text["word_ids"][0] == -1
    for word in range(len(TEXT.split())):
        pieces = text["tokens"][text["word_ids"] == word].astype(np.float32)
        np.testing.assert_allclose(pieces.mean(axis=0), text["words"][word], atol=4e-3)
    np.testing.assert_allclose(text["tokens"].astype(np.float32).mean(axis=0), text["mean"], atol=4e-3)
    np.testing.assert_allclose(audio["frames"].astype(np.float32).mean(axis=0), audio["mean"], atol=4e-3)
    np.testing.assert_allclose(video["frames"].astype(np.float32).mean(axis=0), video["mean"], atol=4e-3)


def test_asking_for_more_says_what_is_done_again_and_loses_nothing(extract, data):
    extract()
    again, said = extract("words", "frames", choice=Choice(patterns=("*a",)))
    assert again.done == {"audio": 1}
    assert any("audio: the cache has 1 clips without all of frames, words" in line for line in said)
    assert set(read(data(), "audio")) == {"words", "mean", "mean_words", "frames"}  # what it had is kept
    assert set(read(data(), "audio", "v$_$b")) == {"words", "mean", "mean_words"}
    nothing, said = extract()
    assert nothing.done == {} and not any("without all" in line for line in said)
    assert set(read(data(), "audio")) == {"words", "mean", "mean_words", "frames"}


def test_means_are_found_where_pooled_sound_of_the_same_encoder_stands(extract, data):
    extract()
    means, _ = extract("mean", modalities=("text", "audio"), aligner=None)
    assert means.done == {} and len(data().feature_sets("audio")) == 1


def test_a_second_set_of_the_same_encoder_is_said(extract, data):
    extract("mean", modalities=("audio",), aligner=None)
    _, said = extract(modalities=("audio",))
    assert len(data().feature_sets("audio")) == 2
    assert any("is of the same encoder" in line and "--audio" in line for line in said)
    with pytest.raises(SelectionError, match="sadgr-train: --audio NAME"):
        data().select()


def test_a_clip_that_lacks_a_modality_lacks_it_whatever_is_wanted(extract, data, tmp_path, make_clip):
    make_clip(tmp_path / "source" / "Raw" / "v" / "b.mp4", picture=False)
    extract(modalities=("video",))
    again, said = extract("frames", "mean", modalities=("video",))
    assert again.done == {"video": 2} and any("the cache has 2 clips" in line for line in said)
    assert [(one.clip_id, one.state) for one in again.troubles] == [("v$_$b", "absent")]


def test_other_layers_and_samplings_are_other_feature_sets(extract, data):
    extract()
    before = read(data(), "text")["words"], read(data(), "video")["seconds"]
    other, _ = extract(
        text_layer=Layer.parse("1"), audio_layer=Layer.parse("last:2"), sampling=Sampling.parse("fps=4", 16)
    )
    assert other.done == {"text": 3, "audio": 3, "video": 3}
    named = other.feature_sets
    assert not np.allclose(data().named(named["text"]).read("v$_$a")["words"], before[0])
    assert len(data().named(named["video"]).read("v$_$a")["seconds"]) == 4 != len(before[1])
    assert data().named(named["text"]).spec.settings["encoder"]["layer"] == "1"


def test_a_selection_writes_the_labels_of_its_clips_alone(extract, data):
    summary, said = extract(choice=Choice(limit=2))
    assert summary.clips == 2 and any("2 of 3 clips" in line for line in said)
    assert list(data().labels().index) == ["v$_$a", "v$_$b"]
    extract()
    assert list(data().labels().index) == ["v$_$a", "v$_$b", "v$_$c"]
    _, said = extract(choice=Choice(limit=1))
    assert not any("does not name" in line for line in said)


def test_only_what_failed_is_tried_again(extract, data, tmp_path):
    broken = tmp_path / "source" / "Raw" / "v" / "b.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    first, _ = extract()
    assert first.failed == ["v$_$b"]
    broken.write_bytes(whole)
    (tmp_path / "source" / "Raw" / "v" / "c.mp4").write_bytes(b"")  # not looked at again
    again, said = extract(retry_failed=True)
    assert again.clips == 1 and not again.failed and again.done == {"words": 1, "audio": 1, "video": 1}
    assert any("1 clips failed when they were last worked on" in line for line in said)
    none, said = extract(retry_failed=True)
    assert none.clips == 0 and none.finished and not none.failed


def test_the_first_of_those_that_failed_is_the_first_of_those(extract, tmp_path):
    for name in "bc":
        (tmp_path / "source" / "Raw" / "v" / f"{name}.mp4").write_bytes(b"")
    extract()
    again, _ = extract(retry_failed=True, choice=Choice(limit=1))
    assert again.clips == 1 and again.failed == ["v$_$b"]
