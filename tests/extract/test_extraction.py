"""The whole way from media to cache, with tiny random encoders and a planted aligner."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sadgr.align import AlignmentFailed, FrameGrid, one_by_one, pool_words
from sadgr.cache import FeatureCache
from sadgr.cache.media_paths import MediaPath, media_paths
from sadgr.cache.report import ClipPlace, Site, gather
from sadgr.cache.report.clip_page import clip_files
from sadgr.extract.audio import load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint, ModelName
from sadgr.extract.media.audio import read_audio
from sadgr.extract.presets import Preset
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.run import run

TEXTS = {"a": "so it goes", "b": "it was the best of times", "c": "unbelievably good acting"}


@pytest.fixture
def source(tmp_path, make_clip):
    """Three sound clips in MMSA's layout."""
    for number, name in enumerate(TEXTS):
        make_clip(tmp_path / "source" / "Raw" / "v" / f"{name}.mp4", seconds=1 + number / 4, tone_hz=300 + 50 * number)
    write_labels(tmp_path / "source", TEXTS)
    return tmp_path / "source"


def write_labels(folder: Path, texts: dict) -> None:
    rows = [("v", name, text, 1.0, "train") for name, text in texts.items()]
    pd.DataFrame(rows, columns=["video_id", "clip_id", "text", "label", "mode"]).to_csv(
        folder / "label.csv", index=False
    )


@pytest.fixture
def extract(tiny, tmp_path, planted_aligner):
    """Run an extraction; gives its summary."""
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))

    def go(source, cache="cache", aligner=planted_aligner, stop=lambda: False, models=models):
        request = Request(source, tmp_path / cache, "demo", Recipe(models), "cpu")
        return run(request, aligner, stop, lambda _: None)

    return go


def contents(cache: Path) -> dict:
    """The logical digest: ids, keys, shapes and array bytes, whatever the shards are."""
    found = {}
    for one in FeatureCache(cache)["demo"].feature_sets():
        for clip_id in one.entries():
            arrays = one.read(clip_id)
            found[one.name, clip_id] = arrays and {
                key: (str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest())
                for key, array in arrays.items()
            }
    return found


def test_all_that_the_method_wants_of_a_clip_is_in_the_cache(source, extract, tiny):
    summary = extract(source)
    assert summary.finished and not summary.troubles
    assert summary.done == {"text": 3, "words": 3, "audio": 3, "video": 3}
    data = FeatureCache(source.parent / "cache")["demo"]
    (clip,) = data.clips(["v$_$b"], data.select())
    assert clip.text_words.shape == clip.audio_words.shape == (6, 16)
    assert clip.video_frames.shape == (12, 16)  # 12 frames in the clip, so fewer than 16
    np.testing.assert_allclose(clip.video_seconds, np.arange(12) / 10, atol=1e-6)
    words = data.word_times("v$_$b", data.feature_set("words"))
    assert list(words.text) == TEXTS["b"].split()
    assert data.labels().loc["v$_$b", "label"] == 1.0

    # Against the encoder and the pooling by hand.
    waveform = read_audio(source / "Raw" / "v" / "b.mp4")
    encoder = load_audio_encoder(Checkpoint("h", tiny("hubert")), torch.device("cpu"))
    (features,) = encoder.encode([encoder.prepare(waveform)])
    grid = FrameGrid(320, 200, len(features.frames))
    expected = pool_words(features.frames, grid, words.start, words.end)
    np.testing.assert_allclose(clip.audio_words, expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(clip.audio_mean, features.frames.mean(axis=0), rtol=2e-3, atol=2e-3)
    inside = features.frames[grid.centres < len(waveform) / 2]
    np.testing.assert_allclose(clip.audio_mean_words, inside.mean(axis=0), rtol=2e-3, atol=2e-3)


def test_starting_again_does_only_what_is_missing(source, extract):
    extract(source)
    again = extract(source)
    assert again.skipped == 3 and again.done == {}
    write_labels(source, {**TEXTS, "b": "a corrected transcript"})
    corrected = extract(source)
    assert corrected.done == {"text": 1, "words": 1, "audio": 1}  # the picture did not change
    data = FeatureCache(source.parent / "cache")["demo"]
    assert data.labels().loc["v$_$b", "text"] == "a corrected transcript"
    assert next(iter(data.clips(["v$_$b"], data.select()))).text_words.shape == (3, 16)


def test_other_models_and_word_times_never_collide(source, extract, tiny, planted_aligner):
    extract(source)
    before = contents(source.parent / "cache")
    others = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "wavlm", "vit")))
    assert extract(source, models=others).done == {"audio": 3}
    planted_aligner.settings = {"version": 2}
    assert extract(source, aligner=planted_aligner).done == {"words": 3, "audio": 3}
    assert before.items() <= contents(source.parent / "cache").items()


def test_interrupted_and_resumed_equals_uninterrupted(source, extract):
    extract(source, cache="whole")
    for patience in (0, 1, 5, 10, 20):
        asked = itertools.count()
        summary = extract(source, cache="parts", stop=lambda asked=asked, patience=patience: next(asked) >= patience)
        assert not summary.finished
    assert extract(source, cache="parts").finished
    assert contents(source.parent / "parts") == contents(source.parent / "whole")


def test_a_killed_run_loses_at_most_what_was_in_hand(source, extract, monkeypatch):
    """The third clip's encoding dies like a power cut; a new run does what is left."""
    from sadgr.extract.stages import VideoStage

    extract(source, cache="whole")
    real = VideoStage.encode
    calls = iter(range(100))

    def dying(self, batch):
        if next(calls) == 2:
            raise SystemError("dead")
        return real(self, batch)

    monkeypatch.setattr(VideoStage, "encode", dying)
    with pytest.raises(SystemError, match="dead"):
        extract(source, cache="parts")
    monkeypatch.setattr(VideoStage, "encode", real)
    again = extract(source, cache="parts")
    assert again.done["video"] == 1 and "audio" not in again.done
    assert contents(source.parent / "parts") == contents(source.parent / "whole")


def test_features_do_not_depend_on_how_clips_were_grouped(source, extract, monkeypatch):
    from sadgr.extract.stages import AudioStage, TextStage, VideoStage

    for stage in (TextStage, AudioStage, VideoStage):
        monkeypatch.setattr(stage, "at_once", 3)
    extract(source, cache="together")
    for stage in (TextStage, AudioStage, VideoStage):
        monkeypatch.setattr(stage, "at_once", 1)
    extract(source, cache="alone")
    both = [FeatureCache(source.parent / name)["demo"] for name in ("together", "alone")]
    for one, other in zip(
        *(data.clips([f"v$_${name}" for name in TEXTS], data.select()) for data in both), strict=True
    ):
        for key, array in vars(one).items():
            if key in ("text_tokens", "audio_frames", "video_words", "words"):
                assert array is None  # nobody asked for them
            elif key != "clip_id":
                np.testing.assert_allclose(array, getattr(other, key), rtol=2e-3, atol=1e-3, err_msg=key)


def test_every_kind_of_bad_clip_is_reported_and_the_others_are_done(tmp_path, source, extract, make_clip):
    raw = source / "Raw" / "v"
    make_clip(raw / "mute.mp4", sound=False)
    make_clip(raw / "blind.mp4", picture=False)
    (raw / "empty.mp4").touch()
    (raw / "text.mp4").write_text("this is not a film\n" * 50)
    whole = make_clip(raw / "cut.mp4", seconds=4).read_bytes()
    (raw / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    make_clip(raw / "silent transcript.mp4")
    texts = dict.fromkeys(["mute", "blind", "empty", "text", "cut", "gone"], "so it goes")
    write_labels(source, {**TEXTS, **texts, "silent transcript": ""})
    summary = extract(source)
    found = {(one.clip_id.removeprefix("v$_$"), one.stage): one.state for one in summary.troubles}
    assert found == {
        ("mute", "words"): "absent",
        ("mute", "audio"): "absent",
        ("blind", "video"): "absent",
        ("silent transcript", "text"): "absent",
        ("silent transcript", "words"): "flagged",
        **{
            (clip, stage): "failed"
            for clip in ("empty", "text", "cut", "gone")
            for stage in ("words", "audio", "video")
        },
    }
    assert all(len(one.reason) > 20 for one in summary.troubles if one.state == "failed")
    assert set(summary.failed) == {"v$_$" + name for name in [*texts, "silent transcript"]}
    data = FeatureCache(tmp_path / "cache")["demo"]
    clips = {clip.clip_id.removeprefix("v$_$"): clip for clip in data.clips(data.labels().index, data.select())}
    assert all(clips[name].audio_words is not None and clips[name].video_frames is not None for name in TEXTS)
    assert clips["mute"].audio_mean is None and clips["mute"].video_frames is not None
    assert clips["blind"].video_frames is None and clips["blind"].audio_words.shape == (3, 16)
    assert clips["empty"].text_words is not None and clips["empty"].audio_words is None
    untold = clips["silent transcript"]
    assert untold.text_words is None and untold.audio_words.shape == (0, 16) and untold.audio_mean.shape == (16,)
    assert not list((tmp_path / "cache").rglob(".tmp*"))

    again = extract(source)
    assert again.done == {}
    assert {(one.clip_id, one.stage, one.state) for one in again.troubles} == {
        (one.clip_id, one.stage, one.state) for one in summary.troubles
    }


def test_a_clip_that_cannot_be_aligned_stays_with_flagged_times(source, extract, planted_aligner):
    class Failing:
        name, settings = "planted", planted_aligner.settings

        def align_all(self, utterances):
            return one_by_one(self.align, utterances)

        def align(self, utterance):
            if utterance.clip_id == "v$_$b":
                raise AlignmentFailed(utterance.clip_id, "planted")
            return planted_aligner.align(utterance)

    summary = extract(source, aligner=Failing())
    assert [(one.clip_id, one.stage, one.state) for one in summary.troubles] == [("v$_$b", "words", "flagged")]
    assert summary.failed == []
    data = FeatureCache(source.parent / "cache")["demo"]
    words = data.word_times("v$_$b", data.feature_set("words"))
    assert words.flag.tolist() == [1] * 6 and words.end[-1] == pytest.approx(1.25, abs=0.1)
    assert not data.word_times("v$_$a", data.feature_set("words")).flag.any()


def test_the_runs_log_says_what_happened_to_every_clip(source, extract):
    summary = extract(source)
    first, *lines = [json.loads(line) for line in summary.log.read_text(encoding="utf-8").splitlines()]
    assert first["run"]["labels_sha256"] and first["run"]["versions"]["torch"]
    assert set(first["run"]["feature_sets"]) == {"words", "text", "audio", "video"}
    assert {(line["clip"], line["stage"]) for line in lines} == {
        (f"v$_${name}", stage) for name in TEXTS for stage in ("text", "words", "audio", "video")
    }
    assert all(line["state"] == "done" for line in lines)


def test_a_source_without_pictures_gets_no_video_features(tmp_path, extract, make_clip):
    make_clip(tmp_path / "talk.m4a", seconds=2, picture=False)
    (tmp_path / "talk.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nso it goes\n")
    summary = extract(tmp_path / "talk.m4a")
    assert set(summary.feature_sets) == {"words", "text", "audio"} and not summary.troubles


def test_an_encoder_that_fails_on_one_clip_costs_no_other(source, extract, monkeypatch):
    """Such as one whose frames do not fit into a GPU's memory."""
    from sadgr.extract import video
    from sadgr.extract.stages import VideoStage
    from sadgr.extract.video import VideoEncoder

    real = VideoEncoder._vectors
    monkeypatch.setattr(VideoStage, "at_once", 3)
    monkeypatch.setattr(video, "FRAMES_AT_ONCE", 100)

    def failing(self, frames):
        if len(frames) in (12, 37):  # the second clip alone, or all three together
            raise torch.OutOfMemoryError("out of memory")
        return real(self, frames)

    monkeypatch.setattr(VideoEncoder, "_vectors", failing)
    monkeypatch.setattr(video, "in_groups", lambda compute, lengths, _: compute(list(range(len(lengths)))))
    summary = extract(source)
    assert summary.done["video"] == 2
    (told,) = summary.troubles
    assert (told.clip_id, told.stage, told.state) == ("v$_$b", "video", "failed") and "out of memory" in told.reason


def test_a_run_notes_where_media_are_and_a_report_finds_them(source, extract, tmp_path):
    extract(source)
    cache = FeatureCache(tmp_path / "cache")
    film = MediaPath(source / "Raw/v/b.mp4")
    assert media_paths(cache.path, "demo")["v$_$b"] == {"audio": film, "video": film}

    def page() -> str:
        files = clip_files(Site("t"), gather(cache), ClipPlace("v$_$b", None, None), ())
        return next(one.content for one in files if one.path.endswith(".html")).decode()

    # The page makes the source digests anew, from the file: they are those that extraction stored.
    assert page().count("the very file that") == 2

    extract(source)  # nothing new to tell
    (noted,) = (cache.path / "runs").glob("*.media")
    assert len(noted.read_text().splitlines()) == 3

    moved = source.rename(tmp_path / "moved")
    assert "no such file any more" in page()
    extract(moved)
    assert media_paths(cache.path, "demo")["v$_$b"]["audio"].path == moved / "Raw/v/b.mp4"
    assert page().count("the very file that") == 2
