"""The file of all vectors beside the shards: derived, never believed where it is not what the shards say."""

import os

import numpy as np
import pytest

from sadgr.cache import ClipRecord, FeatureSet, FeatureWriter, feature_set, flat_file, source_digest

FLAT = ".vectors-mean"
SOURCE = source_digest(text="a")
CLIPS = 40


@pytest.fixture
def means(text_set, monkeypatch):
    """A feature set of 40 means in several shards, large enough for such a file."""
    monkeypatch.setattr(feature_set, "INDEXED_FROM_CLIPS", CLIPS)
    rng = np.random.default_rng(0)
    for start in range(0, CLIPS, 10):
        with FeatureWriter(text_set, "link") as writer:
            for number in range(start, start + 10):
                clip_id = f"{(number * 7) % CLIPS:02d}\n"  # ids hold whatever a file's name may
                writer.add(ClipRecord(clip_id, SOURCE, {"mean": rng.normal(size=5)}))
    return text_set


def same(found, expected):
    assert found[0] == expected[0] == sorted(expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_it_holds_what_the_shards_hold_and_is_mapped(means):
    expected = FeatureSet(means.path).vectors("mean", np.float16)
    assert (means.path / FLAT).exists() and not isinstance(expected[1], np.memmap)
    found = FeatureSet(means.path).vectors("mean", np.float16)
    assert isinstance(found[1], np.memmap) and not found[1].flags.writeable
    same(found, expected)
    widened = FeatureSet(means.path).vectors("mean")[1]
    assert widened.dtype == np.float32 and widened.flags.writeable
    for clip_id, row in zip(*found, strict=True):
        np.testing.assert_array_equal(row, means.read(clip_id)["mean"])


def test_what_is_written_later_is_seen_at_once(means):
    means.vectors("mean")
    with FeatureWriter(means, "link") as writer:
        writer.add(ClipRecord("zz", SOURCE, {"mean": np.ones(5)}))
        writer.add(ClipRecord("00\n", source_digest(text="b"), {"mean": np.full(5, 2.0)}))
    for reader in (means, FeatureSet(means.path)):
        ids, vectors = reader.vectors("mean")
        assert len(ids) == CLIPS + 1 and ids[-1] == "zz"
        assert vectors[-1].tolist() == [1] * 5 and vectors[ids.index("00\n")].tolist() == [2] * 5


def test_every_flipped_bit_and_every_cut_is_seen(means):
    expected = FeatureSet(means.path).vectors("mean", np.float16)
    path = means.path / FLAT
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    data = 4096
    places = [*rng.integers(0, content.index(b"\n"), 40), *rng.integers(data, len(content), 100), len(content) - 1]
    listed = content.index(b"\n") + 1
    places += rng.integers(listed, listed + len(content[listed:data].rstrip(b"\0")), 40).tolist()
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        found = flat_file.load(means.path, "mean", [shard.name for shard in means.shards()])
        if found is not None:  # a bit of the JSON that says the same, such as a blank
            same(found, expected)
            assert place < listed
    for length in (0, 1, listed, data - 1, data + 3, len(content) - 1):
        path.write_bytes(content[:length])
        assert flat_file.load(means.path, "mean", [shard.name for shard in means.shards()]) is None
        same(FeatureSet(means.path).vectors("mean", np.float16), expected)
    assert path.read_bytes() == content  # written anew, the same


def test_who_may_not_write_reads_all_the_same(means, monkeypatch):
    def refuse(*_):
        raise feature_set.NotWritableError("read-only")

    monkeypatch.setattr(flat_file, "save", refuse)
    assert len(means.vectors("mean")[0]) == CLIPS
    assert not (means.path / FLAT).exists()


def test_a_small_feature_set_needs_none(text_set, planted):
    planted.write(text_set, planted.record("a"))
    assert text_set.vectors("mean")[0] == ["a"]
    assert not os.path.lexists(text_set.path / FLAT)
