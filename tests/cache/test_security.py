"""A cache from a stranger: ids that look like paths, HDF5 files that point elsewhere, small files that lie."""

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sadgr.cache import (
    CacheError,
    ClipRecord,
    FeatureCache,
    FeatureSet,
    ShardInvalidError,
    create_feature_set,
    escape,
    fingerprint,
    normalise_id,
    read_labels,
    source_digest,
    write_labels,
)
from sadgr.cache.feature_set import feature_sets
from sadgr.cache.index import INDEX_FILE, INDEX_VERSION, Index, Table, _checksum
from sadgr.cache.shard import HEADER_BYTES, encode_shard
from sadgr.cache.shard_reader import ShardReader
from sadgr.cache.upkeep import verify

ODD = (
    *(
        "..",
        ".",
        "/",
        "-rf",
        "--help",
        "../../etc/passwd",
        "/etc/passwd",
        "a\\b",
        "C:\\x",
        "~",
        "~root",
        "$HOME",
        "`id`",
    ),
    *("a\u202eb\u200f", "\u2066x\u2069", "%2E", "%", "a%00b", "clips", "ids", "con", "NUL", "a;b|c&d", "*", "?"),
    *(
        "x" * 300,
        "é" * 300,
        "\U0001f642" * 300,
        ' "quoted", ',
        "line\nbreak",
        "tab\t",
        "\ufeffbom",
        "\x01\x7f",
        "e\u0301",
    ),
)
NO_TEXT = ("", "\0", "a\0b", "\ud800", "a\udfffb")
SECRET = "the secret"  # noqa: S105

any_text = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=300),
    st.text("./-\\ %$~.\u202e\u200f\u0301é", min_size=1, max_size=20),
)
quickly = partial(settings, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- ids and names


@quickly(max_examples=300)
@given(any_text)
def test_an_escaped_id_is_a_harmless_name_and_no_two_meet(text):
    name = escape(text)
    assert name.isascii() and name.isprintable() and not set(name) & set('/\\:*?"<>|\0`;&\n')
    assert name[0] not in ".- " and name[-1] not in ". "
    assert escape(name) != name or "%" not in name  # an id that looks escaped is another id
    assert Path("/cache", name).parent == Path("/cache") and len(Path(name).parts) == 1


@pytest.mark.parametrize("text", NO_TEXT)
def test_what_is_no_text_is_refused_everywhere(cache, text):
    for use in (normalise_id, escape, lambda one: ClipRecord(one, source_digest(), None), cache.create_dataset):
        with pytest.raises(ValueError):
            use(text)
    assert sorted(path.name for path in cache.path.iterdir()) == ["sadgr-cache.json"]


@quickly(max_examples=40)
@given(st.lists(any_text, min_size=1, max_size=8, unique_by=normalise_id))
@example(list(dict.fromkeys(map(normalise_id, ODD))))
def test_any_id_goes_through_a_shard(tmp_path, planted, ids):
    spec = planted.specs["text"]
    path = tmp_path / "one.h5"
    records = [planted.record(one, seed=number) for number, one in enumerate(ids)]
    path.write_bytes(encode_shard(spec, records))
    with ShardReader(path, spec.fingerprint, "text") as shard:
        assert shard.ids == [normalise_id(one) for one in ids]
        for row, one in enumerate(ids):
            np.testing.assert_array_equal(shard.arrays(one, row)["words"], records[row].arrays["words"])
    with h5py.File(path) as file:
        assert sorted(file) == ["clips", "ids", "mean", "present", "sources"]
        assert set(file["clips"]) == {escape(one) for one in ids}
    assert [one.name for one in tmp_path.iterdir() if one.name not in ("one.h5", "cache")] == []


def test_odd_ids_go_through_a_feature_set_and_its_index(text_set, planted):
    ids = sorted({normalise_id(one) for one in ODD})
    planted.write(text_set, *(planted.record(one, seed=number) for number, one in enumerate(ids)))
    text_set.entries().index.save(text_set.path)
    again = FeatureSet(text_set.path)
    assert sorted(again.entries()) == ids and again.vectors("mean")[0] == ids
    for number, one in enumerate(ids):
        np.testing.assert_array_equal(again.read(one)["mean"], planted.arrays("text", seed=number)["mean"])


def labelled(ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"mode": "train", "text": ids}, index=pd.Index(ids, name="id"))


@quickly(max_examples=100)
@given(st.lists(any_text.filter(lambda one: "\r" not in one), min_size=1, max_size=8, unique_by=normalise_id))
@example([normalise_id(one) for one in ODD])
def test_any_id_goes_through_labels(tmp_path, ids):
    ids = list(map(normalise_id, ids))
    (tmp_path / "labels.csv").unlink(missing_ok=True)
    write_labels(tmp_path, labelled(ids))
    table = read_labels(tmp_path)
    assert table.index.tolist() == ids and table["text"].tolist() == ids
    assert write_labels(tmp_path, labelled(ids)) == []


@quickly(max_examples=100)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
@example([1.7976931348623157e308, 5e-324, 0.1 + 0.2])
def test_any_number_goes_through_labels(tmp_path, numbers):
    (tmp_path / "labels.csv").unlink(missing_ok=True)
    write_labels(tmp_path, pd.DataFrame({"label": numbers}, index=[f"c{n}" for n in range(len(numbers))]))
    assert read_labels(tmp_path)["label"].tolist() == numbers


def short(text: str) -> bool:
    return len(escape(text)) <= 255 and normalise_id(text) != "runs"


@quickly(max_examples=60)
@given(any_text.filter(short))
def test_any_data_set_name_stays_below_the_cache(tmp_path, name):
    root = tmp_path / "root"
    cache = FeatureCache.create(root / "cache")
    data = cache.create_dataset(name)
    write_labels(data.path, labelled(["a"]))
    assert data.path.parent == cache.path and data.path.resolve().parent == cache.path.resolve()
    assert cache[normalise_id(name)].name == normalise_id(name)
    assert {path.name for path in root.iterdir()} == {"cache"}
    shutil.rmtree(root)


def test_a_data_set_name_that_no_file_system_takes_is_a_clear_error(cache):
    with pytest.raises(CacheError, match="too long"):
        cache.create_dataset("é" * 300)


def test_a_models_name_never_leaves_the_data_sets_folder(cache, planted):
    folder = cache.create_dataset("demo").path
    for model in (*ODD, "../../x", "..", "-", "a/b", "\0"):
        spec = type(planted.specs["text"])("text", model, {"model": model})
        assert create_feature_set(folder, spec).path.parent == folder
        assert spec.name.isascii() and "/" not in spec.name and len(spec.name) <= 80


# --- HDF5


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
    write_labels(one.path.parent, labelled(["a"]))
    (checked,) = verify(FeatureCache(one.path.parents[1]))
    assert checked.fault


# --- small files


@pytest.fixture
def small(text_set, planted):
    """A feature set with a clip, in a data set with labels; its cache's folder."""
    planted.write(text_set, planted.record("a"))
    write_labels(text_set.path.parent, labelled(["a"]))
    return text_set


def spec_file(**changes: object) -> bytes:
    content = {"modality": "text", "model": "x", "settings": {}, "about": {}}
    content.update(changes)
    if "fingerprint" not in content:
        identity = {"schema": 1, "modality": content["modality"], "settings": content["settings"]}
        try:
            content["fingerprint"] = fingerprint(identity)
        except (TypeError, ValueError):
            content["fingerprint"] = "0" * 64
    return json.dumps(content).encode()


SPEC_FILES = {
    "nothing": b"",
    "no JSON": b"{",
    "a pickle": pickle.dumps({"modality": "text"}),
    "no UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "a number": b"7",
    "no keys": b"{}",
    "another modality": spec_file(modality="../x"),
    "a modality that is a list": spec_file(modality=["text"]),
    "a model that is a number": spec_file(model=5),
    "a model that is an object": spec_file(model={"a": 1}),
    "no model": spec_file(model=""),
    "settings that are a list": spec_file(settings=["a"]),
    "settings that are pairs": spec_file(settings=[["a", 1]]),
    "settings that are text": spec_file(settings="abc"),
    "settings that are a number": spec_file(settings=5),
    "settings that are null": spec_file(settings=None),
    "settings with NaN": spec_file(settings={"a": float("nan")}),
    "settings with a lone surrogate": spec_file(settings={"a": "\ud800"}),
    "information that is a list": spec_file(about=["a"]),
    "a fingerprint that is a list": spec_file(fingerprint=[1]),
    "another's fingerprint": spec_file(fingerprint="0" * 64),
    "depth": b'{"modality":"text","model":"x","about":{},"settings":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "a number of 10,000 digits": b'{"modality":"text","model":"x","about":{},"settings":{"a":' + b"9" * 10_000 + b"}}",
}


@pytest.mark.parametrize("content", SPEC_FILES.values(), ids=SPEC_FILES)
def test_a_hostile_description_is_a_clear_error(small, content):
    (small.path / "featureset.json").write_bytes(content)
    try:
        one = FeatureSet(small.path)
        assert one.spec.name and one.encoder_fingerprint
        assert isinstance(dict(one.spec.settings), dict) and isinstance(dict(one.spec.about), dict)
    except CacheError as error:
        assert "featureset.json" in str(error)
        with pytest.raises(CacheError):
            list(feature_sets(small.path.parent))


CACHE_FILES = {
    "nothing": b"",
    "a list": b"[1]",
    "null": b"null",
    "no version": b"{}",
    "another version": b'{"version": 2}',
    "a version in words": b'{"version": "one"}',
    "a version without end": b'{"version": Infinity}',
    "a version that is none": b'{"version": NaN}',
    "a version too large": b'{"version": 1e999}',
    "a version that is null": b'{"version": null}',
    "a version between": b'{"version": 1.5}',
    "a version that is a list": b'{"version": [1]}',
    "no UTF-8": b"\xff{}",
    "depth": b"[" * 100_000,
}


@pytest.mark.parametrize("content", CACHE_FILES.values(), ids=CACHE_FILES)
def test_a_hostile_cache_file_is_a_clear_error(cache, content):
    (cache.path / "sadgr-cache.json").write_bytes(content)
    with pytest.raises(CacheError, match=r"sadgr-cache\.json|format"):
        FeatureCache(cache.path)


LABEL_FILES = {
    "nothing": b"",
    "line ends": b"\n\n\n",
    "no UTF-8": b"id,text\na,\xff\n",
    "UTF-16": "id,text\na,b\n".encode("utf-16"),
    "a pickle": pickle.dumps({"id": ["a"]}),
    "an open quote": b'id,text\n"a,b\n',
    "two columns of a name": b"id,id\na,b\n",
    "an id twice": b"id\na\na\n",
    "an id twice but for NFC": "id\né\ne\u0301\n".encode(),
    "rows longer than the header": b"id,mode\na,train,x\nb,test,y\n",
    "one row longer than the header": b"id,mode\na,train\nb,test,y\n",
    "a comma at the end of each row": b"id,mode\na,train,\nb,test,\n",
    "NUL": b"id,text\na\0b,x\n",
    "an empty id": b"id,mode\n,train\n",
    "only quotes": b'""""""\n',
}


@pytest.mark.parametrize("content", LABEL_FILES.values(), ids=LABEL_FILES)
def test_hostile_labels_are_a_clear_error_or_read_as_they_stand(small, content):
    folder = small.path.parent
    (folder / "labels.csv").write_bytes(content)
    try:
        table = read_labels(folder)
    except CacheError as error:
        assert "labels.csv" in str(error)
        return
    assert not set(table.index) & {"train", "test"}, "columns moved by one"
    assert all(clip and "\0" not in clip and clip.encode() in content for clip in table.index), "no such id can be"
    assert len({normalise_id(clip) for clip in table.index}) == len(table), "an id stands there twice"


def test_labels_name_no_file(small, tmp_path):
    """Ids that are paths are looked up, and nothing else."""
    (tmp_path / "secret").write_text(SECRET)
    data = FeatureCache(small.path.parents[1])["demo"]
    ids = ["../../secret", str(tmp_path / "secret"), "http://localhost/x", "\ud800", "", "a\0b"]
    for clip in data.clips(ids, data.select()):
        assert clip.text_words is None and clip.text_mean is None


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def columns_of(one: FeatureSet) -> dict:
    index = one.entries().index
    return {name: getattr(index, name) for name in ("keys", "digests", "shard", "row", "present")}


def saved(names: list[str], columns: dict, **changes: object) -> bytes:
    """An index as `Index.save` writes it, with a checksum that fits whatever it says."""
    raw = np.frombuffer("\n".join(names).encode("utf-8", "surrogateescape"), np.uint8)
    buffer = io.BytesIO()
    content = {"version": np.array(INDEX_VERSION), "shards": raw, "check": _checksum(columns, raw), **columns}
    np.savez(buffer, **{**content, **changes})
    return buffer.getvalue()


def compressed_wrongly(columns: dict) -> bytes:
    """A zip file whose members claim a method that there is not."""
    whole = bytearray(saved(["x.h5"], columns))
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = whole.find(mark)
        while start >= 0:
            whole[start + place : start + place + 2] = (99).to_bytes(2, "little")
            start = whole.find(mark, start + 1)
    return bytes(whole)


def members(**content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, raw in content.items():
            file.writestr(f"{name}.npy", raw)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def big_header() -> bytes:
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


INDEXES: dict[str, Callable[[list[str], dict, Path], bytes]] = {
    "nothing": lambda n, c, t: b"",
    "no zip": lambda n, c, t: b"hello",
    "a cut zip": lambda n, c, t: saved(n, c)[:-200],
    "the beginning of a zip": lambda n, c, t: saved(n, c)[:40],
    "a zip with a flipped bit": lambda n, c, t: flipped(saved(n, c)),
    "a zip with an unknown method": lambda n, c, t: compressed_wrongly(c),
    "an empty zip": lambda n, c, t: members(),
    "a bare array": lambda n, c, t: npy(np.arange(3)),
    "a pickle": lambda n, c, t: pickle.dumps(Trap(t)),
    "a bare array of objects": lambda n, c, t: objects(t),
    "columns of objects": lambda n, c, t: saved(n, c, keys=np.array([Trap(t)], dtype=object)),
    "names of objects": lambda n, c, t: saved(n, c, shards=np.array([Trap(t)], dtype=object)),
    "a version of objects": lambda n, c, t: saved(n, c, version=np.array([Trap(t)], dtype=object)),
    "members that are pickles": lambda n, c, t: members(keys=pickle.dumps(Trap(t)), shards=pickle.dumps(Trap(t))),
    "an array of a petabyte": lambda n, c, t: members(keys=big_header(), shards=big_header()),
    "several versions": lambda n, c, t: saved(n, c, version=np.arange(3)),
    "a version in words": lambda n, c, t: saved(n, c, version=np.array("one")),
    "a check of numbers": lambda n, c, t: saved(n, c, check=np.arange(3)),
    "names with a slash": lambda n, c, t: saved(["../../secret.h5"], c),
    "an absolute name": lambda n, c, t: saved([str(t.with_name("secret.h5"))], c),
    "a known name and one outside": lambda n, c, t: saved([*n, "../../secret.h5"], c),
    "names that are no UTF-8": lambda n, c, t: saved(["\udcff.h5"], c),
    "names twice": lambda n, c, t: saved([*n, *n], c),
    "names in numbers": lambda n, c, t: saved(n, c, shards=np.array([1e9])),
    "rows far outside": lambda n, c, t: saved(n, {**c, "row": c["row"] + 1_000_000}),
    "rows below zero": lambda n, c, t: saved(n, {**c, "row": c["row"] - 5}),
    "shards far outside": lambda n, c, t: saved(n, {**c, "shard": c["shard"] + 7}),
    "shards below zero": lambda n, c, t: saved(n, {**c, "shard": c["shard"] - 9}),
    "columns of different length": lambda n, c, t: saved(n, {**c, "row": c["row"][:0]}),
    "columns of text": lambda n, c, t: saved(n, {**c, "row": np.array(["x"])}),
    "columns of fractions": lambda n, c, t: saved(n, {**c, "row": np.array([0.5]), "shard": np.array([0.5])}),
    "keys of one word": lambda n, c, t: saved(n, {**c, "keys": c["keys"][:, :1]}),
    "keys of no dimension": lambda n, c, t: saved(n, {**c, "keys": np.array(7)}),
    "digests of one word": lambda n, c, t: saved(n, {**c, "digests": c["digests"][:, :1]}),
}


def flipped(whole: bytes) -> bytes:
    place = len(whole) // 2
    return whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]


def objects(trap: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(trap)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("make", INDEXES.values(), ids=INDEXES)
def test_a_hostile_index_runs_nothing_and_leads_nowhere(small, tmp_path, monkeypatch, make):
    names, columns = [path.name for path in small.shards()], columns_of(small)
    trap = tmp_path / "trap"
    shutil.copy(small.shards()[0], tmp_path / "secret.h5")
    (small.path / INDEX_FILE).write_bytes(make(names, columns, trap))
    opened: list[Path] = []
    real = h5py.File
    monkeypatch.setattr(
        h5py, "File", lambda path, *rest, **more: opened.append(Path(path)) or real(path, *rest, **more)
    )
    one = FeatureSet(small.path)
    expected = small.read("a")
    opened.clear()
    for read in (
        lambda: list(one.entries()) == ["a"],
        lambda: one.read("a")["words"].tolist() == expected["words"].tolist(),
        lambda: one.vectors("mean")[0] == ["a"],
        lambda: one.missing({"a": source_digest(transcript="1")}) == [],
    ):
        with suppress(CacheError):
            assert read(), "believed"
    assert not trap.exists()
    assert {path.resolve().parent for path in opened} <= {small.path.resolve()}


def test_an_index_is_only_believed_about_shards_that_are_there(small):
    index = Index.empty().with_shards(
        ["20990101T000000.000000Z-x-1-00000000.h5"], [Table.of(["z"], ["0" * 64], np.ones(1, bool))]
    )
    index.save(small.path)
    assert list(FeatureSet(small.path).entries()) == ["a"]


# --- the tree


def test_hole_a_feature_set_without_clips_can_be_listed(text_set):
    assert len(text_set.entries()) == 0
    assert list(text_set.entries()) == []


def test_hole_temporary_folders_are_no_feature_sets(small):
    """What `rm` renamed away and did not live to delete, or what is being deleted at this moment."""
    shutil.copytree(small.path, small.path.with_name(".tmp-20260101T000000.000000Z-x-1-00000000"))
    assert [one.name for one in feature_sets(small.path.parent)] == [small.name]


def test_hole_folders_with_other_names_are_no_data_sets(small):
    cache = small.path.parents[1]
    for name in (".tmp-x", "é", "-rf", "%2f"):
        shutil.copytree(small.path.parent, cache / name)
    assert [data.name for data in FeatureCache(cache).datasets()] == ["demo"]
    assert FeatureCache(cache)["demo"].name == "demo"


def test_hole_the_folder_of_run_logs_is_no_data_set(cache):
    with pytest.raises((CacheError, ValueError)):
        cache.create_dataset("runs")


def test_hole_ids_in_labels_are_in_nfc_as_they_are_in_shards(tmp_path):
    write_labels(tmp_path, labelled(["Zoe\u0308"]))
    assert read_labels(tmp_path).index.tolist() == ["Zo\u00eb"]


def test_hole_a_carriage_return_goes_through_labels(tmp_path):
    ids = ["a\rb", "c\r\nd", "\r"]
    write_labels(tmp_path, labelled(ids))
    assert read_labels(tmp_path).index.tolist() == ids
