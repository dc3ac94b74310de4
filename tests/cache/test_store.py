import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    CacheError,
    ClipRecord,
    FeatureCache,
    NotACacheError,
    NotWritableError,
    SelectionError,
    create_feature_set,
    read_labels,
    source_digest,
    store,
    write_labels,
)
from sadgr.cache.publish import publish, publishing_method


@pytest.fixture
def filled(cache, planted):
    data = cache.create_dataset("demo")
    rows = pd.DataFrame(
        {"mode": ["train", "test"], "text": ["so it goes", "NA"], "label": [1.5, np.nan], "speaker": ["007", ""]},
        index=pd.Index(["a", "b"], name="id"),
    )
    write_labels(data.path, rows)
    for modality, spec in planted.specs.items():
        one = create_feature_set(data.path, spec)
        planted.write(one, planted.record("a", modality))
    planted.write(data.feature_set("text"), planted.record("b", seed=5))
    planted.write(data.feature_set("video"), ClipRecord("b", source_digest(), None))
    return data


def test_clips_come_together_from_their_feature_sets(filled, planted):
    a, b = filled.clips(["a", "b"], filled.select())
    np.testing.assert_array_equal(a.audio_words, planted.arrays("audio")["words"])
    np.testing.assert_array_equal(a.video_seconds, [0.25, 0.75])
    assert a.text_words.dtype == np.float32
    np.testing.assert_array_equal(b.text_words, planted.arrays("text", seed=5)["words"])
    assert b.audio_words is None and b.audio_mean is None  # never extracted
    assert b.video_frames is None  # known to be absent


def test_means_hold_the_clips_that_have_both(filled, planted):
    ids, text, audio = filled.means(filled.select())
    assert ids == ["a"]
    np.testing.assert_array_equal(text[0], planted.arrays("text")["mean"])
    np.testing.assert_array_equal(audio[0], planted.arrays("audio")["mean"])
    _, _, inside = filled.means(filled.select(), audio="mean_words")
    np.testing.assert_array_equal(inside[0], planted.arrays("audio")["mean_words"])


def test_labels_survive_what_csv_does_to_them(filled):
    table = filled.labels()
    assert table.loc["b", "text"] == "NA"  # a word, not a missing value
    assert table.loc["a", "speaker"] == "007"
    assert table.loc["a", "label"] == 1.5 and np.isnan(table.loc["b", "label"])


def test_labels_are_merged_by_id_and_changes_are_named(filled):
    rows = filled.labels()
    assert write_labels(filled.path, rows) == []
    rows.loc["a", "label"] = -2.0
    more = pd.concat([rows.loc[["a"]], pd.DataFrame({"mode": ["valid"], "text": ["new"]}, index=["c"])])
    assert write_labels(filled.path, more) == ["a"]
    assert list(read_labels(filled.path).index) == ["a", "c", "b"]
    assert read_labels(filled.path).loc["a", "label"] == -2.0


def test_columns_that_people_added_stay(filled):
    rows = filled.labels()
    rows["note"] = ["listened twice", ""]
    write_labels(filled.path, rows)
    write_labels(filled.path, rows.drop(columns="note"))
    assert read_labels(filled.path).loc["a", "note"] == "listened twice"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,mode\na,train\na,test\n", "twice"),
        ("name\na\n", "no column `id`"),
        ("id,mode\na,dev\n", "unknown split 'dev'"),
    ],
)
def test_faulty_labels_are_refused(filled, content, message):
    (filled.path / "labels.csv").write_text(content)
    with pytest.raises(CacheError, match=message):
        filled.labels()


def test_an_ambiguous_choice_lists_the_candidates(filled, planted):
    spec = planted.specs["text"]
    other = type(spec)("text", "other-bert", {"encoder": {"weights": "z"}})
    create_feature_set(filled.path, other)
    with pytest.raises(SelectionError, match=f"(?s){other.name}.*{spec.name}"):
        filled.select()
    assert filled.select(text=other.name).text.name == other.name
    assert filled.select(text=other.fingerprint[:8]).text.name == other.name
    with pytest.raises(SelectionError, match="no text feature set 'gpt'"):
        filled.select(text="gpt")


def test_what_is_no_cache_is_said_so(tmp_path):
    with pytest.raises(NotACacheError, match="is no cache"):
        FeatureCache(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(NotACacheError, match="thesis"):
        FeatureCache.create(tmp_path)
    cache = FeatureCache.create(tmp_path / "new")
    (cache.path / "sadgr-cache.json").write_text(json.dumps({"version": 9}))
    with pytest.raises(NotACacheError, match="format 9"):
        FeatureCache(cache.path)


def test_processes_may_make_one_cache_at_the_same_time(tmp_path, monkeypatch):
    """Another makes it, and begins to fill it, between this one's looking for it and its looking what else lies there."""
    real = store.make_folder

    def overtaken(folder):
        monkeypatch.setattr(store, "make_folder", real)
        FeatureCache.create(folder).create_dataset("demo")

    monkeypatch.setattr(store, "make_folder", overtaken)
    assert FeatureCache.create(tmp_path / "new").path == tmp_path / "new"


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(NotWritableError, match="taken"):
        FeatureCache.create(tmp_path / "taken" / "cache")


def test_publishing_never_replaces_and_leaves_nothing_behind(tmp_path):
    assert publishing_method(tmp_path) == "link"
    for method in ("link", "rename"):
        target = tmp_path / method
        publish(target, b"first", method)
        with pytest.raises(NotWritableError):
            publish(target, b"second", method)
        assert target.read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "rename"]


def test_every_public_name_can_be_imported():
    import sadgr.cache

    for name in sadgr.cache.__all__:
        assert getattr(sadgr.cache, name) is not None
    with pytest.raises(AttributeError):
        _ = sadgr.cache.nonsense


def sadgr_cache(*arguments):
    command = [sys.executable, "-m", "sadgr.cache.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_people_can_look_into_a_cache(filled):
    root = filled.path.parent
    listed = sadgr_cache("ls", root, "--clips")
    assert listed.returncode == 0 and "text-tiny-bert-" in listed.stdout and "    b" in listed.stdout
    told = json.loads(sadgr_cache("info", root, "--json").stdout)
    assert told[0]["clips"] == 2 and told[0]["splits"]["test"] == 1
    video = next(one for one in told[0]["feature_sets"] if one["modality"] == "video")
    assert (video["clips"], video["absent"]) == (2, 1)
    shown = sadgr_cache("show", root, "a")
    assert "wört1" in shown.stdout and "3 x 5 float16" in shown.stdout
    missing = sadgr_cache("show", root, "nobody")
    assert missing.returncode == 2 and "no clip 'nobody'" in missing.stderr and "Traceback" not in missing.stderr


def test_verify_names_the_damaged_shard(filled):
    root = filled.path.parent
    assert sadgr_cache("verify", root).returncode == 0
    shard = filled.feature_set("text").shards()[0]
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    found = sadgr_cache("verify", root)
    assert found.returncode == 3 and shard.name in found.stdout
