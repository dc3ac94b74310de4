"""MFA as a child process: its words passed on as they come, a root folder of its own, ended when asked."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from sadgr.align.errors import AlignerUnavailable

_KEPT_LINES = 200
_BAR_SECONDS = 5.0
_GRACE_SECONDS = 10.0
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
        try:
            answer = subprocess.run([*self._command, "version"], capture_output=True, text=True, check=False)
        except OSError as error:
            raise AlignerUnavailable(f"{self._command[0]} cannot be started: {error.strerror}; {_REMEDY}") from error
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
        environment = {**os.environ, "MFA_ROOT_DIR": str(root), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "160"}
        try:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment,
                start_new_session=True,  # so that its own workers end with it
            )
        except OSError as error:
            raise AlignerUnavailable(f"{self._command[0]} cannot be started: {error.strerror}; {_REMEDY}") from error
        try:
            return self._follow(process)
        finally:
            _end(process)

    def _follow(self, process: subprocess.Popen[str]) -> tuple[int | None, list[str]]:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_listen, args=(process, lines), daemon=True).start()
        kept: deque[str] = deque(maxlen=_KEPT_LINES)
        shown = -_BAR_SECONDS
        while True:
            try:
                line = lines.get(timeout=0.2)
            except queue.Empty:
                line = ""
            if line is None:
                return process.wait(), list(kept)
            if self._stop():
                return None, list(kept)
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


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a process that still runs, and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
