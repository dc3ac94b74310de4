"""Fig. 5: the gate over time on planted gates, and what the figure says of itself."""

import csv
import math
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from sadgr.cache import (
    ClipFeatures,
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    publishing_method,
    source_digest,
)
from sadgr.cache.store import WordTimes
from sadgr.train import cli
from sadgr.train.checkpoint import read_json
from sadgr.train.config import ModelConfig
from sadgr.train.data import clip_tensors, collate
from sadgr.train.errors import TrainError
from sadgr.train.models.sadgr import SADGR
from sadgr.train.studies.gate_curve import gate_curve, window_shares
from sadgr.train.studies.sound import read_envelope
from sadgr.train.studies.timed_clip import TimedClip, timed_clip

pytestmark = pytest.mark.usefixtures("without_figures")

TINY = [
    "--d-model",
    "8",
    "--d-key",
    "4",
    "--gate-hidden",
    "8",
    "--fusion-hidden",
    "8",
    "--attention-heads",
    "2",
    "--batch-size",
    "8",
    "--epochs",
    "1",
]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def times(starts: list[float], ends: list[float], flags: list[int] | None = None) -> WordTimes:
    count = len(starts)
    return WordTimes(
        np.array([f"w{number}" for number in range(count)]),
        np.array(starts),
        np.array(ends),
        np.ones(count, np.float32),
        np.array(flags or [0] * count, np.uint8),
    )


def every_second(count: int) -> WordTimes:
    return times([float(number) for number in range(count)], [number + 1.0 for number in range(count)])


def planted(small: ModelConfig, level: float = 1.0) -> SADGR:
    """Open (0.982 * level) unless the first audio feature is 1, then nearly closed, in all dimensions alike."""
    model = SADGR(replace(small, gate_layers=1)).eval()
    (layer,) = model.gate.layers
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = -8
        layer.bias.fill_(4 * level)
    return model


@pytest.fixture
def clip(make_clip: Callable[..., ClipFeatures], small: ModelConfig) -> TimedClip:
    """10 words of one second each, of which 3 and 4 close the gate."""
    features = make_clip("v$_$1", 1, n_words=10)
    assert features.audio_words is not None
    features.audio_words[:, 0] = 0
    features.audio_words[3:5, 0] = 1
    return TimedClip(clip_tensors(features, small), every_second(10), np.array([1.0, 5.0, 9.5]))


def test_a_gate_that_planted_words_close_is_low_exactly_there(clip: TimedClip, small: ModelConfig) -> None:
    curve = gate_curve([planted(small)], clip, window_seconds=0.1)
    closed = (curve.seconds > 3.05) & (curve.seconds < 4.95)
    opened = (curve.seconds < 2.95) | (curve.seconds > 5.05)
    assert curve.mean[closed] == pytest.approx(1 / (1 + math.exp(4)), abs=1e-6)
    assert curve.mean[opened] == pytest.approx(1 / (1 + math.exp(-4)), abs=1e-6)
    assert closed.sum() > 300 and opened.sum() > 1000
    assert curve.lower_quartile == pytest.approx(curve.mean, abs=1e-6)


@pytest.mark.parametrize("window", [10.0, 60.0])
def test_a_window_as_long_as_the_clip_gives_the_model_s_own_gate(
    window: float, clip: TimedClip, small: ModelConfig
) -> None:
    torch.manual_seed(3)
    model = SADGR(small).eval()
    curve = gate_curve([model], clip, window)
    with torch.no_grad():
        own = model(collate([clip.tensors])).gate
    assert curve.clip_gate == pytest.approx(float(own.mean()))
    assert curve.mean == pytest.approx(float(own.mean()), abs=1e-6)
    quartiles = np.quantile(own.numpy(), [0.25, 0.75])
    assert curve.lower_quartile == pytest.approx(quartiles[0], abs=1e-6)
    assert curve.upper_quartile == pytest.approx(quartiles[1], abs=1e-6)


def test_the_curve_is_the_gate_of_the_words_in_the_window(clip: TimedClip, small: ModelConfig) -> None:
    torch.manual_seed(4)
    model = SADGR(small).eval()
    curve = gate_curve([model], clip, window_seconds=2.0)
    place = int(np.argmin(abs(curve.seconds - 6.0)))  # words 5 and 6, whole
    with torch.no_grad():
        expected = model.gate(clip.tensors.audio[5:7].mean(dim=0)).mean()
    assert curve.mean[place] == pytest.approx(float(expected), abs=1e-6)


def test_seeds_give_mean_and_range(clip: TimedClip, small: ModelConfig) -> None:
    models = [planted(small), planted(small, level=0.5)]
    curve, first, second = (gate_curve(one, clip) for one in (models, models[:1], models[1:]))
    assert curve.mean == pytest.approx((first.mean + second.mean) / 2)
    assert curve.low == pytest.approx(second.mean) and curve.high == pytest.approx(first.mean)
    assert (curve.clip_low, curve.clip_high) == (second.clip_gate, first.clip_gate)
    assert curve.clip_gate == pytest.approx((first.clip_gate + second.clip_gate) / 2)


def test_where_nobody_speaks_there_is_no_gate(clip: TimedClip, small: ModelConfig) -> None:
    silent = replace(clip, words=times([0.0] * 9 + [8.0], [1.0] * 9 + [9.0]))
    curve = gate_curve([planted(small)], silent, window_seconds=1.0)
    silence = (curve.seconds > 1.51) & (curve.seconds < 7.49)
    assert np.isnan(curve.mean[silence]).all() and not np.isnan(curve.mean[curve.seconds < 1.4]).any()


def test_shares_of_words_in_windows() -> None:
    shares = window_shares(times([0, 1, 3, 3], [1, 3, 3, 4]), np.array([0.0, 2.0, 4.0]), 2.0, 4.0)
    assert shares.tolist() == [[1, 0.5, 0, 0], [0, 1, 1, 0], [0, 0.5, 1, 1]]


@pytest.mark.parametrize("gate", ["none", "attention", "frames"])
def test_a_model_without_one_audio_gate_a_clip_is_refused(gate: str, clip: TimedClip, small: ModelConfig) -> None:
    with pytest.raises(TrainError, match=f"no audio gate a clip .--gate {gate}"):
        gate_curve([SADGR(replace(small, gate=gate))], clip)


def test_windows_finer_than_words_can_be_are_refused(clip: TimedClip, small: ModelConfig) -> None:
    for window in (0.0, -1.0, math.nan, 0.001):
        with pytest.raises(TrainError, match="at least one audio frame"):
            gate_curve([planted(small)], clip, window)


def test_a_clip_without_audio_or_with_other_words_is_refused(
    make_clip: Callable[..., ClipFeatures], small: ModelConfig
) -> None:
    with pytest.raises(TrainError, match="has no audio features"):
        TimedClip(clip_tensors(make_clip("a", 1, without="audio"), small), every_second(4), None)
    with pytest.raises(TrainError, match="4 audio words and 3 word times"):
        TimedClip(clip_tensors(make_clip("a", 1), small), every_second(3), None)


def add_words(cache: Path, lengths: dict[str, int], name: str = "planted") -> None:
    data = FeatureCache(cache).dataset()
    made = create_feature_set(data.path, FeatureSetSpec("words", name, {"aligner": name}))
    with FeatureWriter(made, publishing_method(data.path)) as writer:
        for clip_id, count in lengths.items():
            held = every_second(count)
            arrays = {key: getattr(held, key) for key in ("text", "start", "end", "score")}
            flags = np.array([1] + [0] * (count - 1), np.uint8)
            writer.add(ClipRecord(clip_id, source_digest(clip=clip_id), {**arrays, "flag": flags}))


@pytest.fixture
def fitted(labelled: Callable, write_cache: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path, str]:
    """A run, its cache with word times, and the id of a clip of 5 words."""
    clips, labels = labelled(18)
    cache = write_cache(clips, labels)
    add_words(cache, {one.clip_id: len(one.audio_words) for one in clips if one.audio_words is not None})
    result = call("fit", cache, tmp_path / "run", "--seeds", 2, *TINY)
    assert result.exit_code == 0, result.output
    return tmp_path / "run", cache, clips[4].clip_id


def test_the_command_writes_what_it_prints(fitted: tuple[Path, Path, str], tmp_path: Path) -> None:
    run, cache, clip_id = fitted
    result = call("gate", run, cache, clip_id, "-o", tmp_path / "out", "--window", 0.5)
    assert result.exit_code == 0, result.output
    told = read_json(tmp_path / "out" / f"gate-{clip_id}.json")
    assert told["clip_gate"]["low"] <= told["clip_gate"]["mean"] <= told["clip_gate"]["high"]
    assert [one["word"] for one in told["words"]] == ["w0", "w1", "w2", "w3", "w4"]
    assert told["frame_seconds"] == [0.0, 1.0]
    for said in ("one gate a clip", "window of 0.5 s", "not a waveform", "1 of 5 words are interpolated"):
        assert said in told["caption"] and said in result.stdout
    assert f"{told['words'][2]['gate']:.4f}" in result.stdout
    with (tmp_path / "out" / f"gate-{clip_id}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == told["curve"]["mean"]
    place = told["curve"]["seconds"].index(2.5)
    assert told["words"][2]["gate"] == told["curve"]["mean"][place]
    drawn = (tmp_path / "out" / f"gate-{clip_id}.svg").read_text(encoding="utf-8")
    assert "<svg" in drawn and (tmp_path / "out" / f"gate-{clip_id}.png").stat().st_size


def test_bad_requests_get_one_clear_error(fitted: tuple[Path, Path, str], tmp_path: Path) -> None:
    run, cache, clip_id = fitted

    def refused(*arguments: object) -> str:
        result = call("gate", run, cache, *arguments)
        assert result.exit_code == 2, result.output
        return " ".join(result.output.split())

    assert "no clip 'nobody'" in refused("nobody")
    assert "give it with --media" in refused(clip_id, "--begin", 1)
    text = tmp_path / "text.mp4"
    text.write_text("no media")
    assert "cannot be decoded" in refused(clip_id, "--media", text)
    add_words(cache, {clip_id: 5}, "another")
    assert "one set, since its audio names none" in refused(clip_id)


def test_word_times_are_those_that_the_audio_was_pooled_by(fitted: tuple[Path, Path, str], small: ModelConfig) -> None:
    _, cache, clip_id = fitted
    data = FeatureCache(cache).dataset()
    (words,) = data.feature_sets("words")
    (clip,) = data.clips([clip_id], data.select())
    for name, alignment in (("named", words.fingerprint), ("strange", "f" * 64)):
        made = create_feature_set(data.path, FeatureSetSpec("audio", name, {"alignment": alignment}))
        with FeatureWriter(made, publishing_method(data.path)) as writer:
            writer.add(ClipRecord(clip_id, source_digest(clip=clip_id), {"words": clip.audio_words}))
    add_words(cache, {clip_id: 4}, "another")
    named = next(one.name for one in data.feature_sets("audio") if "named" in one.name)
    assert len(timed_clip(data, data.select(audio=named), clip_id, small).words.text) == 5
    strange = next(one.name for one in data.feature_sets("audio") if "strange" in one.name)
    with pytest.raises(TrainError, match="fingerprint ffffffffffff"):
        timed_clip(data, data.select(audio=strange), clip_id, small)


def write_sound(path: Path, seconds: float, loud_from: float) -> None:
    samples = np.zeros(int(seconds * 16000), np.int16)
    samples[int(loud_from * 16000) :] = 16384
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())


def test_the_waveform_is_that_of_the_clip_s_part_of_the_file(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", 4, loud_from=3)
    found = read_envelope(tmp_path / "a.wav", begin_seconds=2, seconds=2)
    assert len(found.seconds) == 200 and found.high[:100].max() == 0
    assert found.high[100:] == pytest.approx(0.5) and found.seconds[100] == pytest.approx(1)


def test_a_file_that_ends_before_the_clip_is_refused(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", 2, loud_from=1)
    with pytest.raises(TrainError, match=r"ends 1\.00 s before"):
        read_envelope(tmp_path / "a.wav", begin_seconds=1, seconds=2)


def test_a_waveform_stands_in_the_figure_where_the_file_is_given(
    fitted: tuple[Path, Path, str], tmp_path: Path
) -> None:
    run, cache, clip_id = fitted
    write_sound(tmp_path / "a.wav", 5, loud_from=3)
    result = call("gate", run, cache, clip_id, "--media", tmp_path / "a.wav")
    assert result.exit_code == 0, result.output
    assert "not a waveform" not in read_json(run / f"gate-{clip_id}.json")["caption"]
