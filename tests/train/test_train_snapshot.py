"""The trainer's snapshot: built once, shared, rebuilt when the cache changed, never wrong."""

import multiprocessing
from dataclasses import fields, replace

import numpy as np
import pytest

from sadgr.cache import FeatureCache, FeatureWriter, publishing_method
from sadgr.cache.compact import compact
from sadgr.train import snapshot as module
from sadgr.train.snapshot import snapshot


@pytest.fixture
def data(labelled, write_cache):
    clips, labels = labelled(8)
    clips[0] = replace(clips[0], audio_words=None, audio_mean=None, audio_mean_words=None)
    clips[5] = replace(clips[5], video_frames=None, video_seconds=None)
    return FeatureCache(write_cache(clips, labels)).dataset()


def assert_same(found, wanted):
    found, wanted = list(found), list(wanted)
    assert [one.clip_id for one in found] == [one.clip_id for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        for field in fields(one)[1:]:
            left, right = getattr(one, field.name), getattr(other, field.name)
            assert (left is None) == (right is None), field.name
            if left is not None:
                assert left.dtype == right.dtype and left.shape == right.shape
                np.testing.assert_array_equal(left, right)


def ids_of(data):
    return list(data.labels().index)


def test_it_is_what_the_cache_holds_and_is_built_once(data):
    told = []
    ids = ids_of(data)
    for _ in range(2):
        assert_same(snapshot(data, ids, data.select(), told.append).clips(), data.clips(ids, data.select()))
    assert len(told) == 1
    assert_same(snapshot(data, ids[::-2], data.select(), told.append).clips(), data.clips(ids[::-2], data.select()))
    assert len(told) == 2


def test_a_changed_cache_gives_another(data):
    ids, told = ids_of(data), []
    snapshot(data, ids, data.select(), told.append)
    text = data.feature_set("text")
    entry = text.entries()[ids[0]]
    arrays = {name: array + 1 for name, array in text.read(ids[0]).items()}
    from sadgr.cache import ClipRecord

    with FeatureWriter(text, publishing_method(data.path)) as writer:
        writer.add(ClipRecord(ids[0], entry.source, arrays))
    selection = data.select()
    assert_same(snapshot(data, ids, selection, told.append).clips(), data.clips(ids, selection))
    assert len(told) == 2
    compact(text, publishing_method(data.path))
    selection = data.select()
    assert_same(snapshot(data, ids, selection, told.append).clips(), data.clips(ids, selection))


def test_a_damaged_one_is_made_anew(data):
    ids = ids_of(data)
    snapshot(data, ids, data.select(), lambda _: None)
    for name in ("text_words", "snapshot.json"):
        (file,) = (data.path / ".snapshots").glob(f"*/{name}")
        file.write_bytes(file.read_bytes()[:-8])
        assert_same(snapshot(data, ids, data.select(), lambda _: None).clips(), data.clips(ids, data.select()))
    assert not list((data.path / ".snapshots").glob(".tmp*"))


def test_without_the_right_to_write_it_goes_to_the_users_own_folder(data, monkeypatch, tmp_path):
    monkeypatch.setenv("SADGR_HOME", str(tmp_path / "home"))
    real = module._build

    def refuse(home, *rest):
        if home.parent == data.path:
            raise PermissionError(13, "not yours")
        real(home, *rest)

    monkeypatch.setattr(module, "_build", refuse)
    ids = ids_of(data)
    assert_same(snapshot(data, ids, data.select(), lambda _: None).clips(), data.clips(ids, data.select()))
    assert len(list((tmp_path / "home/snapshots").iterdir())) == 1 and not (data.path / ".snapshots").exists()


def build(path, name, start, queue):
    start.wait()
    data = FeatureCache(path)[name]
    ids = ids_of(data)
    try:
        assert_same(snapshot(data, ids, data.select(), lambda _: None).clips(), data.clips(ids, data.select()))
        queue.put("")
    except BaseException as error:
        queue.put(repr(error))


def test_processes_that_build_it_at_once_share_one(data):
    context = multiprocessing.get_context("fork")
    start, queue = context.Event(), context.Queue()
    workers = [context.Process(target=build, args=(data.path.parent, data.name, start, queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    assert [queue.get(timeout=60) for _ in workers] == [""] * 4
    for worker in workers:
        worker.join()
    assert len(list((data.path / ".snapshots").iterdir())) == 1
