"""Ray, started for real on two cores: the same cache, whoever is killed meanwhile, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from sadgr.align import Flag, WordTime, one_by_one
from sadgr.cache import RunLog
from sadgr.cache.console import stop_requested
from sadgr.cache.ray_session import RayUnavailableError, check_nodes
from sadgr.extract import cli, engines, ray_engine, ray_session, stages
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.clips import Clip
from sadgr.extract.errors import EngineUnavailableError, ModelUnavailableError, StopRequested
from sadgr.extract.outcome import Report
from sadgr.extract.plan import Plan
from sadgr.extract.presets import Preset
from sadgr.extract.ray_engine import compute_with_ray
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.results import Result
from sadgr.extract.run import run

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (sadgr[ray])")

TEXTS = {f"{number}": "it was the best of times" for number in range(9)}
ODD = {"blind": "so it goes", "broken": "so it goes", "untold": ""}
"""A clip without a picture, one that is no film, one without a transcript."""


@pytest.fixture(scope="module")
def source(tmp_path_factory, make_clip):
    folder = tmp_path_factory.mktemp("ray") / "source"
    for number, name in enumerate([*TEXTS, *ODD]):
        seconds, tone_hz = 1 + number % 4 / 4, 300 + 50 * number
        make_clip(folder / f"Raw/v/{name}.mp4", seconds, picture=name != "blind", tone_hz=tone_hz)
    (folder / "Raw/v/broken.mp4").write_text("this is no film")
    rows = "".join(f"v,{name},{text},1,train\n" for name, text in {**TEXTS, **ODD}.items())
    (folder / "label.csv").write_text("video_id,clip_id,text,label,mode\n" + rows)
    return folder


@pytest.fixture(scope="module")
def models(tiny):
    return {kind: str(tiny(family)) for kind, family in (("text", "bert"), ("audio", "hubert"), ("video", "vit"))}


@pytest.fixture(scope="module")
def ray_here():
    with ray_session.ray_session(None, [], print):
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # its workers cannot import this file
        yield ray


class PlantedAligner:
    """Even times for all words: a tone is no speech."""

    name, settings = "planted", {}

    def align_all(self, utterances):
        return one_by_one(self.align, utterances)

    def align(self, one):
        return tuple(WordTime(word, i / 16, (i + 1) / 16, 0.5, Flag.ALIGNED) for i, word in enumerate(one.words))


@pytest.fixture(scope="module")
def local(source, models, tmp_path_factory, logical_digest):
    """What the local engine makes of the source: its summary and its cache's digest."""
    cache = tmp_path_factory.mktemp("local") / "cache"
    summary = run(request_of(source, models, cache, "local"), PlantedAligner(), lambda: False, lambda _: None)
    return summary, logical_digest(cache)


def request_of(source, models, cache, engine):
    preset = Preset(*(ModelName(folder) for folder in models.values()))
    return Request(source, cache, "demo", Recipe(preset), "cpu", engine=engine)


@pytest.fixture
def extract(source, models, tmp_path, ray_here, monkeypatch):
    """Run an extraction by Ray, so many clips a task; gives its summary, and what was said."""

    def go(together, stop=lambda: False):
        monkeypatch.setattr(ray_engine, "ROUNDS", (together, 1))
        said = []
        request = request_of(source, models, tmp_path / "cache", "ray")
        return run(request, PlantedAligner(), stop, said.append), said

    return go


@needs_ray
def test_the_cache_is_the_local_engines_bit_for_bit(extract, local, tmp_path, logical_digest, monkeypatch):
    def loaded(*_):
        raise AssertionError("weights were loaded where nothing is encoded")

    for encoder in ("TextEncoder", "load_audio_encoder", "VideoEncoder"):
        monkeypatch.setattr(stages, encoder, loaded)
    there, (here, digest) = extract(5)[0], local
    assert logical_digest(tmp_path / "cache") == digest
    assert there.finished and there.done == here.done and there.amounts == here.amounts
    assert outcomes(there) == outcomes(here)
    assert {(clip.removeprefix("v$_$"), stage, state) for clip, stage, state, _ in outcomes(there)} == {
        ("blind", "video", "absent"),
        ("broken", "words", "failed"),
        ("broken", "audio", "failed"),
        ("broken", "video", "failed"),
        ("untold", "words", "flagged"),
        ("untold", "text", "absent"),
    }
    assert all(there.seconds[stage] > 0 for stage in ("text", "audio", "video", "loading", "waiting"))


def outcomes(summary):
    return {(one.clip_id, one.stage, one.state, one.reason) for one in summary.troubles}


def slow(make, folder, seconds, *arguments, **named):
    """Stages whose encoders take longer, and say who they are and when they begin."""
    made = make(*arguments, **named)
    for stage in made:

        def slower(batch, stage=stage, encode=stage.encode):
            (folder / f"{stage.name}-{os.getpid()}").touch()
            time.sleep(seconds)
            return encode(batch)

        stage.encode = slower
    return made


@needs_ray
def test_killed_workers_lose_nothing(extract, local, tmp_path, logical_digest, monkeypatch):
    """One that decodes is killed as soon as there is one, an encoder with its first results in the log and more in hand."""
    pids = tmp_path / "pids"
    pids.mkdir()
    monkeypatch.setattr(engines, "make_stages", partial(slow, engines.make_stages, pids, 0.1))
    killed = {}

    def kill():
        while len(killed) < 2:
            ripe = {"_decode", *(["_Encoders"] if '"stage": "audio"' in log_of(tmp_path / "cache") else [])}
            for pid, title in workers(ripe - killed.keys()):
                os.kill(pid, signal.SIGKILL)
                killed[title] = pid
            time.sleep(0.01)

    Thread(target=kill, daemon=True).start()
    there, said = extract(2)
    assert killed.keys() == {"_decode", "_Encoders"}
    assert (pids / f"audio-{killed['_Encoders']}").exists() and len(list(pids.glob("audio-*"))) == 2
    assert there.finished and logical_digest(tmp_path / "cache") == local[1]
    assert any("died" in line for line in said), said


def log_of(cache):
    return "".join(log.read_text() for log in cache.glob("runs/*.jsonl"))


def workers(titles):
    """Processes below the Ray that this process started, whose name holds one of these; with that."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (folder / "cmdline").read_text()
            for title in (title for title in titles if f"({title})" in name):
                if parent(parent(int(folder.name))) == os.getpid():
                    yield int(folder.name), title


def parent(pid):
    return int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def deadly(make, *arguments, **named):
    """Stages that no process survives which meets clip 4."""
    made = make(*arguments, **named)
    for stage in made:

        def prepare(clip, *rest, real=stage.prepare):
            if clip.clip_id == "v$_$4":
                os.kill(os.getpid(), signal.SIGKILL)
            return real(clip, *rest)

        stage.prepare = prepare
    return made


@needs_ray
@pytest.mark.slow
def test_a_clip_that_kills_whoever_takes_it_costs_no_other(extract, monkeypatch):
    monkeypatch.setattr(engines, "make_stages", partial(deadly, engines.make_stages))
    # Fewer than there are, for the test's time: clips that wait beside it are lost along, until a retry finds them alone.
    monkeypatch.setattr(ray_engine, "RETRIES", 2)
    there, _ = extract(20)
    assert there.finished
    found = {(clip, stage): reason for clip, stage, state, reason in outcomes(there) if clip == "v$_$4"}
    assert {stage for _, stage in found} == {"text", "audio", "video"}
    assert all("died 6 times" in reason for reason in found.values())
    assert there.done["text"] == len(TEXTS) + len(ODD) - 2 and there.done["video"] == len(TEXTS) + len(ODD) - 3


@needs_ray
def test_a_node_that_does_not_see_the_cache_is_named(ray_here, tmp_path):
    check_nodes([tmp_path], "it")
    with pytest.raises(RayUnavailableError, match=r"node [0-9.]+ of the cluster does not see .*/gone: it must lie"):
        check_nodes([tmp_path, tmp_path / "gone"], "it")


@needs_ray
def test_what_goes_wrong_in_an_actor_is_raised_here(extract, monkeypatch):
    monkeypatch.setattr(engines, "make_stages", partial(unloadable, engines.make_stages))
    with pytest.raises(ModelUnavailableError, match="planted") as caught:
        extract(20)
    assert "In a process of Ray's" in "".join(caught.value.__notes__)


def unloadable(make, *arguments, **named):
    made = make(*arguments, **named)

    def load():
        raise ModelUnavailableError("planted")

    made[0].load = load
    return made


SLOW = """
import sys, time
from functools import partial
from pathlib import Path
from sadgr.align import evenly_spaced, one_by_one
from sadgr.extract import cli, engines, ray_engine
from sadgr.extract.aligner_options import AlignerOptions

class Planted:
    name, settings = "planted", {}
    def align(self, one):
        return evenly_spaced(one.words, one.duration_seconds)
    def align_all(self, utterances):
        return one_by_one(self.align, utterances)

def slow(make, *arguments, **named):
    made = make(*arguments, **named)
    real = made[-1].encode
    def encode(batch, seen=[]):
        seen.append(batch)
        if len(seen) > 2:
            time.sleep(300)
        return real(batch)
    made[-1].encode = encode
    return made

AlignerOptions.build = lambda *_: Planted()
engines.make_stages = partial(slow, engines.make_stages)
ray_engine.ROUNDS = (1,)
cli.main(sys.argv[1:])
"""
"""The command, with a video encoder that never ends with its third clip."""


@pytest.mark.slow
@needs_ray
def test_a_signal_is_answered_within_ten_seconds_and_nothing_is_left(source, models, tmp_path):
    mark = uuid.uuid4().hex
    named = [part for kind, folder in models.items() for part in (f"--{kind}-model", folder)]
    options = [*named, "--dataset", "demo", "--device", "cpu", "--engine", "ray", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(source), "cache", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "SADGR_MARK": mark},
    )
    deadline = time.monotonic() + 60
    while log_of(tmp_path / "cache").count('"stage": "video"') < 2:
        assert process.poll() is None and time.monotonic() < deadline, (process.kill(), process.communicate())
        time.sleep(0.05)
    begun = time.monotonic()
    assert len(marked(mark)) > 5
    process.send_signal(signal.SIGTERM)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 75 and time.monotonic() - begun < 10, told
    summary = json.loads(out)
    assert not summary["finished"] and summary["done"]["video"] >= 2 and summary["left"] > 0
    assert list((tmp_path / "cache").rglob("video-*/*.h5")), "what was done was not published"
    known = ("demo: ", "reading media", "12 of 12", "Ray started", "word times", "SIGTERM", "v$_$", "clips: ")
    assert all(line.startswith(known) for line in told.splitlines()), told
    while left := marked(mark):
        assert time.monotonic() - begun < 30, left
        time.sleep(0.1)


def marked(mark):
    """Processes that were given this mark in their environment, and live."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_text(errors="replace"):
                found[int(folder.name)] = (folder / "cmdline").read_text()[:80]
    return found


def test_without_ray_one_line_says_what_to_install(source, tmp_path, monkeypatch):
    monkeypatch.setattr("sadgr.cache.ray_session.find_spec", lambda _: None)
    told = CliRunner().invoke(cli.main, [str(source), str(tmp_path / "cache"), "--engine", "ray"])
    assert told.exit_code == 2 and 'pip install "sadgr[ray]"' in told.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "head:6379"], "add --engine ray"),
        (["--engine", "ray", "--devices", "cuda:0,cuda:1"], "leave --devices out"),
        (["--engine", "ray", "--device", "cuda:1"], "a GPU of its own"),
        (["--engine", "ray", "--address", "ray://head:10001"], "name a cluster by HOST:PORT"),
    ],
)
def test_options_that_contradict_each_other(source, tmp_path, options, message):
    told = CliRunner().invoke(cli.main, [str(source), str(tmp_path / "cache"), *options])
    assert told.exit_code == 2 and message in told.stderr


@needs_ray
def test_a_signal_while_ray_starts_is_this_processs_to_answer(monkeypatch):
    def start(*_, **__):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    for name, stand_in in (("init", start), ("is_initialized", lambda: False), ("shutdown", lambda: None)):
        monkeypatch.setattr(f"ray.{name}", stand_in)
    with stop_requested() as stop, pytest.raises(StopRequested), ray_session.ray_session(None, [], print):
        pytest.fail("Ray did not start")
    assert stop()


@needs_ray
def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    def start(*_, **__):
        raise ConnectionError("nobody there")

    for name, stand_in in (("init", start), ("is_initialized", lambda: False), ("shutdown", lambda: None)):
        monkeypatch.setattr(f"ray.{name}", stand_in)
    with (
        pytest.raises(EngineUnavailableError, match="no Ray cluster answers at head:6379: nobody there"),
        ray_session.ray_session("head:6379", [], print),
    ):
        pytest.fail("no cluster was joined")


def planned(ids):
    todo = {"audio": frozenset(ids)}
    return Plan({"audio": frozenset({"mean"})}, {}, todo, {"audio": {}}, {})


class Wordless:
    name = "audio"

    def wanted(self, clip):
        return None


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Let Ray give these, round by round; returns what the engine makes of it."""

    def go(*rounds, ids="abc"):
        left = iter(rounds)
        monkeypatch.setattr(ray_engine, "_stream", lambda *_: iter(next(left)))
        monkeypatch.setattr(ray_engine, "_pool", lambda _: ray_engine._Pool("cpu", 1, 1, 0))
        with RunLog(tmp_path, {}) as log:
            report = Report(log, "demo")
            clips = [Clip(one, "") for one in ids]
            found = list(compute_with_ray(clips, planned(ids), lambda _: [Wordless()], "cpu", report))
        return [(one.clip_id, one.state) for one in found]

    return go


def done(*ids):
    return ray_engine._Done([Result(one, "audio", "done") for one in ids])


def test_what_comes_twice_is_dropped_and_what_never_comes_is_asked_for_again(given):
    assert given([done("a", "b"), done("b")], [done("c"), done("a")]) == [("a", "done"), ("b", "done"), ("c", "done")]


def test_what_does_not_come_the_second_time_either_has_failed(given):
    assert given([done("a", "b")], []) == [("a", "done"), ("b", "done"), ("c", "failed")]


def test_where_nothing_comes_ray_is_at_fault(given):
    with pytest.raises(EngineUnavailableError, match="gave nothing back"):
        given([], [])


@pytest.mark.parametrize(
    ("has", "device", "pool"),
    [
        ({"CPU": 64.0, "GPU": 4.0}, "auto", ("cuda", 4, 0, 1)),
        ({"CPU": 64.0, "GPU": 4.0}, "cpu", ("cpu", 32, 1.0, 0)),
        ({"CPU": 2.0}, "auto", ("cpu", 1, 1.0, 0)),
        ({"CPU": 1.0}, "auto", ("cpu", 1, 0.5, 0)),  # room for one that decodes, too
    ],
)
@needs_ray
def test_encoders_go_by_what_the_cluster_has(monkeypatch, has, device, pool):
    import ray

    monkeypatch.setattr(ray, "cluster_resources", lambda: has)
    assert ray_engine._pool(device) == pool


@needs_ray
def test_a_cluster_without_gpus_is_no_cuda(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    with pytest.raises(ModelUnavailableError, match="no node of the Ray cluster offers a GPU"):
        ray_engine._pool("cuda")
