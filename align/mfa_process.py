"""MFA as a child process: its words passed on as they come, a root folder of its own, ended when asked."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sadgr.align.errors import AlignerUnavailable

_KEPT_LINES = 200
_BAR_SECONDS = 5.0
_GRACE_SECONDS = 4.0
_LAST_WORDS_SECONDS = 2.0
_VERSION_SECONDS = 120.0
_REMEDY = "install it with `conda env create -f environment-mfa.yml`, or say how it starts with --mfa-command"


class MfaProcess:
    """Starts the program.

    Args:
        command: Program and first arguments.
        stop: Asked while it runs.
        say: Told what it says, a line at a time; of a progress bar, a line every few seconds.
    """

    def __init__(self, command: Sequence[str], stop: Callable[[], bool], say: Callable[[str], None]) -> None:
        self._command = live(command)
        self._stop = stop
        self._say = say

    def version(self) -> str:
        """Asks the program for its version.

        Raises:
            AlignerUnavailable: It cannot be started, or does not answer.
        """
        with tempfile.TemporaryDirectory(prefix="sadgr-mfa-", ignore_cleanup_errors=True) as folder:
            try:
                answer = subprocess.run(
                    [*self._command, "version"],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=_VERSION_SECONDS,
                    env=_environment(Path(folder)),
                )
            except OSError as error:
                raise AlignerUnavailable(_cannot_start(self._command, error)) from error
            except subprocess.TimeoutExpired as error:
                raise AlignerUnavailable(
                    f"`{' '.join(self._command)} version` gave no answer in {_VERSION_SECONDS:.0f} s; {_REMEDY}"
                ) from error
        lines = answer.stdout.strip().splitlines()
        if answer.returncode or not lines:
            said = (answer.stderr.strip().splitlines() or ["nothing"])[-1]
            raise AlignerUnavailable(f"`{' '.join(self._command)} version` failed and said: {said}; {_REMEDY}")
        return lines[-1].strip()

    def run(self, arguments: Sequence[str], root: Path) -> tuple[int | None, list[str]]:
        """Runs the program to its end.

        Args:
            arguments: After the command.
            root: Becomes its MFA_ROOT_DIR: runs that share one trip over each other's databases and settings.

        Returns:
            Exit code, None when it was stopped; and the last lines that it said.

        Raises:
            AlignerUnavailable: It cannot be started.
        """
        root.mkdir(parents=True, exist_ok=True)
        try:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=_environment(root),
                start_new_session=True,  # so that its own workers end with it
            )
        except OSError as error:
            raise AlignerUnavailable(_cannot_start(self._command, error)) from error
        try:
            return self._follow(process)
        finally:
            _end(process)

    def _follow(self, process: subprocess.Popen[str]) -> tuple[int | None, list[str]]:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_listen, args=(process, lines), daemon=True).start()
        kept: deque[str] = deque(maxlen=_KEPT_LINES)
        shown = -_BAR_SECONDS
        silent_since = time.monotonic()
        while True:
            try:
                line = lines.get(timeout=0.2)
                silent_since = time.monotonic()
            except queue.Empty:
                line = ""
            if self._stop():
                return None, list(kept)
            # A worker that outlives the program may hold the pipe open for as long as it likes.
            if line is None or (process.poll() is not None and time.monotonic() - silent_since > _LAST_WORDS_SECONDS):
                return process.wait(), list(kept)
            if not line:
                continue
            if "%" not in line:
                kept.append(line)
            elif time.monotonic() - shown < _BAR_SECONDS:
                continue
            else:
                shown = time.monotonic()
            self._say(f"mfa: {line}")


def live(command: Sequence[str]) -> tuple[str, ...]:
    """Makes `conda run` pass on what its program says while it runs, instead of at its end."""
    program, *rest = command
    if Path(program).name in {"conda", "mamba"} and rest[:1] == ["run"] and "--no-capture-output" not in rest:
        return (program, "run", "--no-capture-output", *rest[1:])
    return tuple(command)


def _listen(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None  # noqa: S101  # it was opened as a pipe
    with process.stdout as said:
        for line in said:  # a carriage return ends a line, too: that is how bars are drawn
            lines.put(line.strip())
    lines.put(None)


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "MFA_ROOT_DIR": str(root), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "160"}


def _cannot_start(command: Sequence[str], error: OSError) -> str:
    return f"{command[0]} cannot be started: {error.strerror}; {_REMEDY}"


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a process and all that it started, and waits until none of them is left."""
    for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS)):
        deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)  # raises once the whole group is gone
                time.sleep(0.05)
    process.wait()
