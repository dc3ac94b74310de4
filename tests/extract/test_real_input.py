"""Real recordings through the command with the offline models: pretrained weights, real decoding, real alignment."""

import json

import numpy as np
from click.testing import CliRunner

from sadgr.cache import FeatureCache
from sadgr.extract.cli import main
from sadgr.extract.media.audio import read_audio


def extract(source, cache, *options):
    result = CliRunner().invoke(main, [str(source), str(cache), "--preset", "offline", "--json", *options])
    return result.exit_code, json.loads(result.stdout), result.stderr


def check_clip(data, clip_id, width=384):
    """Text and audio share the word axis, words lie in order inside the clip, and no feature is constant."""
    (features,) = data.clips([clip_id], data.select())
    (words,) = data.feature_sets("words")
    times = data.word_times(clip_id, words)
    assert " ".join(times.text) == data.labels().loc[clip_id, "text"]
    assert (np.diff(times.start) >= 0).all() and (times.end >= times.start).all() and not times.flag.any()
    assert features.text_words.shape == features.audio_words.shape == (len(times.text), width)
    for array in (features.text_words, features.audio_words, features.audio_mean, features.audio_mean_words):
        assert np.isfinite(array).all() and array.std() > 0.01
    return features, times


def test_librispeech_as_it_lies(shared_data, tmp_path):
    code, told, _ = extract(shared_data / "LibriSpeech", tmp_path / "cache")
    assert code == 0 and told["done"] == {"text": 2, "words": 2, "audio": 2}
    data = FeatureCache(tmp_path / "cache")["librispeech"]
    for clip_id in ("61-70968-0000", "2412-153948-0000"):
        speaker, chapter, _ = clip_id.split("-")
        sound = read_audio(shared_data / f"LibriSpeech/test-clean/{speaker}/{chapter}/{clip_id}.flac")
        _, times = check_clip(data, clip_id)
        # A reading in a quiet room: what lies inside words is at least four times as loud as what lies outside.
        centres = (np.arange(len(sound)) + 0.5) / 16000
        inside = ((times.start[:, None] <= centres) & (centres < times.end[:, None])).any(axis=0)
        assert np.std(sound[inside]) > 4 * np.std(sound[~inside])
    assert extract(shared_data / "LibriSpeech", tmp_path / "cache")[1]["skipped"] == 2


def test_subtitled_film_and_its_cut_last_cue(shared_data, tmp_path):
    code, told, said = extract(shared_data / "clips", tmp_path / "cache", "--dataset", "nasa")
    assert code == 3 and told["failed"] == ["nasa_webb$_$4"]
    assert "asked for, but the stream ends at 13.0" in said
    data = FeatureCache(tmp_path / "cache")["nasa"]
    for number in (1, 2, 3):
        features, times = check_clip(data, f"nasa_webb$_${number}")
        assert "NAR:" not in times.text
        assert features.video_frames.shape == (16, 384) and (np.diff(features.video_seconds) > 0).all()
