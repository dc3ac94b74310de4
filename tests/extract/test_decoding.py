"""Decoders that hang, crash and eat memory take neither a run nor another clip along."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from sadgr.cache import FeatureCache
from sadgr.cache.failures import failures
from sadgr.extract import decoding
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.clips import Medium
from sadgr.extract.decoding import Decoders, Wanted
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.sampling import Sampling
from sadgr.extract.presets import Preset
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.run import run

# What a file's name asks for, the first time that it is decoded; with `twice` every time. Workers import it by its name.
PLANTED = """
import os, signal, time
from pathlib import Path
import numpy as np
from sadgr.extract import decoding
from sadgr.extract.media.errors import MediaError, StreamAbsent

def misbehave(name):
    mark = Path(__file__).with_name(f"{name}.tried")
    if mark.exists() and "twice" not in name:
        return
    mark.touch()
    if "hang" in name:
        while True:
            time.sleep(1)
    if "crash" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "eat" in name:
        eaten = []
        while True:
            eaten.append(np.ones(2**22))

def decode(wanted):
    name = wanted.medium.path.name
    if "absent" in name:
        raise StreamAbsent(f"{name} has no sound")
    if "broken" in name:
        raise MediaError(f"{name} is broken")
    if "nfs" in name:
        raise TimeoutError(110, "Connection timed out")
    if "bug" in name:
        raise KeyError("unexpected")
    misbehave(name)
    return np.full(4, int(name.split("-")[0]), np.float32)

def decode_medium(wanted):
    if wanted.sampling is not None:
        misbehave(wanted.medium.path.name)
    return decoding.decode_medium(wanted)
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The planted decoders, where workers find them."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "planted_decoders.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(folder)
    import planted_decoders

    yield planted_decoders
    import sys

    del sys.modules["planted_decoders"]


def wanted(name: str) -> Wanted:
    return Wanted(Medium(Path("/media") / name))


def test_each_kind_of_misbehaviour_is_retried_and_the_others_go_on(planted):
    names = ["1-fine", "2-hang", "3-crash", "4-eat", "5-fine", "6-hang-twice", "7-crash-twice", "8-eat-twice", "9-fine"]
    names += ["10-absent", "11-broken", "12-bug", "13-fine"]
    results, troubles = {}, {}
    with Decoders(2, deadline_seconds=3, memory_bytes=3 * 2**27, decode=planted.decode) as decoders:
        for name, pending in decoders.ahead(names, lambda name: decoders.begin(wanted(name))):
            try:
                results[name] = pending.result()
            except MediaError as error:
                troubles[name] = error
    assert sorted(results) == sorted(name for name in names if "fine" in name or name in ("2-hang", "3-crash", "4-eat"))
    for name, decoded in results.items():
        assert decoded.content.tolist() == [int(name.split("-")[0])] * 4
        assert bool(decoded.trouble) == ("fine" not in name)
    assert "hung and was killed after 3 s" in results["2-hang"].trouble
    assert "crashed (SIGSEGV)" in results["3-crash"].trouble
    assert "more memory" in results["4-eat"].trouble
    assert all("a second try went well" in results[name].trouble for name in ("2-hang", "3-crash", "4-eat"))
    for name, word in (("6-hang-twice", "hung"), ("7-crash-twice", "crashed"), ("8-eat-twice", "memory")):
        assert str(troubles[name]).count(word) == 2 and f"/media/{name}" in str(troubles[name])
    assert isinstance(troubles["10-absent"], StreamAbsent) and str(troubles["11-broken"]) == "11-broken is broken"
    assert "KeyError" in str(troubles["12-bug"])


def test_no_worker_outlives_its_decoders(planted):
    with Decoders(2, deadline_seconds=60, decode=planted.decode) as decoders:
        hung = [decoders.begin(wanted(f"{number}-hang")) for number in range(2)]
        decoders.begin(wanted("3-fine"))
        deadline = time.monotonic() + 30
        while not (pids := [worker.pid for worker in decoders._pool._pool_manager.worker_manager.workers.values()]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert hung and pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_longer_span_has_a_later_deadline_and_nothing_starts_before_it_is_needed(tmp_path):
    decoders = Decoders(1)
    assert decoders._pool is None
    assert decoders.deadline_of(Wanted(Medium(Path("a")))) == decoding.DEADLINE_SECONDS
    hour = Wanted(Medium(Path("a"), 10.0, 3610.0))
    assert decoders.deadline_of(hour) == decoding.DEADLINE_SECONDS + 3600 * decoding.DEADLINE_PER_SECOND
    film = tmp_path / "film.mp4"
    film.touch()
    os.truncate(film, 10**9)
    assert decoders.deadline_of(Wanted(Medium(film))) == decoding.DEADLINE_SECONDS + 2000


def test_what_is_long_is_not_decoded_ahead_of_its_use(planted):
    """Hours of sound: one is held while its clip is worked on, and no more are begun than the budget has room for."""
    hours = [Wanted(Medium(Path(f"/media/{number}-fine"), 0.0, 3600.0)) for number in range(8)]
    begun = []
    with Decoders(2, decode=planted.decode) as decoders:

        def begin(wanted):
            begun.append(wanted)
            return decoders.begin(wanted)

        for number, (_, pending) in enumerate(decoders.ahead(hours, begin), start=1):
            assert len(begun) - number <= 3  # 230 MB each, of 512
            pending.result()
    assert len(begun) == 8


def test_a_time_out_of_the_file_system_is_no_hang_of_a_decoder(planted):
    with Decoders(1, decode=planted.decode) as decoders, pytest.raises(MediaError, match="Connection timed out"):
        decoders.begin(wanted("1-nfs")).result()


def test_a_run_over_decoders_that_misbehave_loses_only_what_no_second_try_can_do(
    planted, tmp_path, make_clip, tiny, planted_aligner, monkeypatch
):
    """A decoder hangs, crashes and eats memory on three files: a second try gives the same features as fine ones have."""
    import pandas as pd

    names = ["fine", "hang", "crash", "eat", "last"]
    for name in names:
        make_clip(tmp_path / "source" / "Raw" / "v" / f"{name}.mp4")
    (tmp_path / "source" / "Raw" / "v" / "gone.mp4").write_bytes(b"\0" * 4000)
    rows = [("v", name, "so it goes", 1.0, "train") for name in [*names, "gone"]]
    table = pd.DataFrame(rows, columns=["video_id", "clip_id", "text", "label", "mode"])
    table.to_csv(tmp_path / "source" / "label.csv", index=False)
    monkeypatch.setattr(decoding, "DEADLINE_SECONDS", 3.0)
    monkeypatch.setattr(decoding, "MEMORY_BYTES", 2**30)
    monkeypatch.setattr(decoding, "decode_medium", planted.decode_medium)
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))
    request = Request(tmp_path / "source", tmp_path / "cache", "demo", Recipe(models), "cpu")
    summary = run(request, planted_aligner, lambda: False, lambda _: None)
    states = {(one.clip_id.removeprefix("v$_$"), one.stage): one for one in summary.troubles}
    assert {name for (name, _), one in states.items() if one.state == "failed"} == {"gone"}
    for name in ("hang", "crash", "eat"):
        told = states.pop((name, "video"))
        assert told.state == "flagged" and "a second try went well" in told.reason
    data = FeatureCache(tmp_path / "cache")["demo"]
    clips = list(data.clips([f"v$_${name}" for name in names], data.select()))
    for clip in clips[1:]:
        np.testing.assert_allclose(clip.video_frames, clips[0].video_frames, rtol=2e-3, atol=2e-3)
    assert {one.clip for one in failures(FeatureCache(tmp_path / "cache")) if one.state == "failed"} == {"v$_$gone"}


def test_real_media_come_out_of_a_worker_as_they_do_here(make_clip, tmp_path):
    path = make_clip(tmp_path / "a clip \U0001f600.mp4", seconds=2)
    with Decoders(1) as decoders:
        jobs = [Wanted(Medium(path, 0.5, 1.5)), Wanted(Medium(path), Sampling.parse("uniform", 4))]
        sound, frames = (decoders.begin(job).result().content for job in jobs)
    assert np.array_equal(sound.samples, decoding.decode_medium(jobs[0]).samples)
    assert sound.samples.shape == (16000,) and not sound.remark
    here = decoding.decode_medium(jobs[1])
    assert np.array_equal(frames.pixels, here.pixels) and np.array_equal(frames.seconds, here.seconds)
