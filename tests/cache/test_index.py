"""The index of a feature set's shards, and what a feature set says it holds."""

import numpy as np
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureSet,
    source_digest,
)
from sadgr.cache import feature_set as feature_sets
from sadgr.cache import index as indexing
from sadgr.cache.feature_set import INDEXED_FROM_SHARDS
from sadgr.cache.index import INDEX_FILE, Index, Table, keys_of


def entries_of(feature_set):
    found = feature_set.entries()
    return {clip_id: found[clip_id] for clip_id in found}


@pytest.fixture
def many(text_set, planted):
    for number in range(INDEXED_FROM_SHARDS):
        planted.write(text_set, planted.record(f"clip{number}", seed=number), planted.record("always", seed=number))
    return text_set


def test_the_index_is_written_from_so_many_shards_on_and_says_what_the_shards_say(many, planted):
    FeatureSet(many.path).entries()
    assert (many.path / INDEX_FILE).exists()
    stored = entries_of(FeatureSet(many.path))
    (many.path / INDEX_FILE).unlink()
    few = FeatureSet(many.path)
    assert stored == entries_of(few) and len(stored) == INDEXED_FROM_SHARDS + 1
    assert (many.path / INDEX_FILE).exists()
    planted.write(many, planted.record("late"))
    before = (many.path / INDEX_FILE).read_bytes()
    assert "late" in FeatureSet(many.path).entries() and (many.path / INDEX_FILE).read_bytes() == before


def test_with_a_warm_index_no_shard_is_opened(many, monkeypatch):
    wanted = {f"clip{number}": source_digest(transcript="1") for number in range(40)}
    expected = FeatureSet(many.path).missing(wanted)
    assert len(expected) == 40 - INDEXED_FROM_SHARDS
    monkeypatch.setattr(feature_sets, "ShardReader", None)
    assert FeatureSet(many.path).missing(wanted) == expected


def test_fewer_shards_make_no_index(text_set, planted):
    for number in range(INDEXED_FROM_SHARDS - 1):
        planted.write(text_set, planted.record(f"clip{number}", words=1))
    assert len(FeatureSet(text_set.path).entries()) == INDEXED_FROM_SHARDS - 1
    assert not (text_set.path / INDEX_FILE).exists()


def test_the_index_is_not_believed_about_shards_that_vanished(many, planted):
    reader = FeatureSet(many.path)
    reader.entries()
    many.shards()[-1].unlink()
    last = INDEXED_FROM_SHARDS - 1
    for one in (reader, FeatureSet(many.path)):
        found = one.entries()
        assert f"clip{last}" not in found and len(found) == INDEXED_FROM_SHARDS
        np.testing.assert_array_equal(one.read("always")["words"], planted.arrays("text", seed=last - 1)["words"])


def test_entries_are_a_mapping(written):
    found = written.entries()
    assert set(found) == {"a", "b", "c", "absent"} and len(found) == 4 and found.present_count() == 3
    assert "a" in found and "nobody" not in found and found.get("nobody") is None
    for nonsense in ("", "a\0", "\ud800"):
        assert nonsense not in found and found.get(nonsense) is None
    with pytest.raises(KeyError, match="nobody"):
        found["nobody"]
    assert found["c"].source == source_digest(transcript="2") and found["c"].shard == written.shards()[-1].name
    assert not found["absent"].present and dict(found.items()).keys() == set(found)


def test_entries_of_nothing(text_set):
    found = text_set.entries()
    assert len(found) == 0 and list(found) == [] and dict(found) == {} and text_set.missing({}) == []
    assert text_set.missing({"a": source_digest()}) == ["a"]
    empty = Index.empty()
    assert len(empty) == 0 and empty.find(keys_of(["a"])).tolist() == [-1] and empty.find(keys_of([])).tolist() == []


def test_ids_in_another_unicode_form_are_the_same_clip(text_set, planted):
    planted.write(text_set, planted.record("café"))
    assert "cafe\u0301" in text_set.entries() and text_set.read("cafe\u0301") is not None
    assert text_set.missing({"café": source_digest(transcript="1")}) == []


def test_ids_that_share_64_bits_of_their_key_are_kept_apart(text_set, planted, monkeypatch):
    def colliding(ids):
        keys = keys_of(ids)
        keys[:, 0] %= np.uint64(3)
        return keys

    monkeypatch.setattr(indexing, "keys_of", colliding)
    monkeypatch.setattr(feature_sets, "keys_of", colliding)
    ids = [f"clip{number}" for number in range(40)]
    for part in (ids[:15], ids[10:25], ids[25:38]):
        planted.write(text_set, *(planted.record(clip, words=1, seed=int(clip[4:])) for clip in part))
    assert text_set.missing(dict.fromkeys(ids, source_digest(transcript="1"))) == ids[38:]
    assert sorted(text_set.entries()) == sorted(ids[:38])
    for clip in ids[:38]:
        expected = planted.arrays("text", 1, int(clip[4:]))["words"]
        np.testing.assert_array_equal(text_set.read(clip)["words"], expected)


def test_random_writings_against_a_dict(text_set, planted):
    """10,000 clips, a third written again, some absent, from time to time looked at: the mapping says what a dict says."""
    rng = np.random.default_rng(7)
    ids = np.array([f"clip{number}" for number in range(10_000)])
    order = rng.permutation(np.concatenate([ids, rng.choice(ids, 3_000)]))
    oracle: dict[str, tuple[str, bool, float]] = {}
    reader = FeatureSet(text_set.path)
    for number, part in enumerate(np.array_split(order, 40)):
        records = {}
        for clip in dict.fromkeys(part.tolist()):
            version, present, value = str(rng.integers(3)), bool(rng.random() < 0.9), float(rng.integers(1000))
            oracle[clip] = (source_digest(transcript=version), present, value)
            arrays = {"mean": np.array([value, 1.0])} if present else None
            records[clip] = ClipRecord(clip, source_digest(transcript=version), arrays)
        planted.write(text_set, *records.values())
        if number % 7 == 0:
            assert len(reader.entries()) == len(oracle)
    wanted = {clip: source_digest(transcript="1") for clip in ids.tolist()}
    for one in (reader, FeatureSet(text_set.path), FeatureSet(text_set.path)):  # kept up to date, built, loaded
        found = one.entries()
        assert {clip: (entry.source, entry.present) for clip, entry in found.items()} == {
            clip: state[:2] for clip, state in oracle.items()
        }
        assert one.missing(wanted) == [clip for clip in wanted if oracle[clip][0] != wanted[clip]]
        assert one.absent(wanted) == [c for c in wanted if oracle[c][0] == wanted[c] and not oracle[c][1]]
        names, vectors = one.vectors("mean")
        assert dict(zip(names, vectors[:, 0].tolist(), strict=True)) == {c: v for c, (_, p, v) in oracle.items() if p}
    assert (text_set.path / INDEX_FILE).exists()


def test_an_index_grows_to_the_same_whatever_the_order_of_looks():
    rng = np.random.default_rng(3)
    tables, oracle = {}, {}
    for number in range(30):
        clips = [f"c{clip}" for clip in rng.choice(200, 20, replace=False)]
        sources = [source_digest(number=number, clip=clip) for clip in clips]
        present = rng.random(20) < 0.5
        tables[f"{number:03}.h5"] = Table.of(clips, sources, present)
        oracle |= {c: (f"{number:03}.h5", r, sources[r], bool(present[r])) for r, c in enumerate(clips)}
    for _ in range(10):
        names, index = rng.permutation(sorted(tables)).tolist(), Index.empty()
        while names:
            part, names = names[:7], names[7:]
            index = index.with_shards(part, [tables[name] for name in part])
        places = index.find(keys_of(oracle))
        found = [index.entry(int(place)) for place in places]
        assert [(one.shard, one.row, one.source, one.present) for one in found] == list(oracle.values())
        assert len(index) == len(oracle)
