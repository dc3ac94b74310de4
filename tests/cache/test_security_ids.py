"""A cache from a stranger: ids and names that look like paths."""

import shutil
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
    create_feature_set,
    escape,
    normalise_id,
    read_labels,
    source_digest,
    write_labels,
)
from sadgr.cache.shard import encode_shard
from sadgr.cache.shard_reader import ShardReader
from tests.cache.tools import labels

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

any_text = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=300),
    st.text("./-\\ %$~.\u202e\u200f\u0301é", min_size=1, max_size=20),
)
quickly = partial(settings, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


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


@quickly(max_examples=100)
@given(st.lists(any_text.filter(lambda one: "\r" not in one), min_size=1, max_size=8, unique_by=normalise_id))
@example([normalise_id(one) for one in ODD])
def test_any_id_goes_through_labels(tmp_path, ids):
    ids = list(map(normalise_id, ids))
    (tmp_path / "labels.csv").unlink(missing_ok=True)
    write_labels(tmp_path, labels(ids, text=ids))
    table = read_labels(tmp_path)
    assert table.index.tolist() == ids and table["text"].tolist() == ids
    assert write_labels(tmp_path, labels(ids, text=ids)) == []


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
    write_labels(data.path, labels(["a"], text=["a"]))
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
