"""`--check`: what is wrong with a source, told before anything is extracted."""

import json
import wave

import pandas as pd
import pytest
from click.testing import CliRunner

from sadgr.extract.check import check, probe_all
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.choice import Choice
from sadgr.extract.cli import main
from sadgr.extract.clips import Clip, Medium
from sadgr.extract.presets import Preset
from sadgr.extract.published import DATASETS, published
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request


@pytest.fixture
def source(tmp_path, make_clip):
    """MMSA's layout with one of every fault."""
    raw = tmp_path / "my-mosi" / "Raw" / "v"
    for name in ("good", "fine", "double1", "double2", "wide", "unlabelled", "untold"):
        make_clip(raw / f"{name}.mp4", seconds=2)
    make_clip(raw / "short.mp4", seconds=0.2)
    make_clip(raw / "mute.mp4", seconds=2, sound=False)
    (raw / "empty.mp4").touch()
    rows = {
        "good": ("so it goes", 1.0),
        "fine": ("it was the best of times", -3.0),
        "double1": ("I guess", 0.0),
        "double2": ("i  GUESS", 0.0),
        "wide": ("unbelievably good acting", 3.5),
        "unlabelled": ("so-so", None),
        "untold": ("", 1.0),
        "short": ("worst", 1.0),
        "mute": ("it was the worst", 1.0),
        "empty": ("of times", 1.0),
        "gone": ("the worst of times", 1.0),
    }
    table = pd.DataFrame([("v", name, *row, "train") for name, row in rows.items()])
    table.columns = ["video_id", "clip_id", "text", "label", "mode"]
    table.to_csv(tmp_path / "my-mosi" / "label.csv", index=False)
    return tmp_path / "my-mosi"


@pytest.fixture
def request_of(tiny, tmp_path):
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))
    return lambda source, **more: Request(source, tmp_path / "cache", "my-mosi", Recipe(models), "cpu", **more)


def test_every_fault_is_found_and_nothing_else(source, request_of, planted_aligner, tmp_path):
    found = check(request_of(source), planted_aligner, lambda: False, lambda _: None)
    told = {finding.what: [one.removeprefix("v$_$") for one in finding.examples] for finding in found.findings}
    assert told == {
        "another clip has the same transcript": ["double1", "double2"],
        "label lies outside of [-3, 3]": ["wide"],
        "it has no label": ["unlabelled"],
        "the transcript is empty": ["untold"],
        "it is shorter than 0.3 s": ["short"],
        "its audio file has no audio stream": ["mute"],
        "audio cannot be read: the file is empty (0 bytes); fetch it again": ["empty"],
        "video cannot be read: the file is empty (0 bytes); fetch it again": ["empty"],
        "audio cannot be read: no such file": ["gone"],
        "video cannot be read: no such file": ["gone"],
    }
    assert found.clips == 11 and found.splits == {"train": 11}
    assert found.counted_by_others["CMU-MultimodalSDK, MMSA"] == {"train": 1284, "valid": 229, "test": 686}
    assert found.hours == pytest.approx((8 * 2 + 0.2) / 3600, rel=0.05)
    assert not (tmp_path / "cache").exists()


def test_the_estimate_comes_from_a_real_extraction_of_a_few_clips(source, request_of, planted_aligner):
    found = check(request_of(source), planted_aligner, lambda: False, lambda _: None)
    estimate = found.estimate
    assert estimate.sample == 5 and not estimate.reason
    seconds = dict(estimate.seconds)
    assert seconds.pop("waiting") >= 0  # nothing, where loading took longer than all decoding
    assert set(seconds) == {"words", "text", "audio", "video"} and min(seconds.values()) > 0
    assert 11 * 16 * 2 < estimate.cache_bytes < 11 * 100_000
    lost = request_of(source)
    nowhere = Request(lost.source, lost.cache, lost.dataset, Recipe(Preset(*[ModelName("/no/such")] * 3)), "cpu", True)
    reason = check(nowhere, planted_aligner, lambda: False, lambda _: None).estimate.reason
    assert "/no/such" in reason


def test_a_choice_is_checked_alone(source, request_of, planted_aligner):
    choice = Choice(patterns=("*good", "*fine"))
    found = check(request_of(source, choice=choice), planted_aligner, lambda: False, lambda _: None)
    assert found.clips == 2 and not found.findings


def test_spans_beyond_the_end_are_found(tmp_path, make_clip, request_of, planted_aligner):
    make_clip(tmp_path / "talk.mp4", seconds=2)
    (tmp_path / "talk.srt").write_text(
        "1\n00:00:00,100 --> 00:00:01,900\nso\n\n2\n00:00:05,000 --> 00:00:09,000\nit goes\n"
    )
    found = check(request_of(tmp_path / "talk.mp4"), planted_aligner, lambda: False, lambda _: None)
    told = {finding.what for finding in found.findings}
    assert "its span runs over the end of its video file" in told


def test_doubled_ids_and_clips_that_are_too_long_are_found(tmp_path, request_of, planted_aligner):
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * 61))
    (tmp_path / "m.csv").write_text(
        "id,audio,text,end\na,long.wav,so it goes,\nb,long.wav,I guess,2\nb,long.wav,so-so,3\n"
    )
    found = check(request_of(tmp_path / "m.csv"), planted_aligner, lambda: False, lambda _: None)
    told = {finding.what: (finding.clips, finding.examples) for finding in found.findings}
    assert told == {"the id stands twice": (2, ("b", "b")), "it is longer than 60 s": (1, ("a",))}
    assert "stands twice" in found.estimate.reason


def test_the_command_prints_text_and_json_and_needs_no_cache(source, tiny):
    models = [
        f"--{kind}-model={tiny(family)}" for kind, family in (("text", "bert"), ("audio", "hubert"), ("video", "vit"))
    ]
    told = CliRunner().invoke(main, [str(source), "--check", "--dataset", "my-mosi", *models, "--device", "cpu"])
    assert told.exit_code == 0, told.output
    assert "11 clips (mmsa)" in told.output and "here: train 11" in told.output and "train 1284" in told.output
    assert (
        "1 clip: label lies outside of [-3, 3] (v$_$wide)" in told.output
        and "on this machine, from 5 clips" in told.output
    )
    told = CliRunner().invoke(main, [str(source), "--check", "--json", *models, "--device", "cpu"])
    assert told.exit_code == 0 and json.loads(told.stdout)["clips"] == 11


def test_each_file_is_probed_once(tmp_path, make_clip, monkeypatch):
    path = make_clip(tmp_path / "a.mp4", seconds=2)
    clips = [Clip(str(number), "", Medium(path, number / 2, number / 2 + 0.5)) for number in range(4)]
    (found,) = probe_all(clips).values()
    assert found.duration_seconds == pytest.approx(2, abs=0.1)


def test_what_is_published_is_found_by_name():
    assert (
        published("my-MOSEI-2", None) is DATASETS["mosei"] and published(None, "librispeech") is DATASETS["librispeech"]
    )
    assert published("own", None, "mmsa") is None
    trained = DATASETS["librispeech"].counts["OpenSLR 12"]
    assert sum(count for part, count in trained.items() if part.startswith("train")) == 281_241
    assert sum(DATASETS["mosi"].counts["CMU-MultimodalSDK, MMSA"].values()) == 2199
