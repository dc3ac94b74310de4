"""What the command lines of all packages share: exit codes, errors for people, `--config`, progress, stopping."""

import functools
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import click
import yaml

EXIT_COMPLETE = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_CLIPS_FAILED = 3
EXIT_UNFINISHED = 75

SAME_SIGNAL_SECONDS = 1.0
"""A signal may come by two ways, as from a terminal to all processes and once more from the one that started this."""


class _Echo(logging.Handler):
    """Writes to whatever is stderr by now."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


class _AsJson(logging.Formatter):
    """One JSON object a line, for what gathers logs."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event, fields = getattr(record, "event", "message"), getattr(record, "fields", {})
        return json.dumps({"time": when, "event": event, "text": record.getMessage(), **fields}, ensure_ascii=False)


_LOG = logging.getLogger("sadgr")
_LOG.setLevel(logging.INFO)
_LOG.propagate = False
_HANDLER = _Echo()
_LOG.addHandler(_HANDLER)


def say(text: str, event: str = "message", **fields: Any) -> None:
    """Write a line about what goes on to stderr.

    Args:
        text: for people.
        event: what kind of thing happened, where lines are JSON.
        fields: the same for machines; they stand in the line where lines are JSON.
    """
    _LOG.info(text, extra={"event": event, "fields": fields})


def record(event: str, fields: Mapping[str, Any]) -> None:
    """Write what machines alone want to know, where lines are JSON."""
    if _speaks_json():
        say("", event, **fields)


def _speaks_json() -> bool:
    return isinstance(_HANDLER.formatter, _AsJson)


def _speak_json(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    _HANDLER.setFormatter(_AsJson() if wanted else None)


log_json_option = click.option(
    "--log-json",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_speak_json,
    help="What goes on, on stderr, as a JSON object a line.",
)

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
    """Says on stderr how far a long task is: one changing line on a terminal, elsewhere a line now and then.

    Args:
        label: what is going on.
        total: number of steps.
        details: asked, whenever something is said, for what else is worth a word, and for the same as fields.
    """

    def __init__(
        self, label: str, total: int, details: Callable[[float], tuple[str, Mapping[str, Any]]] | None = None
    ) -> None:
        self._label, self._total, self._done = label, total, 0
        self._details = details
        self._terminal = sys.stderr.isatty() and not _speaks_json()
        self._begun = self._said = time.monotonic()
        self._first: tuple[int, float] | None = None

    def step(self, count: int = 1) -> None:
        """Count steps as done."""
        self._done += count
        now = time.monotonic()
        if self._first is None:
            self._first = (self._done, now)
            self._said = now  # what one step took, loading included, foretells nothing
        # An hour's task says something every 3 minutes, in the end: a log is not to be read like a film.
        interval = 0.2 if self._terminal else min(max(5.0, 0.05 * (now - self._first[1])), 300.0)
        if now - self._said >= interval or self._done >= self._total:
            self._said = now
            self._tell(now)

    def _tell(self, now: float) -> None:
        rate, left = self._pace(now)
        said, fields = self._details(now - self._begun) if self._details else ("", {})
        text = f"{self._label}: {self._done}/{self._total} ({rate:.1f}/s"
        text += "".join(f", {one}" for one in (said, _left_in_words(left) if left else "") if one) + ")"
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=self._done >= self._total)
            return
        told = {"task": self._label, "done": self._done, "total": self._total, "per_second": round(rate, 3)}
        say(text, "progress", **told, left_seconds=round(left, 1), **fields)

    def _pace(self, now: float) -> tuple[float, float]:
        """Return steps a second, and seconds left; what came before the first step was done, such as loading, is left out."""
        first, since = self._first or (0, self._begun)
        if self._done in (first, self._total):
            first, since = 0, self._begun
        rate = (self._done - first) / max(now - since, 1e-9)
        return rate, (self._total - self._done) / rate


def _left_in_words(seconds: float) -> str:
    """Say how long it will last, and when it ends where that is not soon."""
    if seconds < 60:
        return f"{seconds:.0f} s left"
    end = datetime.now() + timedelta(seconds=seconds)
    day = "" if end.date() == datetime.now().date() else f"{end:%a %d %b} "
    return f"{duration(seconds)} left, until {day}{end:%H:%M}"


def duration(seconds: float) -> str:
    """Say a time in the unit that people would take."""
    for unit, size, least in (("days", 86_400, 172_800), ("h", 3_600, 3_600), ("min", 60, 60)):
        if seconds >= least:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM and SIGINT ask for a stop instead of killing: give a function that says whether one was asked for.

    A second signal of the kind, more than `SAME_SIGNAL_SECONDS` later, ends the process at once.
    """
    asked = False
    first: dict[int, float] = {}

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal asked
        now = time.monotonic()
        if now - first.setdefault(number, now) > SAME_SIGNAL_SECONDS:
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)
        elif not asked:
            asked = True
            with suppress(RuntimeError, OSError):  # it came amid another line, or nobody reads
                say(f"{signal.Signals(number).name}: saving what is done, then stopping", "stopping")

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
