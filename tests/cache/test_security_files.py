"""A cache from a stranger: descriptions, labels and indices that lie, and folders that are not what they seem."""

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
import pytest
from hypothesis import HealthCheck, settings

from sadgr.cache import (
    CacheError,
    FeatureCache,
    FeatureSet,
    fingerprint,
    normalise_id,
    read_labels,
    source_digest,
    write_labels,
)
from sadgr.cache.feature_set import feature_sets
from sadgr.cache.index import INDEX_FILE, INDEX_VERSION, Index, Table, _checksum
from tests.cache.tools import labels

SECRET = "the secret"  # noqa: S105
quickly = partial(settings, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def small(text_set, planted):
    """A feature set with a clip, in a data set with labels; its cache's folder."""
    planted.write(text_set, planted.record("a"))
    write_labels(text_set.path.parent, labels(["a"]))
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
    write_labels(tmp_path, labels(["Zoe\u0308"]))
    assert read_labels(tmp_path).index.tolist() == ["Zo\u00eb"]


def test_hole_a_carriage_return_goes_through_labels(tmp_path):
    ids = ["a\rb", "c\r\nd", "\r"]
    write_labels(tmp_path, labels(ids))
    assert read_labels(tmp_path).index.tolist() == ids
