"""A full disk, a cache that may only be read, a shared folder, a file system without hard links, files unlinked while open.

Run as a program, this file does something as another user, in a process of its own, since nobody gets root's rights back:

    python test_fire_disk.py UID GID GROUPS UMASK cache|extract|read|add|make|nolinks ...
"""

import errno
import hashlib
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    FeatureSet,
    FeatureSetSpec,
    FeatureWriter,
    NotWritableError,
    RunLog,
    create_feature_set,
    publishing_method,
    source_digest,
    write_labels,
)
from sadgr.cache.compact import compact
from sadgr.cache.feature_set import INDEXED_FROM_SHARDS
from sadgr.cache.merge import merge
from sadgr.cache.publish import TEMPORARY_PREFIX, publish
from sadgr.cache.upkeep import verify

ROOT = os.geteuid() == 0
NEEDS_ROOT = pytest.mark.skipif(not ROOT, reason="needs root: it mounts, or works as several users")
SPEC = FeatureSetSpec("text", "tiny-bert", {"encoder": {"weights": "t"}})
STRANGER, FIRST, SECOND, GROUP = 65534, 54001, 54002, 54100
DEMO = Path(__file__).parents[2] / "examples/demo/talking"


def record(number: int, size: int = 16) -> ClipRecord:
    rng = np.random.default_rng(number)
    arrays = {"words": rng.integers(-50, 50, (3, size)) / 4, "mean": rng.integers(-50, 50, size) / 4}
    return ClipRecord(f"clip{number:03}", source_digest(transcript="1"), arrays)


def write(one: FeatureSet, numbers, method="link", size: int = 16) -> None:
    with FeatureWriter(one, method) as writer:
        for number in numbers:
            writer.add(record(number, size))


def digest(folder: Path) -> str:
    one, found = FeatureSet(folder), hashlib.sha256()
    for clip_id in sorted(one.entries()):
        for name, array in sorted((one.read(clip_id) or {}).items()):
            found.update(f"{clip_id} {name} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def make_cache(path: Path, clips: int = 4) -> FeatureCache:
    cache = FeatureCache.create(path)
    data = cache.create_dataset("demo")
    ids = [record(number).clip_id for number in range(clips)]
    write_labels(data.path, pd.DataFrame({"mode": "train", "text": "x"}, index=pd.Index(ids, name="id")))
    one = create_feature_set(data.path, SPEC)
    for number in range(clips):
        write(one, [number], publishing_method(cache.path))
    return cache


def text_of(cache: FeatureCache) -> FeatureSet:
    return FeatureSet(cache.path / "demo" / SPEC.name)


def no_leftovers(folder: Path) -> bool:
    return not list(folder.rglob(f"{TEMPORARY_PREFIX}*"))


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=2m,mode=755", "sadgr-test"]
    mounted = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)  # noqa: S607
    if mounted.returncode and not ROOT:
        pytest.skip(f"mounting needs root: {mounted.stderr.strip()}")
    assert mounted.returncode == 0, f"root may not mount a tmpfs here: {mounted.stderr}"
    try:
        yield folder
    finally:
        if subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode:  # noqa: S607
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def fill(folder: Path, left_bytes: int = 0) -> Path:
    """Take all space but so much."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - left_bytes))
    return ballast


@pytest.mark.parametrize("method", ["link", "rename"])
@pytest.mark.parametrize("left_bytes", [0, 8192, 16384])
def test_a_writer_on_a_full_disk(small_disk, method, left_bytes):
    cache = make_cache(small_disk / "cache")
    one, ballast = text_of(cache), fill(small_disk, left_bytes)
    before, files = digest(one.path), {path.name for path in one.path.iterdir()}
    writer = FeatureWriter(one, method)
    for number in range(10, 40):
        writer.add(record(number, size=256))
    for _ in range(3):
        with pytest.raises(NotWritableError, match=r"No space left") as refused:
            writer.publish()
        assert str(one.path) in str(refused.value) and "\n" not in str(refused.value)
        assert {path.name for path in one.path.iterdir()} == files and digest(one.path) == before
    assert not [checked for checked in verify(cache) if checked.fault]
    ballast.unlink()
    writer.publish()  # what was in hand is still there
    assert len(FeatureSet(one.path).entries()) == 34 and no_leftovers(cache.path)
    np.testing.assert_array_equal(FeatureSet(one.path).read("clip020")["words"], record(20, 256).arrays["words"])


def test_all_other_writing_on_a_full_disk(small_disk, tmp_path):
    cache, other = make_cache(small_disk / "cache"), make_cache(tmp_path / "other", clips=9)
    one = text_of(cache)
    log = RunLog(cache.path, {})
    ballast = fill(small_disk)
    before, labels = digest(one.path), (cache.path / "demo/labels.csv").read_bytes()
    table = cache["demo"].labels()
    with pytest.raises(NotWritableError, match="No space left"):
        compact(FeatureSet(one.path), "link")
    with pytest.raises(NotWritableError, match="No space left"):
        merge(cache, other, "link")
    with pytest.raises(NotWritableError, match="No space left"):
        write_labels(cache.path / "demo", pd.DataFrame({"text": ["long " * 2000]}, index=pd.Index(["z"], name="id")))
    with pytest.raises(NotWritableError, match="No space left"):
        create_feature_set(cache.path / "demo", FeatureSetSpec("audio", "new", {}))
    with pytest.raises(NotWritableError, match="No space left"), log:
        for number in range(2000):
            log.clip("demo", f"clip{number}", "failed", "text", "x" * 100)
    assert digest(one.path) == before and (cache.path / "demo/labels.csv").read_bytes() == labels
    assert no_leftovers(cache.path) and len(cache["demo"].feature_sets()) == 1
    ballast.unlink()
    compact(FeatureSet(one.path), "link")
    assert digest(one.path) == before and len(one.shards()) == 1
    assert merge(cache, other, "link").shards == 9
    create_feature_set(cache.path / "demo", FeatureSetSpec("audio", "new", {}))
    assert set(table.index) < set(cache["demo"].labels().index) and digest(one.path) == digest(text_of(other).path)


def test_a_full_disk_takes_no_index_and_reading_goes_on(small_disk):
    cache = make_cache(small_disk / "cache", clips=2)
    one = text_of(cache)
    for number in range(INDEXED_FROM_SHARDS):
        write(one, [number])
    fill(small_disk)
    assert len(FeatureSet(one.path).entries()) == INDEXED_FROM_SHARDS
    assert not (one.path / ".index.npz").exists() and no_leftovers(one.path)


def test_a_file_system_that_may_only_be_read(small_disk):
    cache = make_cache(small_disk / "cache")
    before = digest(text_of(cache).path)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: S607
    assert digest(text_of(cache).path) == before
    with pytest.raises(NotWritableError, match="Read-only"):
        publishing_method(cache.path)
    with pytest.raises(NotWritableError, match="Read-only"):
        write(text_of(cache), [9])
    with pytest.raises(NotWritableError, match="Read-only"):
        compact(text_of(cache), "link")


# Other users


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="sadgr-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(user: int, group: int, *arguments: object, groups: str = "", umask: int = 0o022):
    command = [sys.executable, __file__, str(user), str(group), groups or "-", str(umask), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def readable(public: Path) -> FeatureCache:
    """A cache of root's, with something for every command to do, many shards so that an index is wanted, and two npz."""
    cache = make_cache(public / "cache", clips=INDEXED_FROM_SHARDS)
    (text_of(cache).path / ".index.npz").unlink(missing_ok=True)
    old = text_of(cache).path / f"{TEMPORARY_PREFIX}old"
    old.touch()
    os.utime(old, (0, 0))
    return cache


@NEEDS_ROOT
def test_who_may_only_read_reads_everything(readable):
    for _ in range(2):
        read = as_user(STRANGER, STRANGER, "read", text_of(readable).path)
        assert read.returncode == 0 and read.stdout.strip() == digest(text_of(readable).path), read.stderr
        (text_of(readable).path / ".index.npz").unlink(missing_ok=True)
    for arguments in (["ls", readable.path], ["info", readable.path], ["show", readable.path, "clip001"]):
        shown = as_user(STRANGER, STRANGER, "cache", *arguments)
        assert shown.returncode == 0 and "Error" not in shown.stderr, shown.stderr
    assert as_user(STRANGER, STRANGER, "cache", "verify", readable.path).returncode == 0
    assert as_user(STRANGER, STRANGER, "cache", "gc", "--dry-run", readable.path).returncode == 0


COMMANDS = {
    "compact": lambda cache: ["cache", "compact", cache.path],
    "repair": lambda cache: ["cache", "repair", cache.path],
    "gc": lambda cache: ["cache", "gc", cache.path],
    "rm": lambda cache: ["cache", "rm", cache.path, SPEC.name, "--yes"],
    "merge": lambda cache: ["cache", "merge", cache.path, cache.path.parent / "other"],
    "import": lambda cache: [
        "cache",
        "import",
        cache.path,
        cache.path.parent / "a.npz",
        "--form",
        "npz",
        "--dataset",
        "n",
    ],
    "writer": lambda cache: ["add", text_of(cache).path, 99],
    "extract": lambda cache: ["extract", DEMO, cache.path, "--dataset", "demo", "--preset", "offline"],
}


@NEEDS_ROOT
@pytest.mark.parametrize("command", COMMANDS)
def test_who_may_only_read_is_told_clearly_what_would_write(readable, command):
    if command == "merge":
        make_cache(readable.path.parent / "other", clips=40)
    elif command == "import":
        features = {f"x/{number}": np.ones((2, 3), np.float32) for number in range(2)}
        np.savez(readable.path.parent / "a.npz", **features)
        exported = as_user(0, 0, "cache", "export", readable.path, readable.path.parent / "b.npz", "--form", "npz")
        assert exported.returncode == 0, exported.stderr
        (readable.path.parent / "b.npz").replace(readable.path.parent / "a.npz")
    elif command == "repair":
        damaged = text_of(readable).shards()[0]
        damaged.write_bytes(damaged.read_bytes()[:-1])
    files = {path: path.lstat().st_mtime_ns for path in readable.path.rglob("*")}
    told = as_user(STRANGER, STRANGER, *COMMANDS[command](readable))
    assert told.returncode == 2, (told.stdout, told.stderr)
    errors = [line for line in told.stderr.splitlines() if "cannot be written" in line]
    assert len(errors) == 1 and str(readable.path) in errors[0] and "Traceback" not in told.stderr, told.stderr
    assert files == {path: path.lstat().st_mtime_ns for path in readable.path.rglob("*")}


@NEEDS_ROOT
def test_what_may_not_be_read_is_not_called_damaged_and_moved(public):
    """A shard of somebody who shut it is whole; whoever may write the folder must not put it into quarantine."""
    folder = public / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    assert as_user(FIRST, FIRST, "make", folder / "cache").returncode == 0
    cache = FeatureCache(folder / "cache")
    text_of(cache).path.chmod(0o777)
    shut = text_of(cache).shards()[0]
    shut.chmod(0o600)
    done = as_user(SECOND, SECOND, "cache", "repair", cache.path)
    assert shut.exists(), done.stdout
    assert "ermission" in done.stdout + done.stderr


@NEEDS_ROOT
@pytest.mark.parametrize(
    "umask", [0o077, pytest.param(0o027, marks=pytest.mark.slow), pytest.param(0o002, marks=pytest.mark.slow)]
)
def test_a_colleague_of_the_same_group_reads_and_adds(public, umask):
    """The folder's group and setgid bit decide, not the umask of whoever was first."""
    lab = public / "lab"
    lab.mkdir()
    os.chown(lab, FIRST, GROUP)
    lab.chmod(0o2770)
    made = as_user(FIRST, FIRST, "make", lab / "cache", groups=str(GROUP), umask=umask)
    assert made.returncode == 0, made.stderr
    folder = text_of(FeatureCache(lab / "cache")).path
    for path in (lab / "cache", *(lab / "cache").rglob("*")):
        bits, wanted = path.stat().st_mode, 0o2070 if path.is_dir() else 0o060
        assert path.stat().st_gid == GROUP and bits & wanted == wanted, (path, oct(bits))
    steps = [
        ["add", folder, 100],
        ["cache", "compact", lab / "cache"],
        ["add", folder, 101],
        ["read", folder],
        ["make", lab / "cache"],
    ]
    for who in (SECOND, FIRST):
        for step in steps:
            done = as_user(who, who, *step, groups=str(GROUP), umask=umask)
            assert done.returncode == 0, (who, step, done.stderr)
    assert {"clip100", "clip101"} < set(FeatureSet(folder).entries())
    assert as_user(STRANGER, STRANGER, "read", folder).returncode != 0  # neither owner nor group


# A file system without hard links; files unlinked while open


def no_link(*_, **__):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_without_hard_links_files_are_published_by_renaming(tmp_path, monkeypatch):
    linked = make_cache(tmp_path / "linked")
    assert publishing_method(linked.path) == "link"
    monkeypatch.setattr(os, "link", no_link)
    assert publishing_method(tmp_path) == "rename"
    renamed = make_cache(tmp_path / "renamed")
    assert digest(text_of(renamed).path) == digest(text_of(linked).path)
    compact(text_of(renamed), "rename")
    assert digest(text_of(renamed).path) == digest(text_of(linked).path) and no_leftovers(renamed.path)
    (shard,) = text_of(renamed).shards()
    with pytest.raises(NotWritableError, match="exists"):
        publish(shard, b"other", "rename")
    assert merge(renamed, linked, "rename").shards == 4 and no_leftovers(renamed.path)


def test_without_hard_links_in_processes_of_their_own(tmp_path):
    linked = make_cache(tmp_path / "linked")
    here = ["-", "-", "-", str(0o022)]
    for arguments in (["make", tmp_path / "renamed"], ["cache", "compact", tmp_path / "renamed"]):
        command = [sys.executable, __file__, *here, "nolinks", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    folder = text_of(FeatureCache(tmp_path / "renamed")).path
    assert digest(folder) == digest(text_of(linked).path)
    assert len(FeatureSet(folder).shards()) == 1 and no_leftovers(tmp_path / "renamed")


def test_a_reader_that_holds_a_shard_open_goes_on_when_it_is_unlinked(tmp_path):
    one = text_of(make_cache(tmp_path / "cache"))
    write(one, range(10, 20))
    reader = FeatureSet(one.path)
    reader.read("clip012")
    one.shards()[-1].unlink()
    for number in range(10, 20):
        np.testing.assert_array_equal(reader.read(f"clip{number:03}")["words"], record(number).arrays["words"])
    assert "clip012" not in FeatureSet(one.path).entries()
    assert sorted(reader.entries()) == [f"clip{number:03}" for number in range(4)]


# As a program


def import_all(what: str) -> None:
    """Import all there is while it can be read: a developer's Python may live in a home that others cannot enter."""
    import encodings.cp437

    import sadgr.cache
    import sadgr.cache.doors

    packages = [sadgr.cache, sadgr.cache.doors, encodings]
    if what == "extract":
        import sadgr.extract.cli
        import sadgr.extract.run
    for package in packages:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if "__main__" not in module.name and "mbcs" not in module.name and "oem" not in module.name:
                importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:  # pandas and h5py import more when first used
        digest(text_of(make_cache(Path(folder) / "cache")).path)


def work(what: str, arguments: list[str]) -> None:
    if what == "nolinks":
        os.link = no_link  # type: ignore[assignment]
        work(arguments[0], arguments[1:])
    elif what == "cache":
        from sadgr.cache.cli import main

        main(arguments)
    elif what == "extract":
        from sadgr.extract.cli import main as extract_main

        extract_main(arguments)
    elif what == "make":
        make_cache(Path(arguments[0]))
    elif what == "add":
        try:
            write(FeatureSet(Path(arguments[0])), [int(arguments[1])])
        except NotWritableError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
    else:
        print(digest(Path(arguments[0])))


def drop_rights(user: str, group: str, groups: str, umask: str) -> None:
    os.umask(int(umask))
    if user != "-":
        os.setgroups([int(one) for one in groups.split(",") if one != "-"])
        os.setresgid(int(group), int(group), int(group))
        os.setresuid(int(user), int(user), int(user))


if __name__ == "__main__":
    if sys.argv[1] == "-":
        drop_rights(*sys.argv[1:5])
        work(sys.argv[5], sys.argv[6:])
    else:
        import_all(sys.argv[5])
        drop_rights(*sys.argv[1:5])
        work(sys.argv[5], sys.argv[6:])
