"""`sadgr-cache`: look into a cache, and keep it in order."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from sadgr.cache.console import friendly
from sadgr.cache.doors.cli import export_command, import_command
from sadgr.cache.errors import CacheError
from sadgr.cache.report_cli import report
from sadgr.cache.upkeep_cli import CACHE, DATASET, JSON, compact, diff, failures, gc, merge, repair, rm, verify


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="sadgr")
def main() -> None:
    """Look into a cache of features, keep it whole, and bring features in and out."""


@main.command()
@CACHE
@click.option("--clips", is_flag=True, help="List the clips' ids as well.")
@friendly(CacheError)
def ls(cache: Path, clips: bool) -> None:
    """List data sets and feature sets."""
    from sadgr.cache.store import FeatureCache

    for data in FeatureCache(cache).datasets():
        click.echo(data.name)
        for one in data.feature_sets():
            click.echo(f"  {one.name}  {len(one.entries())} clips")
        for clip_id in data.labels().index if clips else ():
            click.echo(f"    {clip_id}")


@main.command()
@CACHE
@DATASET
@JSON
@friendly(CacheError)
def info(cache: Path, dataset: str | None, as_json: bool) -> None:
    """Tell how much a cache holds: clips, splits, hours, bytes, and what each feature set was made with."""
    from sadgr.cache.store import FeatureCache
    from sadgr.cache.summary import describe_dataset

    opened = FeatureCache(cache)
    found = [describe_dataset(data) for data in ([opened[dataset]] if dataset else opened.datasets())]
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for data in found:
        splits = ", ".join(f"{count} {split or 'without split'}" for split, count in data["splits"].items() if count)
        click.echo(f"{data['name']}: {data['clips']} clips ({splits}), {data['speech_hours']:.3f} h up to last words")
        for one in data["feature_sets"]:
            absent = f", {one['absent']} absent" if one["absent"] else ""
            click.echo(f"  {one['name']}")
            click.echo(f"    {one['clips']} clips{absent}; {one['shards']} shards, {one['bytes'] / 1e6:.2f} MB")
            for key, value in one["about"].items():
                click.echo(f"    {key}: {value}")
            for shard, reason in one["invalid_shards"].items():
                click.echo(f"    not read: {shard}: {reason}", err=True)


@main.command()
@CACHE
@click.argument("clip")
@DATASET
@JSON
@friendly(CacheError)
def show(cache: Path, clip: str, dataset: str | None, as_json: bool) -> None:
    """Show one clip: labels, words with their times, shapes and ranges of its features, and its time line."""
    from sadgr.cache.report.timeline import held_arrays, time_line
    from sadgr.cache.store import FeatureCache
    from sadgr.cache.summary import describe_clip
    from sadgr.cache.timeline_text import BLOCKS, PLAIN_BLOCKS, cleaned, drawn

    data = FeatureCache(cache).dataset(dataset)
    found = describe_clip(data, clip)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(f"{cleaned(found['id'])} ({cleaned(found['dataset'])})")
    for key, value in found["labels"].items():
        click.echo(f"  {cleaned(key)}: {cleaned(str(value))}")
    for name, about in found["feature_sets"].items():
        click.echo(f"  {name}" + ("" if about["present"] else "  absent"))
        for word in about.get("words", ()):
            mark = " (interpolated)" if word["flag"] else ""
            click.echo(
                f"    {word['start']:8.3f} {word['end']:8.3f}  {word['score']:.2f}  {cleaned(word['text'])}{mark}"
            )
        for array, statistics in about.get("arrays", {}).items():
            click.echo(f"    {array}: {_in_words(statistics)}")
    columns = shutil.get_terminal_size().columns
    blocks = BLOCKS if _can_say(BLOCKS) else PLAIN_BLOCKS
    for row in drawn(time_line(held_arrays(data.feature_sets(), clip)), columns, blocks):
        click.echo(row)


def _can_say(text: str) -> bool:
    """Whether stdout's encoding has all of these letters."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _in_words(statistics: dict[str, Any]) -> str:
    shape = " x ".join(str(length) for length in statistics["shape"])
    if "rms" not in statistics:
        return f"{shape} {statistics['dtype']}"
    low, high, rms = statistics["min"], statistics["max"], statistics["rms"]
    return f"{shape} {statistics['dtype']}, {low:.4g} to {high:.4g}, rms {rms:.4g}"


for _command in (verify, repair, compact, gc, merge, rm, diff, failures):
    main.add_command(_command)
main.add_command(export_command)
main.add_command(import_command)
main.add_command(report)


if __name__ == "__main__":
    main()
