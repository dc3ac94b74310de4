"""gc, rm, diff, failures, verify, repair and info, through the API and at the command line."""

import json
import os
import time

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    CacheError,
    FeatureSet,
    FeatureSetSpec,
    RunLog,
    SelectionError,
    create_feature_set,
    source_digest,
    upkeep,
    write_labels,
)
from sadgr.cache.failures import failures, standings
from sadgr.cache.settings_diff import differences
from sadgr.cache.upkeep import leftovers, remove, remove_feature_set, repair
from tests.cache.tools import flip, logical, place_of_data, run

HOUR = 3600


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
    reader.read("a")
    untouched.entries()
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
