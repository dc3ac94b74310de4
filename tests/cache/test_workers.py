"""Reading from DataLoader workers, forked and spawned; and opening nothing before it is needed."""

import importlib
import pickle
from functools import partial

import h5py
import numpy as np
import pandas as pd
import pytest

from sadgr.cache import ClipRecord, FeatureCache, FeatureSet, create_feature_set, source_digest, write_labels

# A module of its own, since a spawned worker cannot import a test file.
JOBS = """
def clip(cache, dataset, clip_id):
    data = cache[dataset]
    (found,) = data.clips([clip_id], data.select())
    return found


def shared_clip(data, selection, clip_id):
    (found,) = data.clips([clip_id], selection)
    return found
"""
IDS = [f"clip{number}" for number in range(10)]


@pytest.fixture
def filled(cache, planted):
    """Ten clips in several shards, one of them superseded, one absent."""
    data = cache.create_dataset("demo")
    write_labels(data.path, pd.DataFrame({"mode": "train"}, index=pd.Index(IDS, name="id")))
    for modality, spec in planted.specs.items():
        one = create_feature_set(data.path, spec)
        planted.write(one, *(planted.record(clip, modality, seed=n) for n, clip in enumerate(IDS[:6])))
        planted.write(one, *(planted.record(clip, modality, seed=n + 50) for n, clip in enumerate(IDS[5:9])))
        planted.write(one, ClipRecord(IDS[9], source_digest(), None))
    return FeatureCache(cache.path)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/sadgr_worker_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path / "jobs"))
    return importlib.import_module("sadgr_worker_jobs")


def in_workers(job, method: str) -> list:
    from torch.utils.data import DataLoader

    # With no batches, `collate_fn` is called on each id, in the worker.
    return list(DataLoader(IDS, batch_size=None, collate_fn=job, num_workers=2, multiprocessing_context=method))


def same_arrays(found, expected) -> None:
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def same_clips(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.clip_id == other.clip_id
        same_arrays(present(one), present(other))


def present(clip) -> dict:
    return {name: value for name, value in vars(clip).items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("used_before", [False, True], ids=["opened before", "used before"])
def test_a_feature_set_is_read_in_workers(filled, planted, method, used_before):
    one = filled["demo"].feature_set("audio")
    if used_before:
        one.read(IDS[0]), one.read(IDS[7])
    for found, clip in zip(in_workers(one.read, method), IDS, strict=True):
        same_arrays(found, FeatureSet(one.path).read(clip))
    for clip in IDS:  # the parent's own files are still open, and still its own
        same_arrays(one.read(clip), FeatureSet(one.path).read(clip))
    later = planted.arrays("audio", seed=50)
    np.testing.assert_array_equal(one.read(IDS[5])["words"], later["words"])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_whole_clips_are_read_in_workers(filled, jobs, method):
    data = filled["demo"]
    selection = data.select()
    expected = list(data.clips(IDS, selection))  # the parent has read all shards, and keeps them open
    assert len(present(expected[0])) == 7 and not present(expected[9])
    same_clips(in_workers(partial(jobs.shared_clip, data, selection), method), expected)
    same_clips(in_workers(partial(jobs.clip, filled, "demo"), method), expected)
    same_clips(list(data.clips(IDS, selection)), expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_word_times_are_read_in_workers(filled, method):
    data = filled["demo"]
    words = data.feature_set("words")
    job = partial(data.word_times, feature_set=words)
    for found, clip in zip(in_workers(job, method), IDS, strict=True):
        expected = data.word_times(clip, words)
        same_arrays(found and vars(found), expected and vars(expected))


def test_opening_opens_no_shard(filled, monkeypatch):
    opened: list = []
    real = h5py.File

    def counted(*arguments, **options):
        opened.append(arguments[0])
        return real(*arguments, **options)

    monkeypatch.setattr(h5py, "File", counted)
    cache = FeatureCache(filled.path)
    data = cache["demo"]
    assert data.labels().index.tolist() == IDS
    assert [one.name for one in data.feature_sets()] and data.feature_set("text").fingerprint
    selection = data.select()
    text = FeatureSet(selection.text.path)
    assert len(text.shards()) == 3 and text.spec.modality == "text"
    clips = data.clips(IDS, selection)
    pickle.loads(pickle.dumps((cache, data, selection)))  # noqa: S301
    assert opened == []
    next(clips)
    assert opened, "the wrapper does not see what is opened"
    opened.clear()
    assert text.read(IDS[0]) is not None
    assert {path.parent for path in opened} == {text.path}
