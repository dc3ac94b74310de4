import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from sadgr.extract import cli
from sadgr.extract.aligner_options import AlignerOptions

CODE = "import sys; from sadgr.extract.cli import main; main(sys.argv[1:])"


@pytest.fixture
def source(tmp_path, make_clip):
    folder = tmp_path / "source"
    for name in ("1", "2"):
        make_clip(folder / "Raw" / "v" / f"{name}.mp4")
    rows = "".join(f"v,{name},so it goes,1,train\n" for name in ("1", "2"))
    (folder / "label.csv").write_text("video_id,clip_id,text,label,mode\n" + rows)
    return folder


@pytest.fixture
def options(tiny):
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    named = [part for kind, family in models.items() for part in (f"--{kind}-model", str(tiny(family)))]
    return [*named, "--dataset", "demo", "--device", "cpu"]


@pytest.fixture
def command(monkeypatch, planted_aligner):
    """Run the command in this process, with the planted aligner: a tone is no speech."""
    monkeypatch.setattr(AlignerOptions, "build", lambda *_: planted_aligner)

    def go(*arguments):
        return CliRunner().invoke(cli.main, [str(one) for one in arguments])

    return go


def test_complete_is_0_and_says_what_was_done(command, source, tmp_path, options):
    done = command(source, tmp_path / "cache", *options, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["done"] == {"text": 2, "words": 2, "audio": 2, "video": 2} and told["finished"]


def test_some_failed_is_3_and_max_failures_forgives(command, source, tmp_path, options):
    (source / "Raw" / "v" / "2.mp4").write_bytes(b"")
    failed = command(source, tmp_path / "cache", *options)
    assert failed.exit_code == 3
    assert "v$_$2: failed: words, audio" in failed.stderr and "2.mp4" in failed.stderr
    for allowed in ("1", "50%"):
        assert command(source, tmp_path / "cache", *options, "--max-failures", allowed).exit_code == 0
    assert command(source, tmp_path / "cache", *options, "--max-failures", "49%").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "cache"], "nowhere does not exist"),
        (["SOURCE", "cache"], "add --dataset NAME"),
        (["SOURCE", "cache", "--preset", "best"], "'best' is not one of"),
        (["SOURCE", "cache", "--colour"], "No such option"),
        (["SOURCE", "cache", "--dataset", "d", "--aligner", "textgrid"], "--alignments"),
        (["SOURCE", "SOURCE", "--dataset", "d"], "is no cache and not empty"),
        (["SOURCE", "cache", "--dataset", "d", "--max-failures", "many"], "expected a number"),
        (["SOURCE", "SOURCE/label.csv/cache", "--dataset", "d"], "cannot be written"),
        (["SOURCE", "cache", "--dataset", "d", "--config", "SOURCE/label.csv"], "must hold"),
        (["SOURCE", "cache", "--dataset", "d", "--text-model", "no/such", "--local-files-only"], "--preset offline"),
    ],
)
def test_wrong_use_is_2_and_one_clear_line(source, tmp_path, arguments, message):
    arguments = [one.replace("SOURCE", str(source)) for one in arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    told = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert told.returncode == 2, told.stderr
    assert message in told.stderr and "Traceback" not in told.stderr
    assert told.stdout == ""


def test_a_config_file_fills_defaults_and_the_command_line_wins(command, source, tmp_path, options):
    config = tmp_path / "lab.yaml"
    config.write_text("dataset: from-file\nmax-failures: 100%\n")
    rest = [one for one in options if one not in ("--dataset", "demo")]
    told = command(source, tmp_path / "cache", "--config", config, *rest, "--json")
    assert json.loads(told.stdout)["dataset"] == "from-file"
    told = command(source, tmp_path / "cache", "--config", config, *options, "--json")
    assert json.loads(told.stdout)["dataset"] == "demo"
    config.write_text("datset: typo\n")
    assert "unknown option 'datset'" in command(source, tmp_path / "cache", "--config", config).stderr


def test_a_signal_publishes_what_is_done_and_ends_with_75(source, tmp_path, options):
    """A real process and a real SIGTERM, sent once the first clip is logged; a second run completes."""
    slow = (
        "import sys, time; from sadgr.extract import cli\n"
        "from sadgr.align import evenly_spaced, one_by_one\n"
        "from sadgr.extract.aligner_options import AlignerOptions\n"
        "class Slow:\n"
        "    name, settings = 'slow', {}\n"
        "    def align(self, utterance):\n"
        "        time.sleep(0.5)\n"
        "        return evenly_spaced(utterance.words, utterance.duration_seconds)\n"
        "    def align_all(self, utterances):\n"
        "        return one_by_one(self.align, utterances)\n"
        "AlignerOptions.build = lambda *_: Slow()\n"
        "cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", slow, str(source), str(tmp_path / "cache"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any('"stage": "words"' in log.read_text() for log in (tmp_path / "cache").glob("runs/*.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 75, told
    assert "SIGTERM" in told and "Traceback" not in told
    assert list((tmp_path / "cache").rglob("words-*/*.h5")), "what was done was not published"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr


def test_a_signal_amid_a_long_forward_pass_is_answered_within_ten_seconds(source, tmp_path, options):
    """What no signal can break off, such as minutes of sound in one pass, is left to itself once all else is published."""
    slow = (
        "import sys, time; from sadgr.extract import cli; from sadgr.extract.stages import VideoStage\n"
        "def encode(self, batch):\n"
        "    print('passing', flush=True)\n"
        "    time.sleep(120)\n"
        "VideoStage.encode = encode\n"
        "cli.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", slow, str(source), str(tmp_path / "cache"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "passing\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 75 and time.monotonic() - begun < 10, told
    assert "clips left" in out and "Traceback" not in told
    assert list((tmp_path / "cache").rglob("audio-*/*.h5")), "what was done was not published"


def test_with_log_json_every_line_is_an_object(command, source, tmp_path, options):
    told = command(source, tmp_path / "cache", *options, "--log-json")
    lines = [json.loads(line) for line in told.stderr.splitlines()]
    progress = [line for line in lines if line["event"] == "progress" and line["task"] == "clips"]
    assert progress[-1]["done"] == progress[-1]["total"] == 2 and progress[-1]["frames_per_second"] > 0
    (summary,) = (line for line in lines if line["event"] == "summary")
    assert summary["done"]["video"] == 2 and summary["amounts"]["video"] > 0 and summary["bytes_written"]["video"] > 0
    assert not command(source, tmp_path / "other", *options).stderr.startswith("{")
