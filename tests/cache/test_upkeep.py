"""compact, gc, merge, rm, diff, failures, verify and repair, through the API and at the command line; and the index."""

import hashlib
import json
import os
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from sadgr.cache import (
    CacheError,
    ClipRecord,
    FeatureCache,
    FeatureSet,
    FeatureSetSpec,
    FeatureWriter,
    RunLog,
    SelectionError,
    ShardInvalidError,
    create_feature_set,
    read_labels,
    source_digest,
    upkeep,
    write_labels,
)
from sadgr.cache import compact as compacting
from sadgr.cache import feature_set as feature_sets
from sadgr.cache import index as indexing
from sadgr.cache import writer as writing
from sadgr.cache.cli import main
from sadgr.cache.compact import compact
from sadgr.cache.failures import failures, standings
from sadgr.cache.feature_set import INDEXED_FROM_SHARDS
from sadgr.cache.index import INDEX_FILE, Index, Table, keys_of
from sadgr.cache.merge import merge
from sadgr.cache.publish import next_stem, publish, shard_names
from sadgr.cache.settings_diff import differences
from sadgr.cache.shard_reader import ShardReader
from sadgr.cache.upkeep import leftovers, remove, remove_feature_set, repair, verify

HOUR = 3600


def labels(ids, **columns):
    return pd.DataFrame({"mode": "train", "text": "so it goes", **columns}, index=pd.Index(list(ids), name="id"))


@pytest.fixture
def data(cache, text_set):
    write_labels(text_set.path.parent, labels("abc"))
    return cache["demo"]


def run(*arguments, answer=None):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def logical(feature_set) -> str:
    """SHA-256 over ids, sources, keys, shapes and bytes, whatever the shards."""
    one, digest = FeatureSet(feature_set.path), hashlib.sha256()
    for clip_id in sorted(one.entries()):
        digest.update(f"{clip_id!r} {one.entries()[clip_id].source}".encode())
        for name, array in sorted((one.read(clip_id) or {"absent": np.zeros(0)}).items()):
            digest.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()


def ids_in(feature_set) -> list[str]:
    """Every record's id, superseded ones as well."""
    found = []
    for path in feature_set.shards():
        with ShardReader(path, feature_set.fingerprint, feature_set.modality) as shard:
            found += shard.ids
    return found


def flip(path, place, bit=1):
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


def place_of_data(path, record, name="words"):
    return path.read_bytes().index(record.arrays[name].astype(np.float16).tobytes())


@pytest.fixture
def written(data, text_set, planted):
    """Four shards: a, b and c; then a and an absent clip; then b; then c's transcript was corrected."""
    planted.write(text_set, *(planted.record(clip, seed=1) for clip in "abc"))
    planted.write(text_set, planted.record("a", seed=2), ClipRecord("absent", source_digest(), None))
    planted.write(text_set, planted.record("b", seed=3, words=0))
    planted.write(text_set, planted.record("c", seed=4, version="2"))
    return text_set


# compact


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


# gc


def old(path, hours):
    then = time.time() - hours * HOUR
    os.utime(path, (then, then), follow_symlinks=False)


def test_gc_removes_old_leftovers_and_touches_nothing_else(written, cache):
    folder = cache.path / "demo" / ".tmp-folder"
    folder.mkdir()
    (folder / ".tmp-inner").write_text("x")
    shard, young, link = written.path / ".tmp-shard", written.path / ".tmp-young", written.path / ".tmp-link"
    shard.write_text("half")
    young.write_text("at work")
    link.symlink_to(cache.path / "sadgr-cache.json")
    for path in (folder / ".tmp-inner", folder, shard, link):
        old(path, 25)
    before, kept = logical(written), {path for path in cache.path.rglob("*") if ".tmp-" not in str(path)}
    said = run("gc", cache.path, "--dry-run")
    assert said.exit_code == 0 and said.output.count("would remove") == 4 and folder.exists() and shard.exists()
    assert set(leftovers(cache)) == {folder, folder / ".tmp-inner", shard, link}
    done = run("gc", cache.path)
    assert done.exit_code == 0 and "4 leftovers" in done.output and "would" not in done.output
    assert {path for path in cache.path.rglob("*") if path != young} == kept and young.exists()
    assert logical(written) == before
    assert run("gc", cache.path, "--older-than", "0").exit_code == 0 and not young.exists()
    remove(young)  # gone already: another gc was here


# merge


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


# rm


def test_rm_asks_first(written, data):
    root, name = data.path.parent, written.name
    kept = run("rm", root, name, answer="n\n")
    assert kept.exit_code == 0 and "4 clips" in kept.output and "kept" in kept.output and written.path.exists()
    assert run("rm", root, name, answer="").exit_code == 1 and written.path.exists()  # nobody there to answer
    assert run("rm", root, "gpt", "--yes").exit_code == 2
    gone = run("rm", root, written.fingerprint[:9], answer="y\n")
    assert gone.exit_code == 0 and "removed" in gone.output
    assert [path.name for path in data.path.iterdir()] == ["labels.csv"]


def test_rm_does_not_ask_where_it_was_told_yes_and_readers_are_told_clearly(written, data, planted):
    reader, untouched = FeatureSet(written.path), FeatureSet(written.path)
    reader.entries()
    assert run("rm", data.path.parent, written.name, "--yes").exit_code == 0
    np.testing.assert_array_equal(reader.read("a")["words"], planted.arrays("text", seed=2)["words"])  # still open
    with pytest.raises(SelectionError):
        untouched.read("a")
    with pytest.raises(SelectionError):
        untouched.vectors("mean")
    with pytest.raises(CacheError):
        FeatureSet(written.path)


def test_a_removal_that_was_killed_leaves_no_feature_set(written, data, cache, monkeypatch):
    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(upkeep.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_feature_set(written)
    monkeypatch.undo()
    assert data.feature_sets() == []
    (aside,) = data.path.glob(".tmp-*")
    old(aside, 30)
    run("gc", cache.path)
    assert not aside.exists()


# diff


def test_diff_says_in_words_what_differs(data, planted):
    old_spec = FeatureSetSpec("text", "bert", {"layer": 7, "encoder": {"weights": "x", "gone": True}}, {"hub": "one"})
    new_spec = FeatureSetSpec("text", "bert", {"layer": 8, "encoder": {"weights": "x", "dtype": "f2"}}, {"hub": "one"})
    one, two = (create_feature_set(data.path, spec) for spec in (old_spec, new_spec))
    result = run("diff", data.path.parent, one.name, two.fingerprint[:10])
    assert result.exit_code == 0
    assert sorted(result.output.splitlines()) == [
        "encoder.dtype: absent, now f2",
        "encoder.gone: True, now absent",
        "layer: 7, now 8",
    ]
    assert "do not differ" in run("diff", data.path.parent, one.name, one.name).output
    assert run("diff", data.path.parent, one.name, "nobody").exit_code == 2


def test_differences_of_all_kinds():
    assert differences({"a": 1}, {"a": 1}) == []
    assert differences({"a": {"b": [1]}}, {"a": {"b": [2]}}) == ["a.b: [1], now [2]"]
    assert differences({"a": {"b": 1}}, {"a": 3}) == ["a: {'b': 1}, now 3"]
    assert len(differences({"a": "x" * 500}, {})[0]) < 120
    assert differences({"a": None}, {}) == []


# failures


def test_failures_tell_the_latest_state_of_each_clip_over_all_runs(cache, data):
    with RunLog(cache.path, {"source": "x"}) as log:
        log.clip("demo", "a", "failed", "audio", "no sound")
        log.clip("demo", "b", "failed", "audio", "cut short")
        log.clip("demo", "b", "done", "text")
        log.clip("mosi", "a", "failed", "text", "empty")
    with RunLog(cache.path, {"source": "x"}) as log:
        log.clip("demo", "a", "done", "audio")
        log.clip("demo", "c", "flagged", "words", "even spacing")
        log.clip("demo", "d", "absent", "video", "no picture")
    with log.path.open("a") as file:
        file.write('{"dataset": "demo", "clip": "b", "state": "do')  # the run was killed
    found = [(one.dataset, one.clip, one.stage, one.state, one.reason) for one in failures(cache)]
    assert found == [
        ("demo", "b", "audio", "failed", "cut short"),
        ("demo", "c", "words", "flagged", "even spacing"),
        ("demo", "d", "video", "absent", "no picture"),
        ("mosi", "a", "text", "failed", "empty"),
    ]
    assert failures(cache)[1].run == log.path.stem
    shown = run("failures", cache.path, "--dataset", "demo")
    assert shown.exit_code == 0 and "demo  b: failed: audio: cut short" in shown.output and "mosi" not in shown.output
    told = json.loads(run("failures", cache.path, "--json").output)["clips"]
    assert [one["clip"] for one in told] == ["b", "c", "d", "a"] and told[0]["reason"] == "cut short"


def test_how_far_a_feature_set_is_done_failed_by_reason_and_left(cache, data, written):
    """`written` holds a, b and c, and knows that `absent` lacks the modality."""
    ids = ["a", "b", "c", "absent", *(f"bad{number}" for number in range(3)), "left"]
    write_labels(data.path, pd.DataFrame({"text": ""}, index=pd.Index(ids, name="id")))
    with RunLog(cache.path, {"feature_sets": {"text": {"name": written.name}}}) as log:
        log.clip("demo", "a", "flagged", "text", "even spacing")
        log.clip("demo", "bad0", "failed", "text", "/data/x y/0.mp4: truncated: it ends at 3.25 s")
        log.clip("demo", "bad1", "failed", "text", "/data/1.mp4: truncated: it ends at 17 s")
        log.clip("demo", "bad2", "failed", "text", "the transcript is odd")
    (found,) = standings(data, failures(cache))
    assert (found.done, found.absent, found.flagged, found.left) == (3, 1, 1, 1)
    assert found.failed == {"truncated: it ends at N s": ["bad0", "bad1"], "the transcript is odd": ["bad2"]}
    shown = run("failures", cache.path).output
    assert (
        "3 done (1 flagged), 1 absent, 3 failed, 1 left" in shown and "  2 failed: truncated: it ends at N s" in shown
    )
    told = json.loads(run("failures", cache.path, "--json").output)["feature_sets"]
    assert told[0]["done"] == 3 and told[0]["failed"]["the transcript is odd"] == ["bad2"]


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x1c", "\n", '"', "\\"])
def test_a_reason_with_any_mark_in_it_is_still_a_reason(cache, data, mark):
    with RunLog(cache.path, {}) as log:
        log.clip("demo", f"a{mark}b", "failed", "text", f"odd{mark}text")
    assert [(one.clip, one.reason) for one in failures(cache)] == [(f"a{mark}b", f"odd{mark}text")]


def test_nothing_failed(cache, data):
    assert failures(cache) == [] and "nothing failed" in run("failures", cache.path).output
    assert json.loads(run("failures", cache.path, "--json").output)["clips"] == []


# verify and repair


def test_verify_and_repair_at_the_command_line(written, cache, planted):
    whole = run("verify", cache.path)
    assert whole.exit_code == 0 and "4 shards read, 0 faulty" in whole.output and "shards: 4/4" in whole.output
    assert "every shard is whole" in run("repair", cache.path).output
    newest = written.shards()[-1]
    flip(newest, place_of_data(newest, planted.record("c", seed=4, version="2")))
    where = f"demo/{written.name}/{newest.name}"
    found = run("verify", cache.path, "--workers", "1")
    assert found.exit_code == 3 and f"{where}: " in found.output and "4 shards read, 1 faulty" in found.output
    raw = run("verify", cache.path, "--json")
    told = json.loads(raw.stdout if hasattr(raw, "stdout") else raw.output)
    assert raw.exit_code == 3 and told["shards"] == 4 and [one["shard"] for one in told["faulty"]] == [where]
    assert told["bytes"] == sum(path.stat().st_size for path in written.shards()) and told["faulty"][0]["fault"]
    moved = run("repair", cache.path)
    assert moved.exit_code == 0 and where in moved.output and "1 damaged shards moved" in moved.output
    assert [path.name for path in (written.path / "quarantine").iterdir()] == [newest.name]
    assert run("verify", cache.path).exit_code == 0
    one = FeatureSet(written.path)
    assert one.missing({"c": source_digest(transcript="2"), "a": source_digest(transcript="1")}) == ["c"]
    np.testing.assert_array_equal(one.read("c")["words"], planted.arrays("text", seed=1)["words"])


def test_repair_never_deletes_what_it_moved_before(written, cache):
    oldest = written.shards()[0]
    whole = oldest.read_bytes()
    for harm in (b"first", b"second"):
        oldest.write_bytes(harm)
        assert len(repair(cache)) == 1
        assert not oldest.exists()
    assert {path.read_bytes() for path in (written.path / "quarantine").iterdir()} == {b"first", b"second"}
    oldest.write_bytes(whole)
    assert repair(cache) == []


def test_info_survives_a_shard_that_vanishes(written, cache, monkeypatch):
    shards = FeatureSet.shards
    monkeypatch.setattr(FeatureSet, "shards", lambda self: [*shards(self), self.path / "compacted-away.h5"])
    assert run("info", cache.path, "--json").exit_code == 0


# the index


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
