"""What `sadgr-extract` and `sadgr-align` share: options, what they say, and how they end."""

import json
from typing import TYPE_CHECKING

import click

from sadgr.cache.console import EXIT_CLIPS_FAILED, EXIT_UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sadgr.extract.check import Checked
    from sadgr.extract.outcome import Summary

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


dataset_option = click.option(
    "--dataset", metavar="NAME", help="Name in the cache; needed where the source does not name itself."
)
layout_option = click.option(
    "--layout", type=click.Choice(LAYOUTS), help="How SOURCE lies; recognised where it is not said."
)
max_failures_option = click.option(
    "--max-failures",
    metavar="N|P%",
    callback=_failure_limit,
    default="0",
    help="So many failed clips still end with exit code 0.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def say(line: str) -> None:
    """Write a line about what goes on to stderr."""
    click.echo(line, err=True)


def finish(summary: "Summary", max_failures: tuple[float, bool], as_json: bool) -> None:
    """Tell what a run came to, and end with its exit code.

    Args:
        summary: what it came to.
        max_failures: number, and whether it is a share in percent.
        as_json: print the whole summary for machines.
    """
    _tell(summary, as_json)
    if not summary.finished:
        raise SystemExit(EXIT_UNFINISHED)
    end_by_failures(len(summary.failed), summary.clips, max_failures)


def end_by_failures(failed: int, clips: int, max_failures: tuple[float, bool]) -> None:
    """End with exit code 3 where more clips failed than is acceptable."""
    number, in_percent = max_failures
    if failed > (number * clips / 100 if in_percent else number):
        raise SystemExit(EXIT_CLIPS_FAILED)


def _tell(summary: "Summary", as_json: bool) -> None:
    from sadgr.extract.outcome import count_states, failures_in_words

    for line in failures_in_words(summary.troubles):
        click.echo(line, err=True)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2, ensure_ascii=False))
        return
    click.echo(f"{summary.dataset}: {summary.clips} clips, {summary.skipped} needed nothing")
    if not summary.finished:
        click.echo(f"  stopped with {summary.left} clips left; start the same command again to go on")
    for stage, name in sorted(summary.feature_sets.items()):
        seconds = summary.seconds.get(stage, 0.0)
        flagged = sum(one.stage == stage and one.state == "flagged" for one in summary.troubles)
        also = f" ({flagged} more flagged)" if flagged else ""
        click.echo(f"  {stage:5}: {summary.done.get(stage, 0)} clips{also} in {seconds:.1f} s -> {name}")
    states = count_states(summary.troubles)
    click.echo("  " + ", ".join(f"{states[state]} {state}" for state in ("failed", "absent", "flagged")))
    click.echo(f"  log: {summary.log}")


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
    stages = ", ".join(f"{stage} {_duration(seconds)}" for stage, seconds in sorted(estimate.seconds.items()))
    click.echo(
        f"  on this machine, from {estimate.sample} clips: about {_duration(sum(estimate.seconds.values()))} ({stages}), "
        f"{estimate.cache_bytes / 1e6:.1f} MB of features"
    )


def _counts(counts: "Mapping[str, int]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.1f} s"
    )
