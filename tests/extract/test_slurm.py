"""The scripts of examples/slurm, run as they are, by a SLURM that this file plays."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "examples/slurm"

SBATCH = r'''#!{python}
"""A SLURM of one node: runs each array at once, its tasks side by side, and gives the job's id when all have ended.

Of its own it knows what the real one does: it works on a copy of the script, tells a task its place by variables, sends the
signal of --signal=B: to the script alone, runs a task again that was requeued, and holds dependencies.
"""
import json, os, re, shutil, signal, subprocess, sys, time
from pathlib import Path

state = Path(os.environ["FAKE_SLURM"])
arguments = sys.argv[1:]
at = next(i for i, one in enumerate(arguments) if not one.startswith("-"))
options, script, given = arguments[:at], Path(arguments[at]), arguments[at + 1 :]
told = re.findall(r"^#SBATCH (--[a-z-]+(?:=\S+)?)", script.read_text(), re.MULTILINE) + options
settings = dict(one[2:].split("=", 1) if "=" in one else (one[2:], "") for one in told)
job = 100 * (1 + len(list(state.glob("job-*"))))
record = {{"job": job, "options": options, "settings": settings, "arguments": given, "codes": {{}}, "begun": time.time()}}
before = settings.get("dependency", "").removeprefix("afterok:")
if before and set(json.loads((state / f"job-{{before}}").read_text())["codes"].values()) != {{0}}:
    record["begun"] = None
    settings["array"] = ""
spool = shutil.copy(script, state / f"spool-{{job}}")
first, last = map(int, settings["array"].split("-")) if settings["array"] else (0, -1)


def begin(task):
    variables = {{"ID": task, "COUNT": last - first + 1, "MIN": first, "MAX": last, "STEP": 1}}
    environment = {{**os.environ, **{{f"SLURM_ARRAY_TASK_{{name}}": str(it) for name, it in variables.items()}}}}
    environment |= {{"SLURM_ARRAY_JOB_ID": str(job), "SLURM_JOB_ID": str(job + task)}}
    name = settings["output"].replace("%x", settings["job-name"]).replace("%A", str(job)).replace("%a", str(task))
    with open(state / name, "a") as log:
        return subprocess.Popen(["bash", spool, *given], env=environment, stdout=log, stderr=log), state / name


running = {{task: begin(task) for task in range(first, last + 1)}}
late = os.environ.get("FAKE_TIME_LIMIT") == settings["job-name"]
while running:
    time.sleep(0.05)
    for task, (process, log) in list(running.items()):
        if late and task == first + 1 and "clips to do" in log.read_text():
            late = False
            number = re.match("B:([A-Z]+)@", settings["signal"])[1]
            process.send_signal(signal.Signals["SIG" + number])
        if process.poll() is None:
            continue
        del running[task]
        requeued = state / f"requeue-{{job}}_{{task}}"
        record["codes"][str(task)] = [process.returncode] if requeued.exists() else process.returncode
        if requeued.exists():
            requeued.unlink()
            record.setdefault("requeued", []).append([task, process.returncode])
            running[task] = begin(task)
record["ended"] = time.time()
(state / f"job-{{job}}").write_text(json.dumps(record))
print(job if "--parsable" in options else f"Submitted batch job {{job}}")
'''
SCONTROL = """#!/bin/bash
[ "$1" = requeue ] && touch "$FAKE_SLURM/requeue-$2"
"""
SQUEUE = """#!/bin/bash
echo "$*" >> "$FAKE_SLURM/squeue"
echo "${FAKE_STATE:-RUNNING}"
"""
PROGRAM = """#!{python}
from sadgr.extract.{module} import main
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder in which the SLURM keeps what happens, and its programs on PATH."""
    programs = {"sbatch": SBATCH, "scontrol": SCONTROL, "squeue": SQUEUE}
    programs |= {"sadgr-extract": PROGRAM, "sadgr-align": PROGRAM}
    modules = {"sadgr-extract": "cli", "sadgr-align": "align_cli"}
    for name, content in programs.items():
        if "{python}" in content:
            content = content.format(python=sys.executable, module=modules.get(name))
        put(tmp_path / "bin" / name, content)
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    (tmp_path / "slurm").mkdir()
    return tmp_path / "slurm"


def put(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)


def jobs(slurm: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(slurm.glob("job-*"))]


@pytest.fixture
def source(tmp_path, make_clip):
    """Seven videos, fifteen clips; one has no sound that can be read."""
    rows = []
    for video in range(7):
        for number in range(3 if video == 0 else 2):
            make_clip(tmp_path / f"the source/Raw/v{video}/{number}.mp4", tone_hz=300 + 40 * video + number)
            rows.append(f"v{video},{number},so it goes,{number},train\n")
    (tmp_path / "the source/Raw/v6/1.mp4").write_text("this is no film")
    (tmp_path / "the source/label.csv").write_text("video_id,clip_id,text,label,mode\n" + "".join(rows))
    return tmp_path / "the source"


def submit(*arguments, **environment) -> subprocess.CompletedProcess:
    line = ["bash", str(SCRIPTS / "submit.sh"), *(str(one) for one in arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.slow
def test_two_arrays_fill_a_cache_as_one_process_would(slurm, source, tmp_path, tiny, logical_digest):
    """Four align, then four extract, one of which comes to its time limit and is queued again."""
    cache = tmp_path / "a cache"
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    options = [part for kind, family in models.items() for part in (f"--{kind}-model", str(tiny(family)))]
    told = submit(source, cache, "demo", *options, "--devices", "cpu", FAKE_TIME_LIMIT="sadgr-extract")
    assert told.returncode == 0, told.stderr
    align, extract = jobs(slurm)
    logs = {path.name: path.read_text() for path in slurm.glob("*.log")}
    everything = "\n".join(logs.values())

    assert "\nalign: job 100, then extract: job 200\n" in told.stdout and "sadgr-cache failures" in told.stdout
    assert align["arguments"] == [str(source), str(cache), "demo"] and set(align["codes"].values()) == {0}, everything
    assert extract["settings"]["dependency"] == "afterok:100" and "kill-on-invalid-dep" in extract["settings"]
    assert extract["begun"] > align["ended"]
    for job, name in ((align, "align"), (extract, "extract")):
        assert job["settings"]["signal"].startswith("B:TERM@") and "requeue" in job["settings"]
        for task in range(4):
            log = logs[f"sadgr-{name}-{job['job']}_{task}.log"]
            assert f"shard {task}/4, from SLURM's array" in log and "Traceback" not in log
    # One clip cannot be read: its task of the second array says so, and all others are complete.
    assert sorted(extract["codes"].values()) == [0, 0, 0, 3], everything
    assert extract["requeued"] == [[1, 75]], everything
    limited = logs["sadgr-extract-200_1.log"]
    assert "SIGTERM: saving what is done" in limited and "start the same command again to go on" in limited

    single = ["sadgr-extract", str(source), str(tmp_path / "whole"), "--dataset", "demo", *options, "--device", "cpu"]
    assert subprocess.run(single, capture_output=True, check=False).returncode == 3
    assert logical_digest(cache) == logical_digest(tmp_path / "whole")


def test_a_source_that_cannot_be_read_is_never_submitted(slurm, tmp_path):
    told = submit(tmp_path / "nowhere", tmp_path / "cache", "demo", "--local-files-only")
    assert told.returncode == 2 and "nowhere does not exist" in told.stderr and not jobs(slurm)
    assert submit(tmp_path).returncode == 2


@pytest.mark.parametrize("script", ["align.sbatch", "extract.sbatch"])
@pytest.mark.parametrize(
    ("code", "state", "requeued"), [(75, "RUNNING", True), (75, "COMPLETING", False), (3, "RUNNING", False)]
)
def test_what_is_unfinished_goes_back_into_the_queue_unless_it_was_cancelled(
    slurm, tmp_path, monkeypatch, script, code, state, requeued
):
    """By the task's own id: that of a job of the array may mean the whole array."""
    for name in ("sadgr-align", "sadgr-extract"):
        put(tmp_path / "bin" / name, f"#!/bin/bash\nexit {code}\n")
    monkeypatch.setenv("FAKE_STATE", state)
    run, _ = started(script)
    assert run.wait(10) == code
    assert (slurm / "requeue-7_2").exists() == requeued
    asked = slurm / "squeue"
    assert not asked.exists() if code != 75 else "--jobs=7_2" in asked.read_text()


PUBLISHES = """trap 'sleep 0.5; touch "$FAKE_SLURM/published"; exit 75' TERM"""


@pytest.mark.parametrize("script", ["align.sbatch", "extract.sbatch"])
@pytest.mark.parametrize(("at_a_signal", "published"), [(PUBLISHES, True), ("# it is still importing", False)])
def test_the_signal_is_passed_on_and_the_end_is_waited_for(slurm, tmp_path, script, at_a_signal, published):
    """SLURM sends it to the script alone; the program takes half a second to publish, or cannot listen yet."""
    program = f'#!/bin/bash\n{at_a_signal}\ntouch "$FAKE_SLURM/begun"\nwhile true; do sleep 0.05; done\n'
    for name in ("sadgr-align", "sadgr-extract"):
        put(tmp_path / "bin" / name, program)
    run, begun = started(script), time.monotonic()
    while not (slurm / "begun").exists():
        assert time.monotonic() - begun < 10
        time.sleep(0.02)
    run[0].send_signal(signal.SIGTERM)
    assert run[0].wait(10) == 75
    assert (slurm / "published").exists() == published and (slurm / "requeue-7_2").exists()


@pytest.mark.parametrize("script", ["align.sbatch", "extract.sbatch"])
def test_a_signal_before_there_is_a_worker_reaches_it(slurm, tmp_path, script):
    """Between the program's start and the line that names it."""
    program = '#!/bin/bash\ntouch "$FAKE_SLURM/begun"\nfor i in {1..200}; do sleep 0.05; done\n'
    for name in ("sadgr-align", "sadgr-extract"):
        put(tmp_path / "bin" / name, program)
    early = (SCRIPTS / script).read_text().replace("worker=$!\n", 'kill -TERM "$$"\nworker=$!\n')
    put(tmp_path / "early.sbatch", early)
    run, begun = started(tmp_path / "early.sbatch"), time.monotonic()
    assert run[0].wait(10) == 75 and time.monotonic() - begun < 5
    assert (slurm / "requeue-7_2").exists()


def started(script: str | Path) -> tuple[subprocess.Popen, list[str]]:
    """Task 2 of an array, whose job's own id is that of the array."""
    line = ["bash", str(SCRIPTS / script), "source", "cache", "demo"]
    ids = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "7"}
    return subprocess.Popen(line, env={**os.environ, **ids}), line


def test_gpu_tasks_do_not_begin_where_a_cpu_task_failed(slurm, tmp_path):
    put(tmp_path / "bin/sadgr-align", '#!/bin/bash\n[ "$SLURM_ARRAY_TASK_ID" = 2 ] && exit 1\nexit 0\n')
    put(tmp_path / "bin/sadgr-extract", '#!/bin/bash\necho "$@" >> "$FAKE_SLURM/extract"\n')
    told = submit("s", tmp_path / "cache", "demo")
    align, extract = jobs(slurm)
    assert told.returncode == 0 and sorted(align["codes"].values()) == [0, 0, 0, 1] and extract["begun"] is None
    (trial,) = (slurm / "extract").read_text().splitlines()  # submit.sh's one clip
    assert "--limit 1" in trial and str(tmp_path / "cache") not in trial


def test_lines_that_slurm_reads_come_before_all_commands():
    """And none uses a variable, which SLURM would not fill in."""
    for script in SCRIPTS.glob("*.sbatch"):
        lines = script.read_text().splitlines()
        first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
        settings = [i for i, line in enumerate(lines) if line.startswith("#SBATCH")]
        assert settings and max(settings) < first_command and lines[0] == "#!/bin/bash"
        assert not any(re.search(r"\$", lines[i].split(" #")[0]) for i in settings)
    if checker := shutil.which("shellcheck"):
        subprocess.run([checker, *map(str, SCRIPTS.iterdir())], check=True)
