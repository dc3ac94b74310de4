"""What the command lines of all packages share: exit codes, errors for people, `--config`, progress, stopping."""

import functools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import ParamSpec, TypeVar

import click
import yaml

EXIT_COMPLETE = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_CLIPS_FAILED = 3
EXIT_UNFINISHED = 75

P = ParamSpec("P")
R = TypeVar("R")


def friendly(*errors: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make these errors end a command with one clear line and exit code 2, instead of a traceback."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except errors as error:
                raise click.UsageError(str(error)) from error

        return run

    return decorate


def _fill_defaults(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    if path is None:
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise click.BadParameter(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise click.BadParameter(f"{path} must hold `option: value` lines, it holds a {type(content).__name__}")
    known = {parameter.name for parameter in context.command.params if isinstance(parameter, click.Option)}
    defaults = {str(key).replace("-", "_"): value for key, value in content.items()}
    if unknown := sorted(defaults.keys() - known):
        raise click.BadParameter(f"{path}: unknown option {unknown[0].replace('_', '-')!r}; see --help")
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    is_eager=True,
    expose_value=False,
    callback=_fill_defaults,
    help="YAML file of option: value lines; the command line wins over it.",
)


class Progress:
    """Says on stderr how far a long task is: one changing line on a terminal, a line every few seconds elsewhere.

    Args:
        label: what is going on.
        total: number of steps.
    """

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._terminal = sys.stderr.isatty()
        self._interval_seconds = 0.2 if self._terminal else 5.0
        self._begun = self._said = time.monotonic()

    def step(self, count: int = 1, note: str = "") -> None:
        """Count steps as done."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= self._interval_seconds or self._done >= self._total:
            self._said = now
            rate = self._done / max(now - self._begun, 1e-9)
            left = (self._total - self._done) / rate if rate else 0.0
            line = f"{self._label}: {self._done}/{self._total} ({rate:.1f}/s, {left:.0f} s left) {note}".rstrip()
            ends = self._done >= self._total or not self._terminal
            click.echo(f"\r\x1b[K{line}" if self._terminal else line, err=True, nl=ends)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM and SIGINT ask for a stop instead of killing: give a function that says whether one was asked for.

    A second signal of the kind ends the process at once.
    """
    asked = False

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[signal.Signals(number)])
        click.echo(f"{signal.Signals(number).name}: saving what is done, then stopping", err=True)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
