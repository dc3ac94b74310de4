"""Several devices of one host: real processes that share the clips out, are stopped and killed, and go on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sadgr.extract import cli, devices
from sadgr.extract.devices import Ended, added_up, devices_of, exit_code, parts_of, together
from sadgr.extract.shard import Shard

SLOW = """
import sys, time
from sadgr.align import Flag, WordTime, one_by_one
from sadgr.extract import cli, devices, stages
from sadgr.extract.aligner_options import AlignerOptions

class Planted:
    name, settings = "planted", {}
    def align_all(self, utterances):
        return one_by_one(self.align, utterances)
    def align(self, one):
        return tuple(WordTime(word, i / 8, (i + 1) / 8, 1.0, Flag.ALIGNED) for i, word in enumerate(one.words))

AlignerOptions.build = lambda *_: Planted()
for stage in (stages.TextStage, stages.AudioStage, stages.VideoStage):
    def encode(self, batch, real=stage.encode):
        time.sleep(0.1 * len(batch))
        return real(self, batch)
    stage.encode, stage.at_once = encode, 2
devices.PROGRAM = sys.orig_argv[:3]
cli.main(sys.argv[1:])
"""
"""The command, three tenths of a second a clip and with an aligner that needs no speech; so are the processes it starts."""
VIDEOS, SEGMENTS = 8, 2


@pytest.fixture(scope="module")
def source(tmp_path_factory, make_clip):
    """16 clips, and one that is broken."""
    folder = tmp_path_factory.mktemp("many") / "source"
    rows = ["v0,broken,so it goes,1,train"]
    for video in range(VIDEOS):
        for number in range(SEGMENTS):
            seconds, tone_hz = 1 + 0.25 * ((video + number) % 3), 300 + 40 * video
            make_clip(folder / f"Raw/v{video}/{number}.mp4", seconds=seconds, tone_hz=tone_hz)
            rows.append(f"v{video},{number},so it goes{' again' * number},{number},train")
    (folder / "Raw/v0/broken.mp4").write_text("this is no film")
    (folder / "label.csv").write_text("video_id,clip_id,text,label,mode\n" + "".join(f"{row}\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def command(source, tiny):
    """Cache and options -> command line."""
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    named = [part for kind, family in models.items() for part in (f"--{kind}-model", str(tiny(family)))]

    def line(cache: Path, *options: str) -> list[str]:
        return [sys.executable, "-c", SLOW, str(source), str(cache), "--dataset", "demo", *named, *options]

    return line


class Running:
    """A command that was started; tells when it has done something."""

    def __init__(self, line: list[str], cache: Path) -> None:
        self._cache, self.before = cache, set(cache.glob("runs/*"))
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._deadline = time.monotonic() + 120

    def logs(self) -> dict[int, list[dict]]:
        """Process -> what it logged of clips in this run."""
        new = sorted(set(self._cache.glob("runs/*.jsonl")) - self.before)
        lines = {log: [json.loads(line) for line in log.read_text().splitlines()[1:]] for log in new}
        return {int(log.stem.split("-")[-2]): told for log, told in lines.items()}

    def wait_for(self, happened) -> None:
        while not happened():
            assert self.process.poll() is None and time.monotonic() < self._deadline, self.process.communicate()
            time.sleep(0.02)

    def has_encoded(self) -> bool:
        return any(
            line["stage"] == "video" and line["state"] == "done" for told in self.logs().values() for line in told
        )

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, told = self.process.communicate(timeout=120)
        assert "Traceback" not in told, told
        return self.process.returncode, out, told


def published(cache: Path, digest: dict, running: Running) -> bool:
    """Whether the cache holds all that a run's logs say was done."""
    done = {
        (line["stage"], line["clip"]) for told in running.logs().values() for line in told if line["state"] == "done"
    }
    return done <= {(key[0].split("-")[0], key[1]) for key in digest if key != "labels"} and len(done) > 0


@pytest.mark.slow
def test_whatever_ends_a_run_the_next_goes_on_and_nothing_is_lost_or_doubled(command, tmp_path, logical_digest):
    """SIGINT to one process, SIGTERM to one with two devices, SIGKILL to one of two; then the rest, as if nothing had been."""
    whole, cache = tmp_path / "whole", tmp_path / "cache"
    undisturbed = subprocess.run(command(whole, "--device", "cpu"), capture_output=True, text=True, check=False)
    assert undisturbed.returncode == 3, undisturbed.stderr  # one clip is broken

    for options, number in ((("--device", "cpu"), signal.SIGINT), (("--devices", "cpu,cpu"), signal.SIGTERM)):
        running = Running(command(cache, *options), cache)
        running.wait_for(running.has_encoded)
        running.process.send_signal(number)
        asked = time.monotonic()
        code, out, told = running.end()
        assert code == 75 and time.monotonic() - asked < 10, told
        assert number.name in told and re.search(r"stopped with [1-9]\d* clips left; start the same", out), out
        assert published(cache, logical_digest(cache), running) and not list(cache.rglob(".tmp*"))
        assert {Path(one) for one in re.findall(r"log: (\S+)", out)} == set(cache.glob("runs/*.jsonl")) - running.before

    running = Running(command(cache, "--devices", "cpu,cpu"), cache)
    running.wait_for(lambda: running.has_encoded() and len(running.logs()) == 2)
    victim, other = sorted(running.logs())
    os.kill(victim, signal.SIGKILL)
    code, out, told = running.end()
    assert code == 1, told
    assert re.search(r"cpu \d: was killed \(SIGKILL; .* starting the same command again does the rest", told), told
    assert {line["stage"] for line in running.logs()[other]} >= {"text", "audio", "video"} and "log: " in out

    line = command(cache, "--devices", "cpu,cpu", "--max-failures", "1", "--json")
    finished = subprocess.run(line, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    assert summary["clips"] == VIDEOS * SEGMENTS + 1 and summary["finished"] and summary["left"] == 0
    assert summary["failed"] == ["v0$_$broken"] and len(summary["troubles"]) == 3
    assert Path(summary["log"]).is_file() and len(summary["more_logs"]) == 1
    assert logical_digest(cache) == logical_digest(whole)
    for number in range(2):  # a line of each process, and what became of the clip that is in one of them
        assert f"cpu {number}: demo: " in finished.stderr and f"shard {number}/2)" in finished.stderr
    assert finished.stderr.count("v0$_$broken: failed: words, audio, video: ") == 1


def test_devices_are_named_or_all(monkeypatch):
    assert devices_of("cuda:0, cuda:1") == ("cuda:0", "cuda:1") and devices_of("cpu") == ("cpu",)
    for text in ("", ",", "cpu,"):
        with pytest.raises(ValueError, match="expected names"):
            devices_of(text)
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices_of("all") == ("cuda:0", "cuda:1", "cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="no CUDA device"):
        devices_of("all")


def test_each_device_does_a_part_of_the_part():
    parts = parts_of(("cuda:0", "cpu", "cpu"), (Shard(1, 4),))
    assert [(part.name, part.device) for part in parts] == [("cuda:0", "cuda:0"), ("cpu 1", "cpu"), ("cpu 2", "cpu")]
    assert [part.shards for part in parts] == [(Shard(1, 4), Shard(number, 3)) for number in range(3)]


def test_what_processes_say_is_added_up():
    one = {"dataset": "d", "clips": 2, "seconds": {"text": 0.5}, "failed": ["a"], "done": {"text": 2}, "more_logs": []}
    other = {"dataset": "d", "clips": 3, "seconds": {"text": 1.25, "new": 1}, "failed": [], "done": {}, "more_logs": []}
    assert added_up([one, other]) == {
        "dataset": "d",
        "clips": 5,
        "seconds": {"text": 1.75, "new": 1},
        "failed": ["a"],
        "done": {"text": 2},
        "more_logs": [],
    }


def summary_of(clips: int, failed: int, finished: bool = True) -> dict:
    troubles = [{"clip_id": str(n), "stage": "text", "state": "failed", "reason": "planted"} for n in range(failed)]
    counts = {name: {} for name in ("done", "seconds", "amounts", "bytes_written", "feature_sets")}
    more = {"skipped": 0, "left": 0, "troubles": troubles, "failed": [str(n) for n in range(failed)], "log": "l"}
    return {"dataset": "d", "clips": clips, **more, **counts, "finished": finished, "more_logs": []}


@pytest.mark.parametrize(
    ("ended", "options", "code"),
    [
        ([(0, summary_of(10, 0)), (0, summary_of(10, 0))], [], 0),
        ([(0, summary_of(10, 2)), (0, summary_of(10, 0))], [], 3),
        ([(0, summary_of(10, 2)), (0, summary_of(10, 0))], ["--max-failures", "10%"], 0),  # of both, not of one
        ([(0, summary_of(10, 2)), (75, summary_of(10, 0, False))], [], 75),
        ([(0, summary_of(10, 0)), (75, None)], [], 75),  # stopped before it had begun
        ([(75, summary_of(10, 0, False)), (2, None)], [], 2),
        ([(2, None), (1, None)], [], 1),
    ],
)
def test_the_worst_exit_code_counts_and_failures_of_all_together(monkeypatch, source, tmp_path, ended, options, code):
    found = [Ended(*one) for one in ended]
    monkeypatch.setattr(devices, "run_on_each", lambda *_: found)
    told = CliRunner().invoke(cli.main, [str(source), str(tmp_path), "--devices", "cpu,cpu", *options])
    assert told.exit_code == code, told.output
    whole = together(found)
    assert whole is None or whole.finished == (exit_code(found) == 0)
    assert (f"d: {whole.clips} clips" in told.stdout) if whole else told.stdout == ""


def test_an_error_of_all_processes_is_told_and_kept(source, tmp_path):
    """Children of the real program: the model does not exist, so each ends with 2."""
    line = [str(source), str(tmp_path / "cache"), "--dataset", "d", "--devices", "cpu,cpu", "--local-files-only"]
    told = CliRunner().invoke(cli.main, [*line, "--text-model", "no/such"])
    assert told.exit_code == 2 and told.stdout == ""
    for name in ("cpu 0", "cpu 1"):
        assert re.search(rf"{name}: Error: text model no/such is no local folder", told.stderr), told.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "cpu,cpu", "--device", "cpu"], "give one"),
        (["--devices", "cpu,"], "such as cuda:0,cuda:1, or all"),
        (["--shard", "2/2"], "the parts of 2 are 0 to 1"),
    ],
)
def test_wrong_use_is_2_and_one_clear_line(source, tmp_path, options, message):
    told = CliRunner().invoke(cli.main, [str(source), str(tmp_path / "cache"), "--dataset", "d", *options])
    assert told.exit_code == 2 and message in told.stderr.replace("\n", " "), told.stderr


def test_lines_are_passed_on_with_the_devices_name(monkeypatch):
    """Text gets it in front; an object of --log-json keeps what it says, and names its device."""
    printed = ["plain text", '{"time": "2026", "event": "progress", "text": "clips: 1/2", "done": 1}', '{"a": 1}']
    code = f"import sys; print(*{printed!r}, sep='\\n', file=sys.stderr); print('{{}}')"
    monkeypatch.setattr(devices, "PROGRAM", (sys.executable, "-c", code))
    said = []
    (ended,) = devices.run_on_each(
        [], parts_of(("cpu",), ()), lambda: False, lambda *text, **fields: said.append((text, fields))
    )
    assert ended == Ended(0, {}) and said[0] == (("a process each for cpu (shard 0/1)",), {})
    assert said[1:] == [
        (("cpu: plain text",), {}),
        (("clips: 1/2", "progress"), {"done": 1, "device": "cpu"}),
        (('cpu: {"a": 1}',), {}),
    ]


@pytest.mark.parametrize("code", ["print('no json')", "import sys; sys.exit(5)", "import os; os.abort()"])
def test_a_process_that_ends_oddly_is_an_error(monkeypatch, code):
    monkeypatch.setattr(devices, "PROGRAM", (sys.executable, "-c", code))
    (ended,) = devices.run_on_each([], parts_of(("cpu",), ()), lambda: False, lambda _: None)
    assert ended == Ended(1, None)


def test_processes_on_cpu_share_the_cores_unless_somebody_said_otherwise(monkeypatch):
    monkeypatch.setattr(devices, "PROGRAM", (sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'])"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(9))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [
        one.summary for one in devices.run_on_each([], parts_of(("cpu", "cpu"), ()), lambda: False, lambda _: None)
    ] == [4, 4]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    (ended,) = devices.run_on_each([], parts_of(("cpu",), ()), lambda: False, lambda _: None)
    assert ended.summary == 3


def test_arguments_are_passed_on_with_a_part_of_the_work():
    (part, _) = parts_of(("cpu", "cuda"), (Shard(0, 3),))
    more = ["--json", "--devices=cpu", "--shard=0/3,0/2", "--max-failures=100%"]
    assert devices._extended(["a", "b", "--limit", "3"], part) == ["a", "b", "--limit", "3", *more]
    assert devices._extended(["--limit", "3", "--", "-a", "b"], part) == ["--limit", "3", *more, "--", "-a", "b"]
