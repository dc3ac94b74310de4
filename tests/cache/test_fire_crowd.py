"""Many writers with overlapping work, readers, and a compaction in a loop, all at once: nobody notices the others.

Run as a program, this file is one of them:

    python test_fire_crowd.py write FEATURE_SET_FOLDER CLIPS SEED VERSION
    python test_fire_crowd.py read | compact FEATURE_SET_FOLDER CLIPS SEED STOP_FILE
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureSet,
    FeatureWriter,
    SelectionError,
    create_feature_set,
    source_digest,
    write_labels,
)
from sadgr.cache import writer as writing
from sadgr.cache.compact import compact
from sadgr.cache.publish import TEMPORARY_PREFIX
from sadgr.cache.shard_reader import ShardReader
from sadgr.cache.summary import describe_feature_set
from sadgr.cache.upkeep import verify

SHARD_CLIPS = 8
WORDS = 4
STAGES = ("1", "2")
"""Transcripts, of which the second corrects the first: its record must count wherever both were written."""


def name_of(number: int) -> str:
    return f"clip/{number:05}"


def record(number: int, version: str) -> ClipRecord:
    """A clip whose numbers follow from its own and its transcript's."""
    source = source_digest(transcript=version)
    if number % 13 == 5:
        return ClipRecord(name_of(number), source, None)
    rng = np.random.default_rng([number, int(version)])
    arrays = {"words": rng.integers(-50, 50, (number % WORDS, 8)) / 4, "mean": rng.integers(-50, 50, 8) / 4}
    return ClipRecord(name_of(number), source, arrays)


def told(arrays) -> dict | None:
    """Arrays as stored, comparable."""
    if arrays is None:
        return None
    return {name: (np.shape(array), np.asarray(array, np.float16).tobytes()) for name, array in arrays.items()}


def share_of(clips: int, seed: int, version: str) -> list[int]:
    """A writer's random three quarters of the clips, in random order."""
    return np.random.default_rng([seed, int(version)]).permutation(clips)[: 3 * clips // 4].tolist()


def write(folder: Path, clips: int, seed: int, version: str) -> None:
    """Do what is missing of one's share, and a fifth of it in any case, as a lab would."""
    writing.SHARD_CLIPS = SHARD_CLIPS
    mine = share_of(clips, seed, version)
    for start_ in range(0, len(mine), 40):
        part, one = mine[start_ : start_ + 40], FeatureSet(folder)
        missing = set(one.missing({name_of(number): source_digest(transcript=version) for number in part}))
        with FeatureWriter(one, "link") as writer:
            for number in part:
                if name_of(number) in missing or number % 5 == 0:
                    writer.add(record(number, version))


def read(folder: Path, clips: int, seed: int, stop: Path) -> None:
    """Read random clips and whole vectors until told to stop; what was there once must not vanish."""
    rng, one, seen, rounds = np.random.default_rng(seed), FeatureSet(folder), set(), 0
    while not stop.exists() or not rounds:
        rounds += 1
        if rng.random() < 0.2:
            one = FeatureSet(folder)
        ids = set(one.entries())
        assert seen <= ids, f"lost {sorted(seen - ids)[:5]}"
        seen |= ids
        for clip_id in rng.choice(sorted(seen), 20).tolist() if seen else ():
            number = int(clip_id.split("/")[1])
            assert told(one.read(clip_id)) in [told(record(number, version).arrays) for version in STAGES], clip_id
        try:
            names, vectors = one.vectors("mean")
        except SelectionError:
            assert all(int(clip_id.split("/")[1]) % 13 == 5 for clip_id in seen)
            continue
        assert names == sorted(set(names)) and {n for n in seen if int(n.split("/")[1]) % 13 != 5} <= set(names)
        for place in rng.integers(0, len(names), 20).tolist():
            expected = [record(int(names[place].split("/")[1]), version).arrays["mean"] for version in STAGES]
            assert any(np.array_equal(vectors[place], mean) for mean in expected), names[place]
        assert not one.invalid, one.invalid
        describe_feature_set(one)
    print(f"{rounds} rounds")


def compact_all_the_time(folder: Path, stop: Path) -> None:
    rounds = 0
    while not stop.exists():
        rounds += 1
        compact(FeatureSet(folder), "link")
    print(f"{rounds} rounds")


def start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def crowd(folder: Path, stop: Path, clips: int, writers: int, readers: int, compactions: int = 1) -> list[str]:
    """Let all of them work at once; gives what those that failed said last."""
    working: list[subprocess.Popen] = []
    looking = [start("read", folder, clips, 100 + seed, stop) for seed in range(readers)]
    looking += [start("compact", folder, clips, seed, stop) for seed in range(compactions)]
    said = []
    try:
        for version in STAGES:  # a correction is known only once the first version is there
            working = [start("write", folder, clips, seed, version) for seed in range(writers)]
            for process in working:
                _, errors = process.communicate(timeout=900)
                said += [errors[-800:]] if process.returncode else []
        stop.touch()
        for process in looking:
            _, errors = process.communicate(timeout=60)
            said += [errors[-800:]] if process.returncode else []
    finally:
        for process in (*working, *looking):
            process.kill()
            process.wait()
    return said


def check(cache, folder: Path, clips: int, writers: int) -> None:
    """All is there once, by the later transcript where anybody had it, and whole."""
    expected: dict[int, str] = {}
    for version in STAGES:
        for seed in range(writers):
            expected |= dict.fromkeys(share_of(clips, seed, version), version)
    one = FeatureSet(folder)
    entries = one.entries()
    assert sorted(entries) == sorted(map(name_of, expected))
    for number, version in expected.items():
        ours = record(number, version)
        assert entries[ours.clip_id].source == ours.source, ours.clip_id
        assert told(one.read(ours.clip_id)) == told(ours.arrays), ours.clip_id
    assert not [checked for checked in verify(cache) if checked.fault]
    assert not list(folder.glob(f"{TEMPORARY_PREFIX}*"))
    compact(FeatureSet(folder), "link")
    held = []
    for path in FeatureSet(folder).shards():
        with ShardReader(path, one.fingerprint, one.modality) as shard:
            held += shard.ids
    assert sorted(held) == sorted(map(name_of, expected))  # each once
    again = FeatureSet(folder)
    assert all(again.entries()[clip_id].source == entries[clip_id].source for clip_id in held)
    assert all(len(path.name) < 120 for path in again.shards())


@pytest.fixture
def shared(cache, text_set):
    write_labels(text_set.path.parent, pd.DataFrame({"text": "x"}, index=pd.Index([name_of(0)], name="id")))
    return text_set


def test_a_small_crowd(cache, shared, tmp_path):
    assert crowd(shared.path, tmp_path / "stop", clips=120, writers=3, readers=1) == []
    check(cache, shared.path, 120, 3)


@pytest.mark.slow
def test_eight_writers_four_readers_and_a_compaction_in_a_loop(cache, shared, tmp_path):
    assert crowd(shared.path, tmp_path / "stop", clips=1200, writers=8, readers=4) == []
    check(cache, shared.path, 1200, 8)


@pytest.mark.slow
def test_two_compactions_in_a_loop(cache, shared, tmp_path):
    assert crowd(shared.path, tmp_path / "stop", clips=400, writers=3, readers=2, compactions=2) == []
    check(cache, shared.path, 400, 3)


def test_many_make_the_same_feature_set_at_once(cache, planted):
    """Folder and description appear once, whoever is first."""
    folder = cache.create_dataset("new").path
    script = (
        "import sys, pathlib\nfrom sadgr.cache import FeatureSetSpec, create_feature_set\nsys.stdin.readline()\n"
        "spec = FeatureSetSpec('text', 'tiny-bert', {'encoder': {'weights': 't'}, 'word_splitting': 1})\n"
        "print(create_feature_set(pathlib.Path(sys.argv[1]), spec).fingerprint)\n"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = [maker.communicate("go\n", timeout=60)[0] for maker in makers]
    one = create_feature_set(folder, planted.specs["text"])
    assert said == [f"{one.fingerprint}\n"] * 4
    assert [path.name for path in folder.iterdir()] == [one.name]
    assert [path.name for path in one.path.iterdir()] == ["featureset.json"]


if __name__ == "__main__":
    what, where, count, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if what == "write":
        write(where, count, number, sys.argv[5])
    elif what == "read":
        read(where, count, number, Path(sys.argv[5]))
    else:
        compact_all_the_time(where, Path(sys.argv[5]))
