"""docs/cache-format.md is what the package does: a committed cache, a second reader, and the page's own vectors."""

import hashlib
import importlib.util
import json
import math
import re
import shutil
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    RunLog,
    canonical_json,
    create_feature_set,
    escape,
    fingerprint,
    normalise_id,
    source_digest,
    unescape,
    write_labels,
)
from sadgr.cache.compact import compact
from sadgr.cache.failures import failures
from sadgr.cache.schema import ARRAYS
from sadgr.cache.shard import encode_shard
from sadgr.cache.upkeep import verify

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/cache-format.md").read_text(encoding="utf-8")
V1 = HERE / "data/v1"
KNOWN = json.loads((HERE / "data/v1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def independent() -> ModuleType:
    found = importlib.util.spec_from_file_location("independent_reader", HERE / "independent_reader.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    assert not [name for name in vars(module) if "sadgr" in name]
    return module


@pytest.fixture
def v1(tmp_path: Path) -> FeatureCache:
    """A copy, so that no test can ever change the files that say what version 1 is."""
    return FeatureCache(shutil.copytree(V1, tmp_path / "v1"))


def digest(array: np.ndarray) -> dict:
    """As tests/cache/make_v1.py has it, said once more."""
    if array.dtype.kind == "U":
        raw, kind = b"".join(word.encode() + b"\0" for word in array.tolist()), "text"
    else:
        raw, kind = array.astype(array.dtype.newbyteorder("<")).tobytes(order="C"), array.dtype.name
    return {"shape": list(array.shape), "dtype": kind, "sha256": hashlib.sha256(raw).hexdigest()}


def digests(arrays: dict | None) -> dict | None:
    return None if arrays is None else {name: digest(array) for name, array in arrays.items()}


def by_package(cache: FeatureCache) -> dict:
    """Data set -> feature set -> id -> digests."""
    return {
        data.name: {one.name: {clip: digests(one.read(clip)) for clip in one.entries()} for one in data.feature_sets()}
        for data in cache.datasets()
    }


def blocks() -> list:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


# --- the committed cache


def test_version_1_is_read_for_ever(v1):
    for name, known in KNOWN.items():
        data = v1[name]
        assert {one.name for one in data.feature_sets()} == known["features"].keys()
        for one in data.feature_sets():
            entries, records = one.entries(), known["features"][one.name]
            assert not one.invalid
            assert {clip: entry.source for clip, entry in entries.items()} == {
                clip: record["source"] for clip, record in records.items()
            }
            for clip, record in records.items():
                assert digests(one.read(clip)) == record["arrays"], (name, one.name, clip)
    assert {data.name for data in v1.datasets()} == KNOWN.keys()


def test_labels_of_version_1_are_read_for_ever(v1):
    for name, known in KNOWN.items():
        table = v1[name].labels().astype(object)
        assert table.where(table.notna(), None).to_dict(orient="index") == known["labels"]


def test_run_logs_of_version_1_are_read_for_ever(v1):
    (state,) = failures(v1)
    assert (state.dataset, state.clip, state.stage, state.state) == ("demo", "gone. ", "text", "absent")


def test_the_committed_cache_is_whole_and_small(v1):
    assert [one.fault for one in verify(v1)] == [""] * 7
    assert sum(path.stat().st_size for path in V1.rglob("*") if path.is_file()) < 200_000


def test_compacting_version_1_changes_nothing_that_counts(v1):
    before = by_package(v1)
    for data in v1.datasets():
        for one in data.feature_sets():
            compact(one, "link")
    assert by_package(FeatureCache(v1.path)) == before


# --- the second reader


def same_labels(table: pd.DataFrame, cells: dict) -> None:
    """Columns of numbers hold the cells' numbers, NaN where a cell is empty; all others hold the cells."""
    assert list(table.index) == list(cells)
    for column in table.columns:
        for clip, value in table[column].items():
            cell = cells[clip][column]
            if pd.api.types.is_numeric_dtype(table[column]):
                assert math.isnan(value) if cell == "" else value == float(cell), (clip, column)
            else:
                assert value == cell, (clip, column)


def same(cache: FeatureCache, independent: ModuleType) -> None:
    read = independent.read_cache(cache.path)
    for name, found in read.items():
        same_labels(cache[name].labels(), found.pop("labels"))
    seen = {
        name: {one: {clip: digests(arrays) for clip, arrays in clips.items()} for one, clips in found.items()}
        for name, found in read.items()
    }
    assert seen == by_package(cache)


def test_the_second_reader_agrees_on_version_1(v1, independent):
    same(v1, independent)


def test_the_second_reader_agrees_on_a_new_cache(cache, planted, independent):
    data = cache.create_dataset("..new/Zoë")
    rows = pd.DataFrame({"mode": ["train", ""], "label": [0.1, np.nan], "text": ["a,b\n", "NA"]}, index=["a", "-b/ü"])
    write_labels(data.path, rows.rename_axis("id"))
    for modality, spec in planted.specs.items():
        one = create_feature_set(data.path, spec)
        planted.write(one, planted.record("a", modality), ClipRecord("gone", source_digest(), None))
        planted.write(one, planted.record("-b/ü", modality, words=2, seed=2))
        planted.write(one, planted.record("a", modality, seed=3, version="2"), planted.record("gone", modality))
        if modality in ("text", "audio"):
            compact(one, "link")
            planted.write(one, planted.record("-b/ü", modality, words=0 if modality == "text" else 4, version="3"))
    same(cache, independent)


def test_the_second_reader_refuses_what_it_must(v1, independent):
    shard = v1["demo"].feature_set("audio").shards()[0]
    whole = shard.read_bytes()
    for damaged in (whole[:-1], whole + b"\0", whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], whole[512:]):
        shard.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            independent.read_cache(v1.path)


# --- what the page says


def test_the_pages_escaped_names_hold():
    vectors = next(block for block in blocks() if "-rf" in block)
    assert len(vectors) > 15
    for clip_id, name in vectors.items():
        assert escape(clip_id) == name
        assert unescape(name) == normalise_id(clip_id)


def test_the_pages_fingerprint_holds():
    vector = next(block for block in blocks() if "canonical" in block)
    assert canonical_json(vector["value"]).decode() == vector["canonical"]
    assert hashlib.sha256(vector["canonical"].encode()).hexdigest() == vector["sha256"]
    assert fingerprint(vector["value"]) == vector["sha256"]


def test_the_page_says_how_numbers_are_written():
    numbers = [0.5, -0.0, 100000.0, 1e-5, 1.5e16, 1e-250, 1e-4, 9999999999999998.0, 1e16, 0.1 + 0.2, 5e-324]
    for number in numbers:
        text, size = canonical_json(number).decode(), abs(number)
        plain = size == 0 or 1e-4 <= size < 1e16
        assert re.fullmatch(r"-?\d+\.\d+" if plain else r"-?\d(\.\d+)?e[+-]\d{2,}", text), text
        assert float(text) == number
    assert canonical_json('\b\f\n\r\t\x00\x1f\x7f/"\\é').decode() == '"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f/\\"\\\\é"'


def test_the_pages_small_files_are_the_packages(cache):
    assert json.loads((cache.path / "sadgr-cache.json").read_text()) == next(one for one in blocks() if "format" in one)
    line = next(block for block in blocks() if "stage" in block)
    with RunLog(cache.path, {}) as log:
        log.clip(line["dataset"], line["clip"], line["state"], line["stage"], line["reason"], line["seconds"])
    assert log.path.read_text(encoding="utf-8").splitlines() == ['{"run": {}}', json.dumps(line)]


def test_the_page_knows_every_array():
    said: dict = {}
    last = ""
    rows = re.findall(r"^\| (\w*) ?\| `(\w+)` \| \((.*?),?\) \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
    for modality, name, axes, kind, what in rows:
        last = modality or last
        said.setdefault(last, {})[name] = (axes.count(",") + 1, kind, what.endswith("; required"), "row of `/" in what)
    rules = {
        modality: {
            name: (rule.ndim, rule.dtype.replace("str", "text"), rule.required, rule.flat)
            for name, rule in arrays.items()
        }
        for modality, arrays in ARRAYS.items()
    }
    assert said == rules


def test_the_page_knows_every_table(tmp_path, planted):
    said = set(re.findall(r"`/(\w+)`", "".join(re.findall(r"^\| `/.*?\|", PAGE, re.MULTILINE))))
    found = set()
    for modality, spec in planted.specs.items():
        path = tmp_path / f"{modality}.h5"
        path.write_bytes(encode_shard(spec, [planted.record("a", modality)]))
        with h5py.File(path) as file:
            found |= file.keys()
    assert said == found - {"clips"} and "`/clips/ESCAPED ID/ARRAY`" in PAGE


def test_the_header_is_as_the_page_says(planted):
    whole = encode_shard(planted.specs["text"], [planted.record("a")])
    d = len(str(len(whole) - 512))
    lines = [int(start) for start in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)]
    assert lines == [0, 14, 90] and f"| {97} + d | 72 |" in PAGE and "| 169 + d | 343 - d |" in PAGE
    assert whole[:14] == b"SADGR shard 1\n"
    assert whole[14:90] == f"featureset {planted.specs['text'].fingerprint}\n".encode()
    assert whole[90 : 97 + d] == f"bytes {len(whole) - 512}\n".encode()
    assert whole[97 + d : 169 + d] == f"sha256 {hashlib.sha256(whole[512:]).hexdigest()}\n".encode()
    assert whole[169 + d : 512] == bytes(343 - d)


def test_the_hdf5_part_is_as_the_page_says(tmp_path, planted):
    path = tmp_path / "one.h5"
    records = [planted.record("a", "words", words=2), planted.record("b", "words", words=0)]
    path.write_bytes(encode_shard(planted.specs["words"], [*records, ClipRecord("c", source_digest(), None)]))
    with h5py.File(path) as file:
        assert file.userblock_size == 512 and list(file["clips"]) == ["a", "b"] and not file.attrs
        for name in ("ids", "sources", "clips/a/text", "clips/b/text"):
            kind = file[name].id.get_type()
            assert kind.get_cset() == h5py.h5t.CSET_UTF8 and kind.get_strpad() == h5py.h5t.STR_NULLPAD
        assert file["clips/a/text"].dtype.itemsize == len("wört0".encode()) and file["clips/b/text"].dtype.itemsize == 1
        assert file["clips/b/start"].shape == (0,) and file["clips/b/start"].chunks == (1,)
        for name in ("ids", "present", "clips/a/start", "clips/b/text"):
            made = file[name].id.get_create_plist()
            assert [made.get_filter(n)[0] for n in range(made.get_nfilters())] == [h5py.h5z.FILTER_FLETCHER32]
    base_address = path.read_bytes()[512 + 12 : 512 + 20]
    assert path.read_bytes()[512 + 8] in (2, 3) and int.from_bytes(base_address, "little") == 512


# --- holes


def test_hole_words_of_a_clip_without_words_are_text_again_after_a_compaction(cache, planted):
    one = create_feature_set(cache.create_dataset("demo").path, planted.specs["words"])
    planted.write(one, planted.record("mute", "words", words=0))
    assert one.read("mute")["text"].dtype.kind == "U"
    planted.write(one, planted.record("b", "words"))
    compact(one, "link")
    with h5py.File(one.shards()[0]) as file:
        assert file["clips/mute/text"].dtype.kind == "S"
