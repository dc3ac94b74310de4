"""Merging one cache into another."""

import shutil

import numpy as np
import pytest

from sadgr.cache import (
    FeatureCache,
    RunLog,
    ShardInvalidError,
    create_feature_set,
    read_labels,
    write_labels,
)
from sadgr.cache.merge import merge
from sadgr.cache.upkeep import verify
from tests.cache.tools import flip, labels, run


@pytest.fixture
def other(tmp_path, planted):
    """A second lab's cache: c corrected, d new, audio as well, and a log."""
    lab = FeatureCache.create(tmp_path / "other")
    there = lab.create_dataset("demo")
    write_labels(there.path, labels("cd", label=[2.0, 3.5], note=["theirs", "new"]))
    planted.write(create_feature_set(there.path, planted.specs["text"]), planted.record("c", seed=7))
    planted.write(create_feature_set(there.path, planted.specs["text"]), planted.record("d", seed=8))
    planted.write(create_feature_set(there.path, planted.specs["audio"]), planted.record("d", "audio"))
    with RunLog(lab.path, {}) as log:
        log.clip("demo", "d", "done", "text")
    return lab


def test_merging_brings_everything_once(written, cache, other, planted):
    before = {path: path.read_bytes() for path in other.path.rglob("*") if path.is_file()}
    done = merge(cache, other, "link")
    assert done.shards == 3 and done.bytes > 0
    text = cache["demo"].feature_set("text")
    assert sorted(text.entries()) == ["a", "absent", "b", "c", "d"]
    np.testing.assert_array_equal(text.read("c")["words"], planted.arrays("text", seed=7)["words"])  # the later one
    np.testing.assert_array_equal(text.read("a")["words"], planted.arrays("text", seed=2)["words"])
    assert "d" in cache["demo"].feature_set("audio").entries()
    assert sorted(path.name for path in (cache.path / "runs").iterdir()) == [
        path.name for path in (other.path / "runs").iterdir()
    ]
    whole = {path: path.read_bytes() for path in cache.path.rglob("*") if path.is_file()}
    again = merge(cache, other, "link")
    assert (again.shards, again.bytes) == (0, 0)
    assert whole == {path: path.read_bytes() for path in cache.path.rglob("*") if path.is_file()}
    assert before == {path: path.read_bytes() for path in other.path.rglob("*") if path.is_file()}


def test_labels_of_the_target_are_kept_and_new_rows_added(written, cache, other):
    write_labels(cache["demo"].path, labels("abc", label=[1.0, 2.0, -1.0]))
    done = merge(cache, other, "link")
    assert done.kept_labels == ["c"]
    table = read_labels(cache["demo"].path)
    assert sorted(table.index) == ["a", "b", "c", "d"]
    assert table.loc["c", "label"] == -1.0 and table.loc["d", "label"] == 3.5 and table.loc["d", "note"] == "new"


def test_a_label_that_is_one_here_and_one_point_nought_there_is_the_same(written, cache, other):
    (cache["demo"].path / "labels.csv").write_text("id,mode,text,label\na,train,x,1\nc,train,so it goes,2\n")
    assert merge(cache, other, "link").kept_labels == []


def test_merging_a_selection_at_the_command_line(tmp_path, other, planted):
    (tmp_path / "fresh").mkdir()
    result = run("merge", tmp_path / "fresh", other.path, "--select", "demo/audio-*")
    assert result.exit_code == 0 and "1 shards" in result.output
    fresh = FeatureCache(tmp_path / "fresh")
    assert [one.modality for one in fresh["demo"].feature_sets()] == ["audio"]
    assert sorted(fresh["demo"].labels().index) == ["c", "d"]
    nothing = run("merge", tmp_path / "fresh", other.path, "--select", "mosi/*")
    assert nothing.exit_code == 0 and "0 shards" in nothing.output
    write_labels(fresh["demo"].path, labels("c", label=9.0))
    told = run("merge", tmp_path / "fresh", other.path, "--select", "demo/text-*", "--select", "demo/words-*")
    assert "labels of 1 clips differ" in told.output and "(c)" in told.output
    assert {one.modality for one in fresh["demo"].feature_sets()} == {"audio", "text"}
    assert run("merge", tmp_path / "fresh", tmp_path / "fresh" / "demo").exit_code == 2  # no cache


@pytest.mark.parametrize("harm", ["flipped", "truncated", "another feature set's"])
def test_a_damaged_shard_of_the_other_cache_is_refused(written, cache, other, harm):
    bad = other["demo"].feature_set("text").shards()[-1]
    if harm == "flipped":
        flip(bad, bad.stat().st_size // 2)
    elif harm == "truncated":
        bad.write_bytes(bad.read_bytes()[:-1])
    else:
        shutil.copy(other["demo"].feature_set("audio").shards()[0], bad)
    with pytest.raises(ShardInvalidError, match=bad.name):
        merge(cache, other, "link")
    assert not (written.path / bad.name).exists()
    result = run("merge", cache.path, other.path)
    assert result.exit_code == 2 and bad.name in result.output
    assert not [one for one in verify(cache) if one.fault]
