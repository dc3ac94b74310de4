import pickle

import numpy as np
import pytest

from sadgr.cache import CacheError, ClipRecord, FeatureSet, FeatureSetSpec, FeatureWriter, SelectionError, source_digest
from sadgr.cache.feature_set import SPEC_FILE, create_feature_set
from sadgr.cache.writer import SHARD_BYTES, SHARD_CLIPS, SHARD_SECONDS


def test_nothing_is_left_of_a_writer_but_whole_shards(text_set, planted):
    planted.write(text_set, planted.record("a"), planted.record("b"))
    names = {path.suffix for path in text_set.path.iterdir()}
    assert names == {".h5", ".json"}
    assert not list(text_set.path.glob(".tmp*"))


def test_what_is_missing_follows_the_source(text_set, planted):
    wanted = {
        "a": source_digest(transcript="1"),
        "b": source_digest(transcript="1"),
        "c": source_digest(transcript="1"),
    }
    planted.write(text_set, planted.record("a"), planted.record("b", version="old transcript"))
    assert text_set.missing(wanted) == ["b", "c"]
    planted.write(text_set, planted.record("b"))
    assert text_set.missing(wanted) == ["c"]  # the same object looks again


def test_the_later_of_two_records_counts_and_a_bad_shard_does_no_harm(text_set, planted):
    planted.write(text_set, planted.record("a", seed=1), planted.record("b", seed=1))
    planted.write(text_set, planted.record("a", seed=2))
    later = planted.arrays("text", seed=2)["words"]
    np.testing.assert_array_equal(FeatureSet(text_set.path).read("a")["words"], later)
    newest = text_set.shards()[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    reader = FeatureSet(text_set.path)
    np.testing.assert_array_equal(reader.read("a")["words"], planted.arrays("text", seed=1)["words"])
    assert "truncated" in reader.invalid[newest.name]


def test_a_shard_is_published_when_it_is_full_or_old(text_set, planted):
    clock = iter(np.arange(0, 10_000, 1.0))
    with FeatureWriter(text_set, "link", clock=lambda: 0.0) as writer:
        for number in range(SHARD_CLIPS + 1):
            writer.add(planted.record(f"clip{number}", words=1))
        assert len(text_set.shards()) == 1
    assert len(text_set.shards()) == 2
    with FeatureWriter(text_set, "link", clock=lambda: next(clock)) as writer:
        for number in range(int(SHARD_SECONDS) + 2):
            writer.add(planted.record(f"late{number}", words=1))
        assert len(text_set.shards()) == 3
    mean = np.zeros(SHARD_BYTES // 8, np.float16)
    with FeatureWriter(text_set, "link", clock=lambda: 0.0) as writer:
        for number in range(5):
            writer.add(ClipRecord(f"wide{number}", source_digest(text="a"), {"mean": mean}))
        assert len(text_set.shards()) == 5


def test_what_was_done_before_an_error_is_kept(text_set, planted):
    with pytest.raises(KeyboardInterrupt), FeatureWriter(text_set, "link") as writer:
        writer.add(planted.record("a"))
        raise KeyboardInterrupt
    assert list(FeatureSet(text_set.path).entries()) == ["a"]


def test_flat_vectors_come_sorted_and_without_absent_clips(text_set, planted):
    absent = ClipRecord("b", source_digest(), None)
    planted.write(text_set, planted.record("c", seed=3), absent)
    planted.write(text_set, planted.record("a", seed=1))
    ids, vectors = text_set.vectors("mean")
    assert ids == ["a", "c"]
    np.testing.assert_array_equal(vectors[0], planted.arrays("text", seed=1)["mean"])
    np.testing.assert_array_equal(vectors[1], planted.arrays("text", seed=3)["mean"])
    assert vectors.dtype == np.float32
    with pytest.raises(SelectionError):
        text_set.vectors("mean_words")


def test_a_feature_set_goes_through_pickle_with_an_open_file(text_set, planted):
    planted.write(text_set, planted.record("a"))
    text_set.read("a")
    copy = pickle.loads(pickle.dumps(text_set))  # noqa: S301
    np.testing.assert_array_equal(copy.read("a")["words"], planted.arrays("text")["words"])


def test_the_fingerprint_follows_settings_and_nothing_else():
    base = FeatureSetSpec("audio", "hubert", {"encoder": {"weights": "x"}, "alignment": "a"}, {"hub": "one"})
    renamed = FeatureSetSpec("audio", "my-copy", {"alignment": "a", "encoder": {"weights": "x"}}, {"hub": "two"})
    realigned = FeatureSetSpec("audio", "hubert", {"encoder": {"weights": "x"}, "alignment": "b"})
    assert base.fingerprint == renamed.fingerprint
    assert base.fingerprint != realigned.fingerprint
    assert base.encoder_fingerprint == realigned.encoder_fingerprint
    # Part of the format: it must not drift with Python or this package.
    assert base.fingerprint.startswith("03fd8913523e")
    with pytest.raises(ValueError):
        FeatureSetSpec("audio", "hubert", {"x": float("nan")}).fingerprint  # noqa: B018


def test_an_edited_description_is_noticed(text_set):
    file = text_set.path / SPEC_FILE
    file.write_text(file.read_text().replace('"t"', '"other"'))
    with pytest.raises(CacheError, match="was edited"):
        FeatureSet(text_set.path)


def test_two_writers_share_a_feature_set(cache, text_set, planted):
    other = create_feature_set(cache["demo"].path if cache.datasets() else text_set.path.parent, planted.specs["text"])
    with FeatureWriter(text_set, "link") as one, FeatureWriter(other, "rename") as two:
        one.add(planted.record("a"))
        one.add(planted.record("b"))
        two.add(planted.record("b"))
        two.add(planted.record("c"))
    assert sorted(FeatureSet(text_set.path).entries()) == ["a", "b", "c"]
