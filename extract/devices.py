"""Several devices of one host: a process each, which share the clips out among them and fill one cache.

Each process is the same command once more, for one device and a part of what the command was to do, alignment included: so
several CPU cores align at once, and a device that is through with its part waits for nobody. The process that started them
decodes and computes nothing; it passes on what they say, asks them to stop where it is asked, and adds up what came of them.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sadgr.cache.console import EXIT_COMPLETE, EXIT_UNEXPECTED, EXIT_UNFINISHED, EXIT_USAGE
from sadgr.extract.outcome import Outcome, Summary
from sadgr.extract.shard import Shard, in_words

POLL_SECONDS = 0.1
LISTEN_SECONDS = 2.0
"""For the last lines of a process that ended; what it started may keep its stderr open for longer."""
PROGRAM = (sys.executable, "-m", "sadgr.extract.cli")
_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Part:
    """What one process does: which device, which clips, and what it is called."""

    name: str
    device: str
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Ended:
    """How one process ended.

    Attributes:
        code: as this one would end by it: 0, 1, 2 or 75.
        summary: the summary that it printed; None where it came to none.
    """

    code: int
    summary: Mapping[str, Any] | None


def devices_of(text: str) -> tuple[str, ...]:
    """Read `cuda:0,cuda:1`, or `all` for every CUDA device of this host.

    Raises:
        ValueError: it names none, or this host has none.
    """
    if text.strip() == "all":
        import torch

        count = torch.cuda.device_count()
        if not count:
            raise ValueError(
                "--devices all: this host has no CUDA device that torch can use; see sadgr-extract --doctor"
            )
        return tuple(f"cuda:{number}" for number in range(count))
    devices = tuple(one.strip() for one in text.split(","))
    if not all(devices):
        raise ValueError(f"--devices {text!r}: expected names with commas between, such as cuda:0,cuda:1, or all")
    return devices


def parts_of(devices: Sequence[str], shards: Sequence[Shard]) -> list[Part]:
    """Share out what is to be done.

    Args:
        devices: a name each; one may stand there several times.
        shards: the part of the source that all of them do together.
    """
    return [
        Part(
            f"{device} {number}" if devices.count(device) > 1 else device,
            device,
            (*shards, Shard(number, len(devices))),
        )
        for number, device in enumerate(devices)
    ]


def run_on_each(
    arguments: Sequence[str], parts: Sequence[Part], stop: Callable[[], bool], say: Callable[..., None]
) -> list[Ended]:
    """Start a process for each part, and wait for all.

    Args:
        arguments: of the command that is to be shared out.
        parts: as `parts_of` gives.
        stop: asked all the time; once it is true, each process is asked to stop, too.
        say: told what the processes say, their names in front; takes what `sadgr.cache.console.say` does.
    """
    say(f"a process each for {', '.join(f'{part.name} (shard {in_words(part.shards)})' for part in parts)}")
    with ExitStack() as stack:
        children = [stack.enter_context(_Child(arguments, part, len(parts), say)) for part in parts]
        asked = False
        while running := [child for child in children if child.is_running()]:
            if stop() and not asked:
                asked = True
                for child in running:
                    child.ask_to_stop()
            time.sleep(POLL_SECONDS)
        return [child.ended() for child in children]


class _Child:
    """A process that does a part."""

    def __init__(self, arguments: Sequence[str], part: Part, of: int, say: Callable[..., None]) -> None:
        self._part, self._say = part, say
        self._asked = self._is_over = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed on leaving
        environment = {**os.environ}
        if part.device == "cpu":
            environment.setdefault(_THREADS, str(max(1, len(os.sched_getaffinity(0)) // of)))
        self._process = subprocess.Popen(  # this program, with its own arguments
            [*PROGRAM, *_extended(arguments, part)],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.PIPE,
            env=environment,
            process_group=0,  # a Ctrl-C at the terminal is this process's to pass on, once
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  # it is a pipe
        with self._process.stderr as lines:
            for line in lines:
                self._pass_on(line.decode("utf-8", "replace").rstrip())

    def _pass_on(self, line: str) -> None:
        """Say a line with this process's name; a line of --log-json keeps its fields, and gets the name as one more."""
        told: Any = None
        with suppress(ValueError):
            told = json.loads(line)
        if isinstance(told, dict) and told.keys() >= {"time", "event", "text"}:
            fields = {key: value for key, value in told.items() if key not in ("time", "event", "text")}
            self._say(told["text"], told["event"], **{**fields, "device": self._part.name})
        else:
            self._say(f"{self._part.name}: {line}")

    def is_running(self) -> bool:
        """Whether it is; says so where it was killed."""
        code = self._process.poll()
        if code is not None and not self._is_over and code < 0 and not self._was_stopped():
            self._say(
                f"{self._part.name}: was killed ({signal.Signals(-code).name}; SIGKILL may mean that memory ran out). What it "
                "published stays, the others go on, and starting the same command again does the rest"
            )
        self._is_over = code is not None
        return code is None

    def ask_to_stop(self) -> None:
        """Let it publish what is done, and end."""
        if self._process.poll() is None:
            self._asked = True
            self._process.terminate()

    def _was_stopped(self) -> bool:
        """Whether it ended by the signal that it was sent: it had not begun."""
        return self._asked and self._process.returncode == -signal.SIGTERM

    def ended(self) -> Ended:
        """Return how it ended; it has."""
        self._listener.join(LISTEN_SECONDS)
        self._output.seek(0)
        summary = None
        with suppress(ValueError):
            summary = json.loads(self._output.read())
        code = EXIT_UNFINISHED if self._was_stopped() else self._process.returncode
        if code not in (EXIT_COMPLETE, EXIT_USAGE, EXIT_UNFINISHED) or (code == EXIT_COMPLETE and summary is None):
            code = EXIT_UNEXPECTED
        return Ended(code, summary)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Kill it, where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._listener.join(LISTEN_SECONDS)
        self._output.close()


def _extended(arguments: Sequence[str], part: Part) -> list[str]:
    """Return the arguments for one process; of an option that stands there twice, the later counts.

    How many failures are too many is for all processes together to tell.
    """
    more = ["--json", f"--devices={part.device}", f"--shard={in_words(part.shards)}", "--max-failures=100%"]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:end], *more, *arguments[end:]]


def together(ended: Sequence[Ended]) -> Summary | None:
    """Return one summary of all processes; None where none came to any."""
    said = [dict(one.summary) for one in ended if one.summary is not None]
    if not said:
        return None
    log, *more_logs = [Path(one["log"]) for one in said]
    content = added_up(said) | {"log": log, "more_logs": more_logs}
    content["troubles"] = [Outcome(**one) for one in content["troubles"]]
    content["finished"] = exit_code(ended) == EXIT_COMPLETE
    return Summary(**content)


def added_up(values: Sequence[Any]) -> Any:
    """Join values of one kind: numbers are added, lists joined, objects key by key; of anything else the first counts."""
    first = values[0]
    if isinstance(first, dict):
        keys = dict.fromkeys(key for value in values for key in value)
        return {key: added_up([value[key] for value in values if key in value]) for key in keys}
    if isinstance(first, list):
        return [one for value in values for one in value]
    if isinstance(first, int | float) and not isinstance(first, bool):
        return round(sum(values), 3)
    return first


def exit_code(ended: Sequence[Ended]) -> int:
    """Return the worst of the processes' exit codes: an error before a stop before success."""
    codes = {one.code for one in ended}
    return next((code for code in (EXIT_UNEXPECTED, EXIT_USAGE, EXIT_UNFINISHED) if code in codes), EXIT_COMPLETE)
