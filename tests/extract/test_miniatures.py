"""Published data sets in miniature: what is read, and what comes into the cache, held against the truth."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

from sadgr.align import Flag, WordTime, one_by_one
from sadgr.cache import FeatureCache
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.presets import Preset
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.run import run
from sadgr.extract.sources import open_source, read_clips

WIDTH = 16
_SPEC = importlib.util.spec_from_file_location("miniatures", Path(__file__).with_name("miniatures.py"))
miniatures = sys.modules["miniatures"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(miniatures)


@pytest.fixture(scope="module", params=miniatures.BUILDERS)
def miniature(request, tmp_path_factory):
    """Layout's name and the tree."""
    return request.param, miniatures.BUILDERS[request.param](tmp_path_factory.mktemp(request.param) / "source")


def place(medium, tree: Path):
    return None if medium is None else (medium.path.relative_to(tree).as_posix(), medium.span)


def test_every_clip_is_read_as_it_truly_is(miniature):
    name, tree = miniature
    source = open_source(tree.path)
    assert source.layout == name
    clips = {clip.clip_id: clip for clip in read_clips(source)}
    assert set(clips) == set(tree.clips)
    for clip_id, true in tree.clips.items():
        clip = clips[clip_id]
        is_fault = true.failed == miniatures.EVERYTHING
        assert bool(clip.fault) == is_fault, clip_id
        assert clip.transcript == true.text, clip_id
        assert place(clip.audio, tree.path) == true.audio, clip_id
        assert place(clip.video, tree.path) == true.video, clip_id
        assert clip.columns.get("mode", "") == true.split, clip_id
        assert is_fault is False or true.why in clip.fault


def test_splits_are_counted_as_published(miniature):
    _, tree = miniature
    found = {}
    for clip in read_clips(open_source(tree.path)):
        found.setdefault(clip.columns.get("mode", ""), set()).add(clip.clip_id)
    assert found == tree.splits


@pytest.fixture(scope="module")
def extracted(miniature, tiny, tmp_path_factory):
    """Extract a tree with tiny encoders; gives the tree, the run's summary and the data set."""
    name, tree = miniature
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))
    cache = tmp_path_factory.mktemp("cache")
    summary = run(Request(tree.path, cache, name, Recipe(models), "cpu"), Even(), lambda: False, lambda _: None)
    return tree, summary, FeatureCache(cache)[name]


class Even:
    """Words evenly over the clip."""

    name = "even"
    settings = {"version": 1}  # noqa: RUF012

    def align_all(self, utterances):
        return one_by_one(self.align, utterances)

    def align(self, utterance):
        step = utterance.duration_seconds / len(utterance.words)
        return tuple(
            WordTime(word, number * step, (number + 1) * step, 0.5, Flag.ALIGNED)
            for number, word in enumerate(utterance.words)
        )


def test_what_fails_is_named_with_its_reason_and_nothing_else_is(extracted):
    tree, summary, _ = extracted
    stages = set(summary.feature_sets)
    found = {(one.clip_id, one.stage): one for one in summary.troubles if one.state != "flagged"}
    failed = {(clip_id, stage) for clip_id, true in tree.clips.items() for stage in stages & set(true.failed)}
    absent = {(clip_id, stage) for clip_id, true in tree.clips.items() for stage in stages & set(true.absent)}
    assert {key for key, one in found.items() if one.state == "failed"} == failed
    assert {key for key, one in found.items() if one.state == "absent"} == absent
    assert summary.finished
    for (clip_id, stage), one in found.items():
        assert one.state == "absent" or tree.clips[clip_id].why in one.reason, (clip_id, stage, one.reason)


def test_labels_and_splits_stand_in_the_cache(extracted):
    tree, _, data = extracted
    table = data.labels()
    assert set(table.index) == set(tree.clips)
    for clip_id, true in tree.clips.items():
        row = table.loc[clip_id]
        assert (row["mode"], row["text"]) == (true.split, true.text), clip_id
        for name, value in {**({"label": true.label} if "label" in table else {}), **true.more}.items():
            if value is None:
                assert pd.isna(row[name]), (clip_id, name)
            else:
                assert row[name] == pytest.approx(value, abs=1e-3) if isinstance(value, float) else row[name] == value


def test_every_other_feature_is_there(extracted):
    tree, summary, data = extracted
    for clip in data.clips(tree.clips, data.select()):
        true = tree.clips[clip.clip_id]
        words = len(true.text.split())
        gone = {*true.failed, *true.absent}
        has_video = "video" in summary.feature_sets and "video" not in gone
        assert (clip.text_words is None) == ("text" in gone), clip.clip_id
        assert clip.text_words is None or clip.text_words.shape == (words, WIDTH), clip.clip_id
        assert (clip.audio_words is None) == ("audio" in gone), clip.clip_id
        assert clip.audio_words is None or clip.audio_words.shape == (words, WIDTH), clip.clip_id
        assert (clip.video_frames is not None) == has_video, clip.clip_id
        if (
            words and "words" not in gone
        ):  # the aligner's last word ends where the clip does, whatever file it is cut from
            times = data.word_times(clip.clip_id, data.feature_set("words"))
            assert times.end[-1] == pytest.approx(1.0, abs=0.1), clip.clip_id
        # Ten video frames in the second that each clip lasts; a span of a longer film holds no more.
        assert not has_video or clip.video_frames.shape == (10, WIDTH), clip.clip_id
