"""Shards damaged at every kind of place: found, named, cured, and never read as wrong numbers.

Run as a program, this file reads a damaged feature set over and over in a process of its own, since HDF5 might crash:

    python test_fire_damage.py FEATURE_SET_FOLDER OFFSET:BIT ...
"""

import ast
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureSet,
    SelectionError,
    ShardInvalidError,
    create_feature_set,
    source_digest,
    write_labels,
)
from sadgr.cache.index import INDEX_FILE, Index
from sadgr.cache.shard import HEADER_BYTES
from sadgr.cache.upkeep import QUARANTINE, repair, verify

BLOCK = 512
ZEROS, NOISE = 8, 9
"""In the place of a bit's number 0 to 7: a whole block."""
HDF5_SIGNATURES = (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"FAHD", b"FADB")
SOURCES = {clip: source_digest(transcript="1") for clip in ("a", "b", "c", "d", "e", "ü/6")}
Contents = dict[str, tuple[str, dict[str, tuple[str, tuple[int, ...], bytes]]]]


def contents(one: FeatureSet) -> Contents:
    """All that a feature set says: id -> source and arrays."""
    found: Contents = {}
    entries = one.entries()
    for clip_id in entries if len(entries) else ():
        arrays = one.read(clip_id) or {}
        told = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
        found[clip_id] = (entries[clip_id].source, told)
    return found


def logical(one: FeatureSet) -> str:
    return hashlib.sha256(repr(sorted(contents(FeatureSet(one.path)).items())).encode()).hexdigest()


@pytest.fixture
def filled(cache, text_set, planted):
    """An older shard of a, b, c, d and a newer one, to be damaged, of b, c, e, `ü/6` and one absent clip."""
    write_labels(text_set.path.parent, pd.DataFrame({"text": "x"}, index=pd.Index(list(SOURCES), name="id")))
    planted.write(text_set, *(planted.record(clip, seed=1) for clip in "abcd"))
    planted.write(text_set, *newer(planted))
    return text_set


def newer(planted):
    clips = [planted.record(clip, seed=2) for clip in ("b", "c", "e", "ü/6")]
    return [*clips, ClipRecord("none", source_digest(transcript="1"), None)]


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


# Kinds of damage: path -> None


def _flipped_at(text: bytes, further: int = 0):
    return lambda path: flip(path, path.read_bytes().index(text) + further)


def _data_place(path: Path) -> tuple[int, int]:
    """Where the chunk of b's words lies, and how long it is without its checksum."""
    with h5py.File(path, locking=False) as file:
        raw = file["clips/b/words"][()].tobytes()
    return path.read_bytes().index(raw), len(raw)


def _table_place(path: Path, name: str) -> int:
    with h5py.File(path, locking=False) as file:
        raw = file[name][()].tobytes()
    return path.read_bytes().index(raw)


def _replaced(path: Path) -> None:
    shutil.copy(next((path.parents[1]).glob("audio-*/*.h5")), path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def _cut(length):
    return lambda path: path.write_bytes(path.read_bytes()[: length(path.stat().st_size)])


DAMAGE = {
    "magic": _flipped_at(b"SADGR shard"),
    "version": _flipped_at(b"SADGR shard 1", 12),
    "fingerprint": _flipped_at(b"featureset ", 30),
    "size": _flipped_at(b"bytes ", 6),
    "hash": _flipped_at(b"sha256 ", 20),
    "padding": lambda path: flip(path, HEADER_BYTES - 5),
    "superblock": lambda path: flip(path, HEADER_BYTES),
    "superblock's sizes": lambda path: flip(path, HEADER_BYTES + 9),
    "superblock's addresses": lambda path: flip(path, HEADER_BYTES + 41, 3),
    "chunk": lambda path: flip(path, _data_place(path)[0] + 7),
    "fletcher32": lambda path: flip(path, sum(_data_place(path)) + 1),
    "ids": lambda path: flip(path, _table_place(path, "ids")),
    "sources": lambda path: flip(path, _table_place(path, "sources") + 40),
    "mean": lambda path: flip(path, _table_place(path, "mean") + 3),
    "last byte": lambda path: flip(path, path.stat().st_size - 1),
    "appended": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "appended to itself": lambda path: path.write_bytes(path.read_bytes() * 2),
    "cut by one": _cut(lambda size: size - 1),
    "cut in the middle": _cut(lambda size: size // 2),
    "cut after the header": _cut(lambda _: HEADER_BYTES),
    "cut in the header": _cut(lambda _: HEADER_BYTES - 1),
    "no bytes": _cut(lambda _: 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "zeros after the header": lambda path: path.write_bytes(
        path.read_bytes()[:HEADER_BYTES] + bytes(path.stat().st_size - HEADER_BYTES)
    ),
    "another feature set's": _replaced,
    "a directory": _directory,
}
PARSED = {"superblock", "superblock's sizes", "superblock's addresses", "chunk", "fletcher32", "ids", "sources", "mean"}
PARSED |= {"hash", "padding", "last byte", "zeros after the header"}


def structures(path: Path) -> dict[int, str]:
    """Places inside HDF5's own structures: a few bytes into each, and some in each object header."""
    content = path.read_bytes()
    places: dict[int, str] = {}
    for signature in HDF5_SIGNATURES:
        at = content.find(signature, HEADER_BYTES)
        while at >= 0:
            places |= {at + further: signature.decode() for further in (0, 4, 5, 6, 8, 17, 24, 33, 40, 41)}
            at = content.find(signature, at + 1)
    with h5py.File(path, locking=False) as file:
        objects = [file["/"], *(file[name] for name in _names(file))]
        for one in objects:
            header = HEADER_BYTES + h5py.h5o.get_info(one.id).addr
            places |= dict.fromkeys(range(header, header + 260), f"object header of {one.name}")
    return {place: what for place, what in places.items() if place < len(content)}


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_named_and_cured(cache, filled, planted, kind):
    planted.write(create_feature_set(filled.path.parent, planted.specs["audio"]), planted.record("a", "audio"))
    before, (older, newest) = logical(filled), filled.shards()
    DAMAGE[kind](newest)
    # found and named, the others not suspected
    faults = {checked.shard: checked.fault for checked in verify(cache) if checked.fault}
    assert list(faults) == [str(newest.relative_to(cache.path))]
    # read in the meantime; by a process of its own where HDF5 comes to parse it
    if kind in PARSED:
        assert look_at(filled.path) == []
    else:
        assert wrong(FeatureSet(filled.path), newest.name, *read_truth(filled.path.parent / "known.json")) == []
    # cured
    moved = repair(cache)
    assert [one.shard for one in moved] == list(faults)
    assert filled.shards() == [older] and (filled.path / QUARANTINE / newest.name).exists()
    assert not [checked for checked in verify(cache) if checked.fault]
    gone = FeatureSet(filled.path).missing({**SOURCES, "none": SOURCES["a"]})
    assert gone == ["e", "ü/6", "none"]  # b and c are there from before
    again = {record.clip_id: record for record in newer(planted)}
    planted.write(filled, *(again[clip] for clip in (*gone, "b", "c")))
    assert logical(filled) == before and FeatureSet(filled.path).missing(SOURCES) == []


def test_what_repair_moved_is_done_again_by_what_is_missing(cache, filled, planted):
    """Where every clip stood in the damaged shard alone, missing names exactly these."""
    before = logical(filled)
    for path in filled.shards():
        flip(path, path.stat().st_size // 2)
    assert len(repair(cache)) == 2 and FeatureSet(filled.path).missing(SOURCES) == list(SOURCES)
    planted.write(filled, *(planted.record(clip, seed=1) for clip in "ad"), *newer(planted))
    assert logical(filled) == before


def test_damage_to_hdf5s_own_structures_never_gives_wrong_numbers(filled):
    places = sorted(structures(filled.shards()[-1]))
    chosen = np.random.default_rng(5).choice(places, min(350, len(places)), replace=False).tolist()
    assert look_at(filled.path, [(place, place % 8) for place in chosen]) == []


def test_a_flipped_bit_anywhere_never_gives_wrong_numbers(filled):
    rng = np.random.default_rng(6)
    places = rng.integers(0, filled.shards()[-1].stat().st_size, 300).tolist()
    assert look_at(filled.path, [(place, int(rng.integers(8))) for place in places]) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_thousands_of_places_flipped_one_after_the_other(filled, part):
    places = range(part, filled.shards()[-1].stat().st_size, 4)
    chosen = np.random.default_rng(part).permutation(places)[:2500].tolist()
    assert look_at(filled.path, [(place, (place // 4 + part) % 8) for place in chosen]) == []


@pytest.mark.parametrize("kind", [ZEROS, NOISE])
def test_a_lost_block_of_the_disk(filled, kind):
    """It reads as zeros, or as what another file held. (Fletcher32 of zeros is zero: zeroed with its data, it agrees.)"""
    size, rng = filled.shards()[-1].stat().st_size, np.random.default_rng(8)
    assert look_at(filled.path, [(place, kind) for place in rng.integers(0, size, 60).tolist()]) == []


# What a reader may be told, in a process of its own


def look_at(folder: Path, flips: Sequence[tuple[int, int]] = ()) -> list[str]:
    """Read the feature set in another process, as it is or with each of these bits flipped; gives what was wrong."""
    known = folder.parent / "known.json"
    jobs = ",".join(f"{place}:{bit}" for place, bit in flips)
    command = [sys.executable, __file__, str(folder), str(known), jobs]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"the reader ended with {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout.splitlines()


def _truth(folder: Path) -> list[str]:
    one = FeatureSet(folder)
    found = [repr(contents(one))]
    newest = one.shards()[-1]
    aside = newest.rename(folder / "aside")
    found.append(repr(contents(FeatureSet(folder))))
    aside.rename(newest)
    return found


@pytest.fixture(autouse=True)
def _known(request):
    """The truth is taken before anything is damaged."""
    if "filled" in request.fixturenames:
        folder = request.getfixturevalue("filled").path
        (folder.parent / "known.json").write_text(json.dumps(_truth(folder)))


def read_truth(known: Path) -> tuple[Contents, Contents]:
    """What both shards say, and what the older one says alone."""
    new, old = (ast.literal_eval(text) for text in json.loads(known.read_text()))
    return new, old


def wrong(reader: FeatureSet, target: str, new: Contents, old: Contents) -> list[str]:
    """Say what a reader was told that is neither the newer nor the older record nor an error that names the file."""
    try:
        entries = reader.entries()
        told = set(entries) if len(entries) else set()
    except ShardInvalidError as error:
        return [] if target in str(error) else [f"an error that does not name the file: {error}"]
    here = old if target in reader.invalid else new
    found = [] if told == set(here) else [f"ids {sorted(told)}"]
    for clip_id in sorted(told & set(here)):
        try:
            arrays = reader.read(clip_id) or {}
        except ShardInvalidError as error:
            found += [] if target in str(error) else [f"{clip_id}: an error that does not name the file: {error}"]
            continue
        said = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
        if (entries[clip_id].source, said) != here[clip_id]:
            found.append(f"{clip_id}: other arrays or source")
    try:
        ids, vectors = reader.vectors("mean")
        rows = {clip: told["mean"] for clip, (_, told) in here.items() if told}
        if ids != sorted(rows):
            found.append(f"vectors of {ids}")
        elif vectors.astype(np.float16).tobytes() != b"".join(rows[clip][2] for clip in ids):
            found.append("other vectors")
    except ShardInvalidError as error:
        found += [] if target in str(error) else [f"an error that does not name the file: {error}"]
    return found


def examine(folder: Path, known: Path, jobs: str) -> None:
    """Print whatever is wrong, one line each."""
    new, old = read_truth(known)
    newest = sorted(folder.glob("*.h5"))[-1]
    flips = [tuple(map(int, job.split(":"))) for job in jobs.split(",") if job]
    whole = newest.read_bytes() if flips else b""
    before = FeatureSet(folder)  # has looked at the folder while all was well
    if flips:
        before.entries()
    for place, bit in flips or [(-1, -1)]:
        if flips:
            damaged = bytearray(whole)
            if bit < ZEROS:
                damaged[place] ^= 1 << bit
            else:
                block = damaged[place : place + BLOCK]
                block[:] = bytes(len(block)) if bit == ZEROS else np.random.default_rng(place).bytes(len(block))
                damaged[place : place + BLOCK] = block
            newest.write_bytes(damaged)
        for reader in (FeatureSet(folder), before) if flips else (FeatureSet(folder),):
            try:
                faults = wrong(reader, newest.name, new, old)
            except Exception as error:
                faults = [f"crashed with {type(error).__name__}: {error}"]
            for fault in faults:
                print(f"{place}:{bit} {fault}", flush=True)
            reader._readers.close()  # HDF5 would give the open file again, not the altered one
    if flips:
        newest.write_bytes(whole)


# The index


@pytest.fixture
def indexed(text_set, planted):
    for number in range(40):
        planted.write(text_set, planted.record(f"clip{number % 30}", seed=number, words=1))
    text_set.entries()
    assert (text_set.path / INDEX_FILE).exists()
    return text_set


def test_a_damaged_index_is_never_believed(indexed):
    path, good = indexed.path / INDEX_FILE, Index.load(indexed.path)
    whole, rng = path.read_bytes(), np.random.default_rng(9)
    ends = [0, 1, 21, 22, 30, 60, len(whole) // 2, len(whole) - 1, len(whole) - 22]
    damaged = {f"cut at {end}": whole[:end] for end in ends}
    for place in rng.choice(len(whole), min(len(whole), 1000), replace=False).tolist():
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        damaged[f"flipped at {place}"] = bytes(content)
    damaged |= {"noise": rng.bytes(3000), "zip of nothing": b"PK\5\6" + bytes(18), "text": b"not an index", "N": b"N"}
    wrong_ones = []
    for what, content in damaged.items():
        path.write_bytes(content)
        try:
            found = Index.load(indexed.path)
        except Exception as error:
            wrong_ones.append(f"{what}: {type(error).__name__}: {error}")
            continue
        if len(found) and not same(found, good):
            wrong_ones.append(f"{what}: another index")
    assert wrong_ones == []


def same(one: Index, other: Index) -> bool:
    columns = ("keys", "digests", "shard", "row", "present")
    return one.shards == other.shards and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in columns
    )


@pytest.mark.parametrize(
    "kind", ["cut", "noise", "no bytes", "directory", "foreign", "stale", "older", "pickled", "lacking", "version"]
)
def test_no_index_changes_a_result(cache, indexed, planted, kind):
    path, before = indexed.path / INDEX_FILE, logical(indexed)
    whole = path.read_bytes()
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "foreign":  # of a feature set of another name
        other = create_feature_set(cache.create_dataset("other").path, planted.specs["text"])
        for number in range(40):
            planted.write(other, planted.record(f"clip{number}", seed=99, words=1))
        other.entries().index.save(indexed.path)
    elif kind == "stale":  # a shard that it knows was taken away
        Index(("0-gone.h5", *Index.load(indexed.path).shards), *(getattr(Index.empty(), n) for n in COLUMNS)).save(
            indexed.path
        )
    elif kind == "older":
        aside = [shard.rename(shard.with_suffix(".aside")) for shard in indexed.shards()[-5:]]
        FeatureSet(indexed.path).entries()
        for shard in aside:
            shard.rename(shard.with_suffix(".h5"))
    elif kind in ("pickled", "lacking", "version"):
        path.write_bytes(whole)
        with np.load(path) as content:
            columns = dict(content)
        if kind == "pickled":
            columns["keys"] = np.array([{"a": 1}], dtype=object)
        elif kind == "lacking":
            del columns["row"]
        else:
            columns["version"] = np.array(99)
        with path.open("wb") as file:
            np.savez(file, **columns)
    else:
        path.write_bytes({"cut": whole[:-40], "noise": np.random.default_rng(1).bytes(900), "no bytes": b""}[kind])
    assert logical(indexed) == before
    reader = FeatureSet(indexed.path)
    assert reader.missing({"clip3": SOURCES["a"], "new": SOURCES["a"]}) == ["new"] and reader.invalid == {}
    planted.write(indexed, planted.record("new"))
    assert FeatureSet(indexed.path).missing({"new": SOURCES["a"]}) == []


COLUMNS = ("keys", "digests", "shard", "row", "present")


def test_a_shard_damaged_after_it_was_indexed(cache, indexed):
    """The index still names it: reading says which file is damaged; after the repair the older record counts."""
    victim = next(path for path in reversed(indexed.shards()))  # the newest of clip9, written before as number 9
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(ShardInvalidError, match=victim.name):
        FeatureSet(indexed.path).read("clip9")
    with pytest.raises(ShardInvalidError, match=victim.name):
        FeatureSet(indexed.path).vectors("mean")
    write_labels(indexed.path.parent, pd.DataFrame({"text": "x"}, index=pd.Index(["clip9"], name="id")))
    assert [one.shard.rsplit("/", 1)[1] for one in repair(cache)] == [victim.name]
    assert FeatureSet(indexed.path).read("clip9") is not None
    victim = indexed.shards()[29]  # clip29 stands in it alone
    victim.unlink()
    with pytest.raises(SelectionError):
        FeatureSet(indexed.path).read("clip29")


if __name__ == "__main__":
    examine(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
