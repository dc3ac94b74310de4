"""Compaction: nothing is lost, whoever reads, writes, compacts or dies meanwhile."""

from pathlib import Path

import numpy as np
import pytest

from sadgr.cache import (
    CacheError,
    FeatureSet,
    FeatureWriter,
    create_feature_set,
    source_digest,
)
from sadgr.cache import compact as compacting
from sadgr.cache import writer as writing
from sadgr.cache.compact import compact
from sadgr.cache.publish import next_stem, publish, shard_names
from tests.cache.tools import flip, ids_in, logical, place_of_data, run


def test_compacting_drops_what_is_superseded_and_nothing_else(written):
    before, parts, said = logical(written), shard_names(written.path), []
    done = compact(written, "link", said.append)
    assert (done.shards_before, done.shards_after) == (4, 1) and done.bytes_after < done.bytes_before
    assert logical(written) == before and sorted(ids_in(written)) == ["a", "absent", "b", "c"]
    (merged,) = shard_names(written.path)
    assert max(parts) < merged < next_stem([merged]) and merged in said[0]
    again = compact(FeatureSet(written.path), "link")
    assert shard_names(written.path) == [merged] and again.bytes_before == again.bytes_after
    assert sorted(path.name for path in written.path.iterdir()) == sorted([merged, "featureset.json"])


def test_a_reader_goes_on_while_shards_are_compacted_under_its_hands(written, planted):
    reader, snapshot = FeatureSet(written.path), FeatureSet(written.path).entries()
    reader.read("a")
    compact(written, "link")
    for clip, seed in {"a": 2, "c": 4}.items():
        np.testing.assert_array_equal(reader.read(clip)["words"], planted.arrays("text", seed=seed)["words"])
    assert reader.vectors("mean")[0] == ["a", "b", "c"]
    assert sorted(snapshot) == ["a", "absent", "b", "c"]


def test_what_a_reader_has_looked_at_it_reads_even_if_it_is_taken_away(written, planted, monkeypatch):
    take_in = FeatureSet._take_in

    def taken_away(self, *looked_at):
        entries = take_in(self, *looked_at)
        for path in self.shards():
            path.unlink()
        return entries

    monkeypatch.setattr(FeatureSet, "_take_in", taken_away)
    np.testing.assert_array_equal(FeatureSet(written.path).read("a")["words"], planted.arrays("text", seed=2)["words"])


def test_who_only_looks_keeps_no_shard_open(written):
    looked = FeatureSet(written.path)

    def files() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = files()
    looked.entries()
    looked.missing({"a": source_digest()})
    assert files() == before
    looked.read("a")
    assert files() > before


def test_a_record_written_during_a_compaction_wins(written, planted, monkeypatch):
    def meanwhile(*arguments):
        planted.write(FeatureSet(written.path), planted.record("a", seed=9))
        publish(*arguments)

    monkeypatch.setattr(compacting, "publish", meanwhile)
    compact(written, "link")
    np.testing.assert_array_equal(FeatureSet(written.path).read("a")["words"], planted.arrays("text", seed=9)["words"])


def test_a_record_named_before_a_compaction_and_published_after_it_wins(written, planted, monkeypatch):
    """A writer has chosen its shard's name and still syncs the file, while another publishes and a third compacts."""

    def slowly(*arguments):
        monkeypatch.setattr(writing, "publish", publish)
        planted.write(FeatureSet(written.path), planted.record("other"))
        compact(FeatureSet(written.path), "link")
        publish(*arguments)

    monkeypatch.setattr(writing, "publish", slowly)
    planted.write(written, planted.record("a", seed=9, version="3"))
    assert FeatureSet(written.path).missing({"a": source_digest(transcript="3")}) == []
    np.testing.assert_array_equal(FeatureSet(written.path).read("a")["words"], planted.arrays("text", seed=9)["words"])


def test_a_record_named_before_and_published_during_a_compaction_wins(written, planted, monkeypatch):
    """Its writer looks before the merged shard is there, and the compaction looked before the writer's was."""
    held = []
    monkeypatch.setattr(writing, "publish", lambda *arguments: held.append(arguments))
    planted.write(written, planted.record("a", seed=9, version="3"))
    monkeypatch.setattr(writing, "publish", publish)
    planted.write(FeatureSet(written.path), planted.record("other"))

    def meanwhile(*arguments):
        publish(*held.pop())
        publish(*arguments)

    monkeypatch.setattr(compacting, "publish", meanwhile)
    compact(FeatureSet(written.path), "link")
    assert not held
    assert FeatureSet(written.path).missing({"a": source_digest(transcript="3")}) == []
    assert sorted(FeatureSet(written.path).entries()) == ["a", "absent", "b", "c", "other"]


@pytest.mark.parametrize("method", ["link", "rename"])
def test_a_shard_that_is_compacted_as_soon_as_it_is_published_is_no_error(written, planted, monkeypatch, method):
    """A merged shard then sorts after it, but it need not, and cannot, be given another name: it is gone."""

    def overtaken(*arguments):
        monkeypatch.setattr(writing, "publish", publish)
        publish(*arguments)
        planted.write(FeatureSet(written.path), planted.record("other"))
        compact(FeatureSet(written.path), "link")

    monkeypatch.setattr(writing, "publish", overtaken)
    with FeatureWriter(written, method) as writer:
        writer.add(planted.record("a", seed=9, version="3"))
    assert FeatureSet(written.path).missing({"a": source_digest(transcript="3")}) == []
    assert sorted(FeatureSet(written.path).entries()) == ["a", "absent", "b", "c", "other"]


def test_two_compactions_at_once_lose_nothing_and_neither_fails(written, monkeypatch):
    before = logical(written)

    def meanwhile(*arguments):
        monkeypatch.setattr(compacting, "publish", publish)
        publish(*arguments)
        compact(FeatureSet(written.path), "link")

    monkeypatch.setattr(compacting, "publish", meanwhile)
    compact(written, "link")
    assert logical(written) == before


@pytest.mark.parametrize("step", ["publish", "check_content"])
def test_a_compaction_that_is_killed_loses_nothing(written, monkeypatch, step):
    def killed(*_):
        raise KeyboardInterrupt

    before, parts = logical(written), shard_names(written.path)
    monkeypatch.setattr(compacting, step, killed)
    with pytest.raises(KeyboardInterrupt):
        compact(written, "link")
    monkeypatch.undo()
    assert set(parts) <= set(shard_names(written.path)) and logical(written) == before
    compact(FeatureSet(written.path), "link")
    assert logical(written) == before and len(shard_names(written.path)) == 1


def test_large_shards_are_left_alone(text_set, planted, monkeypatch):
    monkeypatch.setattr(compacting, "LARGE_CLIPS", 4)
    for clips in ("ab", "c", "d", "ef", "g"):
        planted.write(text_set, *(planted.record(clip) for clip in clips))
    before, names = logical(text_set), shard_names(text_set.path)
    compact(text_set, "link")
    now = shard_names(text_set.path)
    assert len(now) == 4 and {names[0], names[3], names[4]} <= set(now) and logical(text_set) == before
    monkeypatch.setattr(compacting, "LARGE_CLIPS", 1 << 16)
    monkeypatch.setattr(compacting, "LARGE_BYTES", 1)
    compact(FeatureSet(text_set.path), "link")
    assert shard_names(text_set.path) == now


def test_a_large_shard_whose_records_were_superseded_is_not_kept_for_ever(text_set, planted, monkeypatch):
    planted.write(text_set, *(planted.record(clip, seed=1) for clip in "abcd"))
    (old,) = text_set.shards()
    monkeypatch.setattr(compacting, "LARGE_BYTES", old.stat().st_size)
    planted.write(text_set, *(planted.record(clip, seed=2) for clip in "abcd"))
    compact(text_set, "link")
    assert sorted(ids_in(text_set)) == ["a", "b", "c", "d"]


def test_names_do_not_grow_with_every_compaction(text_set, planted):
    """A colleague's older shards are merged in time and again: each compaction ends with the same newest part."""
    planted.write(text_set, planted.record("z"))
    newest = text_set.shards()[0].name
    for number in range(30):
        planted.write(text_set, planted.record(f"clip{number}"))
        late = text_set.shards()[-1]
        late.rename(late.with_name(f"20000101T000000.{number:06}Z-{late.name.split('-', 1)[1]}"))
        compact(FeatureSet(text_set.path), "link")
    assert len(FeatureSet(text_set.path).entries()) == 31
    assert all(len(name) <= len(newest) + 16 for name in shard_names(text_set.path))


@pytest.mark.parametrize("harm", ["truncated", "flipped", "flipped and indexed", "truncated and indexed"])
def test_compacting_refuses_damaged_shards_and_takes_nothing_away(written, planted, harm):
    if "indexed" in harm:
        FeatureSet(written.path).entries().index.save(written.path)
    newest = written.shards()[-1]
    if "truncated" in harm:
        newest.write_bytes(newest.read_bytes()[:-100])
    else:
        flip(newest, place_of_data(newest, planted.record("c", seed=4, version="2")))
    names = shard_names(written.path)
    with pytest.raises(CacheError, match=newest.name):
        compact(FeatureSet(written.path), "link")
    assert shard_names(written.path) == names
    result = run("compact", written.path.parents[1])
    assert result.exit_code == 2 and newest.name in result.output
    assert shard_names(written.path) == names


def test_compacting_at_the_command_line(written, data, planted):
    planted.write(create_feature_set(data.path, planted.specs["audio"]), planted.record("a", "audio"))
    before = logical(written)
    assert run("compact", data.path.parent, "--dataset", "nobody").exit_code == 2
    result = run("compact", data.path.parent, "--dataset", "demo")
    assert result.exit_code == 0 and f"demo/{written.name}: 4 shards" in result.output
    assert "-> 1 shards" in result.output and logical(written) == before
