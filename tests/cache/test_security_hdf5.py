"""A cache from a stranger: HDF5 files that point elsewhere, need foreign code, or make no sense."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from sadgr.cache import (
    CacheError,
    ClipRecord,
    FeatureCache,
    FeatureSet,
    ShardInvalidError,
    source_digest,
    write_labels,
)
from sadgr.cache.shard import HEADER_BYTES, encode_shard
from sadgr.cache.shard_reader import ShardReader
from sadgr.cache.upkeep import verify
from tests.cache.tools import labels

SECRET = "the secret"  # noqa: S105


def external_link(parent: h5py.Group, name: str, other: Path) -> None:
    parent[name] = h5py.ExternalLink(str(other), f"copy/{name}")


def soft_link(parent: h5py.Group, name: str, other: Path) -> None:
    parent.move(name, f"{name} moved") if name in parent else None
    parent[name] = h5py.SoftLink(f"{parent.name}/{name} moved")


def dangling_link(parent: h5py.Group, name: str, other: Path) -> None:
    parent[name] = h5py.SoftLink("/nowhere")


def external_storage(parent: h5py.Group, name: str, other: Path) -> None:
    shape, dtype = shape_of(other, name)
    nbytes = int(np.prod(shape)) * dtype.itemsize
    parent.create_dataset(name, shape, dtype, external=[(str(other), 0, nbytes)])


def virtual(parent: h5py.Group, name: str, other: Path) -> None:
    shape, dtype = shape_of(other, name)
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource(str(other), f"copy/{name}", shape, dtype)
    parent.create_virtual_dataset(name, layout)


def filtered(number: int, parent: h5py.Group, name: str, other: Path) -> None:
    """With fletcher32 beside it; optional, so that a file can be made here that needs a plugin which is not here."""
    shape, dtype = shape_of(other, name)
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if number == h5py.h5z.FILTER_SZIP:  # takes no long text
        dtype = np.dtype(np.uint8)
    made.set_chunk(shape)
    values = (8, 1) if number == h5py.h5z.FILTER_SZIP else (4,)
    made.set_filter(number, h5py.h5z.FLAG_OPTIONAL, values)
    made.set_fletcher32()
    kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
    made_one = h5py.h5d.create(parent.id, name.encode(), kind, space, made)
    if h5py.h5z.filter_avail(number) and number != h5py.h5z.FILTER_SZIP:
        made_one.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(shape, dtype))


def group_instead(parent: h5py.Group, name: str, other: Path) -> None:
    parent.create_group(name)["x"] = np.ones(3)


def data_instead(parent: h5py.Group, name: str, other: Path) -> None:
    parent[name] = np.ones(3)


def shape_of(other: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with h5py.File(other, "r") as file:
        return file[f"copy/{name}"].shape, file[f"copy/{name}"].dtype


FILTERS = {"gzip": 1, "shuffle": 2, "szip": 4, "nbit": 5, "lzf": 32000, "blosc": 32001, "zstd": 32015}
LINKS = {"external link": external_link, "soft link": soft_link, "dangling link": dangling_link}
IN_PLACE_OF_DATA = {
    **LINKS,
    "external storage": external_storage,
    "virtual": virtual,
    "group": group_instead,
    **{name: partial(filtered, number) for name, number in FILTERS.items()},
    "a number nobody knows": partial(filtered, 65000),
}
IN_PLACE_OF_GROUPS = {**LINKS, "data": data_instead}
DATA = ("ids", "sources", "present", "mean", "clips/a/words", "clips/a/tokens")
GROUPS = ("clips", "clips/a")
CASES = [
    *((place, way, change) for place in DATA for way, change in IN_PLACE_OF_DATA.items()),
    *((place, way, change) for place in GROUPS for way, change in IN_PLACE_OF_GROUPS.items()),
]


@pytest.fixture
def hostile(tmp_path, text_set, planted):
    """Change one place of a shard, and give it a header that matches, as an attacker would."""
    arrays = {**planted.arrays("text"), "tokens": np.ones((4, 5), np.float32)}
    content = encode_shard(text_set.spec, [ClipRecord("a", source_digest(), arrays), planted.record("b")])
    target = text_set.path / "20260101T000000.000000Z-x-1-00000000.h5"
    target.write_bytes(content)
    other = tmp_path / "secret.h5"
    with h5py.File(target, "r") as source, h5py.File(other, "w") as file:
        copy = file.create_group("copy")
        for name in ("ids", "sources", "present", "mean", "clips", "clips/a", "clips/a/words", "clips/a/tokens"):
            source.copy(source[name], copy, name=name.rpartition("/")[2])

    def make(place: str, change: Callable[[h5py.Group, str, Path], None]) -> FeatureSet:
        parent, _, name = place.rpartition("/")
        with h5py.File(target, "r+") as file:
            group = file[parent] if parent else file
            if change is not soft_link:
                del group[name]
            change(group, name, other)
        reseal(target, text_set.fingerprint)
        return FeatureSet(text_set.path)

    return make


def reseal(path: Path, featureset: str) -> None:
    body = path.read_bytes()[HEADER_BYTES:]
    header = f"SADGR shard 1\nfeatureset {featureset}\nbytes {len(body)}\nsha256 {hashlib.sha256(body).hexdigest()}\n"
    path.write_bytes(header.encode().ljust(HEADER_BYTES, b"\0") + body)


def use(shard: ShardReader, place: str) -> None:
    """Read what stands at a place, the way that the package does."""
    if place in ("ids", "sources", "present"):
        getattr(shard, place)
    elif place == "mean":
        shard.table("mean")
    else:
        shard.arrays("a", 0)


@pytest.mark.parametrize(("place", "change"), [pytest.param(p, c, id=f"{w} at {p}") for p, w, c in CASES])
def test_what_points_elsewhere_or_needs_foreign_code_is_refused(hostile, place, change):
    one = hostile(place, change)
    why = "cannot be read" if change in (group_instead, data_instead) else "refused"
    with ShardReader(one.shards()[0], one.fingerprint, "text") as shard, pytest.raises(ShardInvalidError, match=why):
        use(shard, place)
    if place in ("ids", "sources", "present"):
        assert len(one.entries()) == 0 and len(one.invalid) == 1
    with pytest.raises(CacheError):
        one.read("a")
    if place == "mean":
        with pytest.raises(CacheError):
            one.vectors("mean")


def replaced(values: np.ndarray) -> Callable[[h5py.Group, str, Path], None]:
    def change(parent: h5py.Group, name: str, other: Path) -> None:
        parent[name] = values

    return change


TABLES = {
    "ids that are numbers": ("ids", np.arange(2)),
    "ids that are one number": ("ids", np.array(7)),
    "one id for all": ("ids", np.array(b"a")),
    "ids that are no UTF-8": ("ids", np.array([b"\xff\xfe", b"b"])),
    "ids that are empty": ("ids", np.array([b"", b""])),
    "ids that are bytes of no text": ("ids", np.array([b"\xed\xa0\x80", b"b"])),
    "too few ids": ("ids", np.array([b"a"])),
    "ids in two dimensions": ("ids", np.array([[b"a", b"b"]])),
    "ids of a compound type": ("ids", np.zeros(2, [("a", "i4"), ("b", "i4")])),
    "sources that are no digest": ("sources", np.array([b"x" * 64, b"y" * 64])),
    "sources that are short": ("sources", np.array([b"ab", b"cd"])),
    "sources that are numbers": ("sources", np.arange(2.0)),
    "too many sources": ("sources", np.array([b"0" * 64] * 3)),
    "presence of another length": ("present", np.ones(5, np.uint8)),
    "presence that is text": ("present", np.array([b"yes", b"no"])),
    "presence of all at once": ("present", np.array(1)),
    "means of no dimension": ("mean", np.array(1.0)),
    "means in one dimension": ("mean", np.ones(2, np.float16)),
    "means of one clip alone": ("mean", np.ones((1, 5), np.float16)),
    "means that are text": ("mean", np.array([[b"x"], [b"y"]])),
    "means of no width": ("mean", np.ones((2, 0), np.float16)),
    "words that are text": ("clips/a/words", np.array([[b"x"]])),
    "words of a compound type": ("clips/a/words", np.zeros((1, 1), [("a", "i4")])),
    "words in one dimension": ("clips/a/words", np.ones(3, np.float16)),
}


@pytest.mark.parametrize(("place", "values"), TABLES.values(), ids=TABLES)
def test_a_shard_whose_tables_make_no_sense_is_a_clear_error(hostile, place, values):
    """Either something is read, or a CacheError says what is wrong; nothing else comes out."""
    one = hostile(place, replaced(values))
    data = FeatureCache(one.path.parents[1]).create_dataset("demo")
    for read in (
        lambda: list(one.entries()),
        lambda: one.read("b"),
        lambda: one.read("a"),
        lambda: one.missing({"a": source_digest()}),
        lambda: one.vectors("mean"),
        lambda: list(data.clips(["a", "b"], data.select())),
    ):
        with suppress(CacheError):
            read()


def test_variable_text_and_references_run_nothing(hostile):
    one = hostile("ids", replaced(np.array(["a", "b"], dtype=h5py.string_dtype())))
    assert sorted(one.entries()) == ["a", "b"] or one.invalid


@pytest.mark.parametrize("place", ["clips/a/words", "clips/a", "clips", "mean"])
def test_hole_verify_finds_what_reading_refuses(hostile, place):
    one = hostile(place, external_link)
    write_labels(one.path.parent, labels(["a"]))
    (checked,) = verify(FeatureCache(one.path.parents[1]))
    assert checked.fault
