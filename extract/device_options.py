"""The option by which `sadgr-extract` works on several devices, and what then becomes of its other arguments."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from sadgr.cache.console import record
from sadgr.extract.console import end_by_failures, say, tell

if TYPE_CHECKING:
    from sadgr.extract.shard import Shard

_ARGUMENTS = "sadgr.arguments"

devices_option = click.option(
    "--devices",
    metavar="DEVICE,...",
    help="Several devices of this host, a process each, which share the clips out; all takes every CUDA device.",
)


class Remembering(click.Command):
    """A command that remembers its arguments, for processes that are to do parts of the same."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Keep a copy: parsing uses them up."""
        context.meta[_ARGUMENTS] = tuple(arguments)
        return super().parse_args(context, arguments)


def named_devices(text: str) -> tuple[str, ...]:
    """Read what `--devices` says.

    Raises:
        click.UsageError: it names none, or this host has none.
    """
    from sadgr.extract.devices import devices_of

    try:
        return devices_of(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def share_out(
    devices: tuple[str, ...],
    shards: "tuple[Shard, ...]",
    stop: Callable[[], bool],
    max_failures: tuple[float, bool],
    as_json: bool,
) -> None:
    """Let a process for each device do a part of this command, and end with the worst of their exit codes.

    Each lists the clips that failed in its part; how many are too many is counted over all of them.

    Args:
        devices: a name each.
        shards: the part of the source that they do together; empty for all.
        stop: asked all the time.
        max_failures: number, and whether it is a share in percent.
        as_json: print the whole summary for machines.
    """
    from sadgr.extract.devices import exit_code, parts_of, run_on_each, together

    arguments = click.get_current_context().meta[_ARGUMENTS]
    ended = run_on_each(arguments, parts_of(devices, shards), stop, say)
    summary = together(ended)
    if summary is not None:
        record("summary", summary.as_json())
        tell(summary, as_json)
    if worst := exit_code(ended):
        raise SystemExit(worst)
    if summary is not None:
        end_by_failures(len(summary.failed), summary.clips, max_failures)
