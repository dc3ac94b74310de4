"""What `sadgr-extract` and `sadgr-align` share: options, what they say, and how they end."""

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from sadgr.cache.console import EXIT_CLIPS_FAILED, EXIT_UNFINISHED, duration, record
from sadgr.cache.console import say as say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sadgr.extract.check import Checked
    from sadgr.extract.outcome import Summary
    from sadgr.extract.shard import Shard

LAYOUTS = ("librispeech", "manifest", "media", "mmsa", "mosei", "mosi")
"""Names of the layouts in `sadgr.extract.sources`, whose modules are too heavy for `--help`."""
COMMAND = {"help_option_names": ["-h", "--help"], "show_default": True}
EPILOG = (
    "Exit codes: 0 complete; 1 unexpected error; 2 used wrongly; 3 done, but some clips failed or lack a modality (they are listed); 75 stopped by a signal, "
    "start again to go on."
)


def _failure_limit(_: click.Context, __: click.Parameter, text: str) -> tuple[float, bool]:
    """Read `12` or `2%` before any work begins; gives the number, and whether it is a share in percent."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not number >= 0 or (text.endswith("%") and number > 100):
        raise click.BadParameter(f"{text!r}: expected a number such as 12 or a share such as 2%")
    return number, text.endswith("%")


def _shards(_: click.Context, __: click.Parameter, text: str | None) -> "tuple[Shard, ...] | None":
    """Read `0/4`; None where nothing was said."""
    if text is None:
        return None
    from sadgr.extract.shard import parse_shards

    try:
        return parse_shards(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


dataset_option = click.option(
    "--dataset", metavar="NAME", help="Name in the cache; needed where the source does not name itself."
)
layout_option = click.option(
    "--layout", type=click.Choice(LAYOUTS), help="How SOURCE lies; recognised where it is not said."
)
shard_option = click.option(
    "--shard",
    metavar="I/N",
    callback=_shards,
    help="Only part I, from 0, of N parts of SOURCE: N processes or machines fill one CACHE. Clips of one speaker, or of one "
    "video, stay together. I/N,J/M is part J of M of that.  [default: where CACHE is given, this task's place in SLURM's "
    "array; 0/1 is everything]",
)
max_failures_option = click.option(
    "--max-failures",
    metavar="N|P%",
    callback=_failure_limit,
    default="0",
    help="So many failed clips still end with exit code 0.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def shards_of(given: "tuple[Shard, ...] | None", say: Callable[[str], None]) -> "tuple[Shard, ...]":
    """Return which part of the source this process does: what `--shard` said, or else SLURM.

    Args:
        given: what `--shard` said; None for nothing.
        say: told where SLURM said it.

    Raises:
        click.UsageError: SLURM's array is no regular range.
    """
    if given is not None:
        return given
    from sadgr.extract.shard import Shard

    try:
        shard = Shard.of_slurm(os.environ)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if shard is None:
        return ()
    say(f"shard {shard}, from SLURM's array; --shard 0/1 would do everything")
    return (shard,)


def finish(summary: "Summary", max_failures: tuple[float, bool], as_json: bool) -> None:
    """Tell what a run came to, and end with its exit code.

    Args:
        summary: what it came to.
        max_failures: number, and whether it is a share in percent.
        as_json: print the whole summary for machines.
    """
    tell_failures(summary)
    record("summary", summary.as_json())
    tell(summary, as_json)
    if not summary.finished:
        _leave(EXIT_UNFINISHED)
    end_by_failures(len(summary.failed), summary.clips, max_failures)


def _leave(code: int) -> NoReturn:
    """End the process, at once where a forward pass is still under way: all that is done is published by now."""
    from sadgr.extract.background import abandoned

    if abandoned():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def end_by_failures(failed: int, clips: int, max_failures: tuple[float, bool]) -> None:
    """End with exit code 3 where more clips failed than is acceptable."""
    number, in_percent = max_failures
    if failed > (number * clips / 100 if in_percent else number):
        raise SystemExit(EXIT_CLIPS_FAILED)


def tell_failures(summary: "Summary") -> None:
    """List on stderr what failed, is absent or flagged."""
    from sadgr.extract.outcome import failures_in_words

    for line in failures_in_words(summary.troubles):
        say(line)


_AMOUNTS = {"text": "words", "audio": "s of sound", "video": "frames"}
_BESIDE = {"loading": "loading models", "waiting": "waiting for decoding", "writing": "writing, meanwhile,"}


def _amount(summary: "Summary", stage: str) -> str:
    """Say how much of its kind a stage encoded, and how fast."""
    amount, seconds = summary.amounts.get(stage, 0.0), summary.seconds.get(stage, 0.0)
    return f", {amount:,.0f} {_AMOUNTS[stage]} ({amount / seconds:,.1f} a second)" if amount and seconds else ""


def tell(summary: "Summary", as_json: bool) -> None:
    """Print what a run came to."""
    from sadgr.extract.outcome import count_states
    from sadgr.extract.pace import bottleneck

    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2, ensure_ascii=False))
        return
    click.echo(f"{summary.dataset}: {summary.clips} clips, {summary.skipped} needed nothing")
    if not summary.finished:
        where = f"stopped with {summary.left} clips left" if summary.left else "not finished"
        click.echo(f"  {where}; start the same command again to go on")
    for stage, name in sorted(summary.feature_sets.items()):
        seconds, size = summary.seconds.get(stage, 0.0), summary.bytes_written.get(stage, 0)
        flagged = sum(one.stage == stage and one.state == "flagged" for one in summary.troubles)
        also = f" ({flagged} more flagged)" if flagged else ""
        click.echo(
            f"  {stage:5}: {summary.done.get(stage, 0)} clips{also}{_amount(summary, stage)} in {duration(seconds)}, {size / 1e6:.1f} MB -> {name}"
        )
    if slowest := bottleneck(summary.seconds):
        waited = ", ".join(
            f"{what} {duration(summary.seconds[key])}" for key, what in _BESIDE.items() if summary.seconds.get(key)
        )
        click.echo(f"  slowest: {slowest}; {waited}")
    states = count_states(summary.troubles)
    click.echo("  " + ", ".join(f"{states[state]} {state}" for state in ("failed", "absent", "flagged")))
    for log in (summary.log, *summary.more_logs):
        click.echo(f"  log: {log}")


def tell_check(checked: "Checked", as_json: bool) -> None:
    """Print what a source came to."""
    if as_json:
        click.echo(json.dumps(checked.as_json(), indent=2, ensure_ascii=False))
        return
    click.echo(f"{checked.clips} clips ({checked.layout}), {checked.hours:.2f} hours of readable media")
    click.echo("  here: " + _counts(checked.splits))
    for who, counts in checked.counted_by_others.items():
        click.echo(f"  {who}: {_counts(counts)}")
    for finding in checked.findings:
        more = ", ..." if finding.clips > len(finding.examples) else ""
        number = f"{finding.clips} clip{'s' if finding.clips > 1 else ''}"
        click.echo(f"  {number}: {finding.what} ({', '.join(finding.examples)}{more})")
    if not checked.findings:
        click.echo("  nothing is wrong that can be told without decoding")
    estimate = checked.estimate
    if estimate.reason:
        click.echo(f"  no estimate: {estimate.reason}")
        return
    stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in sorted(estimate.seconds.items()))
    click.echo(
        f"  on this machine, from {estimate.sample} clips: about {duration(sum(estimate.seconds.values()))} ({stages}), "
        f"{estimate.cache_bytes / 1e6:.1f} MB of features"
    )


def _counts(counts: "Mapping[str, int]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
