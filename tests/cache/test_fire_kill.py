"""Writers killed with `kill -9` at random moments and at chosen steps, then started again: nothing is lost or half there.

Run as a program, this file is such a writer:

    python test_fire_kill.py FEATURE_SET_FOLDER CLIPS METHOD [STEP COUNT]
"""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import ClipRecord, FeatureSet, FeatureWriter, source_digest, write_labels
from sadgr.cache import publish as publishing
from sadgr.cache import writer as writing
from sadgr.cache.publish import TEMPORARY_PREFIX
from sadgr.cache.upkeep import leftovers, remove, verify

CLIPS = 300
SHARD_CLIPS = 5
"""Small, so that a writer publishes some 100 times a second, and is often killed while it does."""
LONGEST_SECONDS = 0.3
STEPS = ("half written", "before fsync", "before link", "after link", "before rename", "after rename")


def record(number: int) -> ClipRecord:
    """A clip whose numbers follow from its own alone, some with no such modality."""
    source = source_digest(transcript=str(number % 7))
    if number % 11 == 3:
        return ClipRecord(f"clip/{number}", source, None)
    rng = np.random.default_rng(number)
    arrays = {"words": rng.integers(-50, 50, (number % 5, 16)) / 4, "mean": rng.integers(-50, 50, 16) / 4}
    return ClipRecord(f"clip/{number}", source, arrays)


def wanted(clips: int) -> dict[str, str]:
    return {one.clip_id: one.source for one in map(record, range(clips))}


def write_missing(folder: Path, clips: int, method: publishing.Method) -> None:
    writing.SHARD_CLIPS = SHARD_CLIPS
    one = FeatureSet(folder)
    numbers = {record(number).clip_id: number for number in range(clips)}
    with FeatureWriter(one, method) as writer:
        for clip_id in one.missing(wanted(clips)):
            writer.add(record(numbers[clip_id]))


def die_at(step: str, count: int) -> None:
    """Let this process kill itself when it comes to a step of publishing for the `count`-th time."""
    seen = 0

    def dying(function, before: bool):
        def call(*arguments, **options):
            nonlocal seen
            seen += 1
            if before and seen == count:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    @contextmanager
    def halved(target: Path):
        nonlocal seen
        seen += 1
        with whole(target) as (file, temporary):
            if seen == count:
                content = io.BytesIO()
                yield content, temporary
                file.write(content.getvalue()[: len(content.getvalue()) // 2])
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            yield file, temporary

    whole = publishing._temporary
    if step == "half written":
        publishing._temporary = halved
    elif step == "before fsync":
        os.fsync = dying(os.fsync, before=True)
    elif step.endswith("link"):
        os.link = dying(os.link, before=step.startswith("before"))
    else:
        Path.rename = dying(Path.rename, before=step.startswith("before"))  # type: ignore[method-assign]


def contents(folder: Path) -> dict[str, str]:
    """Id -> source, and keys, shapes and bytes of its arrays."""
    one, found = FeatureSet(folder), {}
    entries = one.entries()
    for clip_id in entries if len(entries) else ():
        arrays = one.read(clip_id)
        told = sorted((name, array.shape, array.tobytes()) for name, array in (arrays or {}).items())
        found[clip_id] = f"{entries[clip_id].source} {entries[clip_id].present} {told}"
    return found


def digest(found: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def start(folder: Path, clips: int = CLIPS, method: str = "link", *step: object) -> subprocess.Popen:
    command = [sys.executable, __file__, str(folder), str(clips), method, *map(str, step)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def uninterrupted(cache, text_set, monkeypatch):
    """What a run says that nobody killed."""
    write_labels(text_set.path.parent, pd.DataFrame({"text": "x"}, index=pd.Index(["clip/0"], name="id")))
    monkeypatch.setattr(writing, "SHARD_CLIPS", SHARD_CLIPS)  # what write_missing sets is undone afterwards
    with FeatureWriter(text_set, "link") as writer:
        for number in range(CLIPS):
            writer._records[record(number).clip_id] = record(number)  # one shard, for speed
    expected = contents(text_set.path)
    assert len(expected) == CLIPS
    for shard in text_set.shards():
        shard.unlink()
    (text_set.path / ".index.npz").unlink(missing_ok=True)
    return expected


def check_leftovers(cache) -> None:
    """What killed writers left is nobody's shard, stays while it is young, and goes once it is old."""
    left = list(cache.path.rglob(f"{TEMPORARY_PREFIX}*"))
    assert leftovers(cache) == []
    long_ago = time.time() - 25 * 3600
    for path in left:
        os.utime(path, (long_ago, long_ago))
    assert set(leftovers(cache)) == set(left)
    for path in leftovers(cache):
        remove(path)
    assert not list(cache.path.rglob(f"{TEMPORARY_PREFIX}*"))


def kill_and_resume(cache, folder: Path, expected: dict[str, str], kills: int, seed: int) -> None:
    rng, done, rounds = np.random.default_rng(seed), 0, 0
    while done < kills:
        rounds += 1
        assert rounds < 4 * kills, "writers end before they are killed"
        pair = [start(folder), start(folder)]  # the next one starts while the first works
        for writer in pair:
            assert writer.stdout.readline() == "ready\n", writer.communicate()[1]
            time.sleep(rng.uniform(0, LONGEST_SECONDS))
            writer.kill()
            _, said = writer.communicate()
            assert writer.returncode in (0, -signal.SIGKILL), said
            done += writer.returncode != 0
        now = contents(folder)
        assert all(expected[clip_id] == told for clip_id, told in now.items())
        assert not [checked for checked in verify(cache) if checked.fault]
        if len(now) == CLIPS or done >= kills:
            write_missing(folder, CLIPS, "link")
            assert digest(contents(folder)) == digest(expected)
            check_leftovers(cache)
            assert digest(contents(folder)) == digest(expected)
            for path in folder.iterdir():
                if path.name != "featureset.json":
                    path.unlink()


def test_eight_kills_at_random_moments(cache, text_set, uninterrupted):
    kill_and_resume(cache, text_set.path, uninterrupted, kills=8, seed=1)


@pytest.mark.slow
def test_two_hundred_kills_at_random_moments(cache, text_set, uninterrupted):
    kill_and_resume(cache, text_set.path, uninterrupted, kills=200, seed=2)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_each_step_of_publishing(cache, text_set, uninterrupted, step):
    clips, folder = 40, text_set.path
    method = "rename" if "rename" in step else "link"
    writer = start(folder, clips, method, step, 5 if "fsync" in step else 4)  # folders are synced, too
    _, said = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL, said
    now = contents(folder)
    assert len(now) % SHARD_CLIPS == 0 and 0 < len(now) < clips
    assert all(uninterrupted[clip_id] == told for clip_id, told in now.items())
    assert not [checked for checked in verify(cache) if checked.fault]
    assert len(list(folder.glob(f"{TEMPORARY_PREFIX}*"))) == (step != "after rename")
    missing = FeatureSet(folder).missing(wanted(clips))
    assert missing == [clip_id for clip_id in wanted(clips) if clip_id not in now]
    resumed = start(folder, clips, method)
    assert resumed.wait(timeout=60) == 0
    first = {clip_id: told for clip_id, told in uninterrupted.items() if clip_id in wanted(clips)}
    assert digest(contents(folder)) == digest(first)
    check_leftovers(cache)
    assert digest(contents(folder)) == digest(first)


def test_temporary_files_of_a_dead_host_do_no_harm(cache, text_set, uninterrupted):
    """Whole shards, halves and nonsense under temporary names are nobody's records."""
    folder = text_set.path
    write_missing(folder, 20, "link")
    (first, *_), before = FeatureSet(folder).shards(), contents(folder)
    stem = "20990101T000000.000000Z-dead-1-00000000"
    shutil.copy(first, folder / f"{TEMPORARY_PREFIX}{stem}.h5")
    (folder / f"{TEMPORARY_PREFIX}{stem}").write_bytes(first.read_bytes()[:700])
    (folder / f"{TEMPORARY_PREFIX}{stem}-link").touch()
    (folder.parent / f"{TEMPORARY_PREFIX}labels").write_text("id,te")
    (cache.path / f"{TEMPORARY_PREFIX}probe").touch()
    assert contents(folder) == before and len(list(verify(cache))) == 4
    write_missing(folder, 25, "link")
    assert len(contents(folder)) == 25
    check_leftovers(cache)
    assert len(contents(folder)) == 25


if __name__ == "__main__":
    if len(sys.argv) > 4:
        die_at(sys.argv[4], int(sys.argv[5]))
    print("ready", flush=True)
    write_missing(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])  # type: ignore[arg-type]
