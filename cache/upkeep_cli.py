"""`sadgr-cache verify | repair | compact | gc | merge | rm | diff | failures`: keep a cache whole, small and one."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from sadgr.cache.console import EXIT_CLIPS_FAILED, Progress, friendly, say
from sadgr.cache.errors import CacheError

CACHE = click.argument("cache", type=click.Path(path_type=Path, file_okay=False, exists=True))
DATASET = click.option("--dataset", metavar="NAME", help="Data set; needed only where the cache has several.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@CACHE
@click.option("--workers", type=click.IntRange(1), default=4, show_default=True, help="Threads that read at once.")
@JSON
@friendly(CacheError)
def verify(cache: Path, workers: int, as_json: bool) -> None:
    """Read every shard whole and hold it against its SHA-256; exit code 3 where one is damaged."""
    from sadgr.cache.store import FeatureCache
    from sadgr.cache.upkeep import verify as verified

    opened = FeatureCache(cache)
    shown = Progress("shards", sum(len(one.shards()) for data in opened.datasets() for one in data.feature_sets()))
    checked = []
    for one in verified(opened, workers):
        checked.append(one)
        shown.step()
    faults = [one for one in checked if one.fault]
    if as_json:
        sizes = sum(one.size_bytes for one in checked)
        faulty = [asdict(one) for one in faults]
        click.echo(json.dumps({"shards": len(checked), "bytes": sizes, "faulty": faulty}, indent=2, ensure_ascii=False))
    else:
        for one in faults:
            click.echo(f"{one.shard}: {one.fault}")
        click.echo(f"{len(checked)} shards read, {len(faults)} faulty")
    if faults:
        say("`sadgr-cache repair` moves damaged shards aside; the next sadgr-extract does what is then missing")
        raise SystemExit(EXIT_CLIPS_FAILED)


@click.command()
@CACHE
@friendly(CacheError)
def repair(cache: Path) -> None:
    """Move damaged shards into a quarantine folder; the next sadgr-extract does what is then missing."""
    from sadgr.cache.store import FeatureCache
    from sadgr.cache.upkeep import repair as repaired

    damaged = repaired(FeatureCache(cache), click.echo)
    click.echo(f"{len(damaged)} damaged shards moved" if damaged else "every shard is whole")


@click.command()
@CACHE
@DATASET
@friendly(CacheError)
def compact(cache: Path, dataset: str | None) -> None:
    """Merge small shards and drop superseded records; others may go on reading and writing meanwhile."""
    from sadgr.cache.compact import compact as compacted
    from sadgr.cache.publish import publishing_method
    from sadgr.cache.store import FeatureCache

    opened = FeatureCache(cache)
    method = publishing_method(opened.path)
    for data in [opened[dataset]] if dataset else opened.datasets():
        for one in data.feature_sets():
            done = compacted(one, method, say)
            click.echo(
                f"{data.name}/{one.name}: {done.shards_before} shards, {done.bytes_before / 1e6:.1f} MB -> "
                f"{done.shards_after} shards, {done.bytes_after / 1e6:.1f} MB"
            )


@click.command()
@CACHE
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--older-than", "hours", type=float, default=24.0, show_default=True, help="Hours since last changed.")
@friendly(CacheError)
def gc(cache: Path, dry_run: bool, hours: float) -> None:
    """Remove temporary files that writers left when they died."""
    from sadgr.cache.publish import writable
    from sadgr.cache.store import FeatureCache
    from sadgr.cache.upkeep import leftovers, remove

    found = leftovers(FeatureCache(cache), hours)
    for path in found:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path.relative_to(cache)}")
        if not dry_run:
            with writable(path.parent):
                remove(path)
    click.echo(f"{len(found)} leftovers")


@click.command()
@CACHE
@click.argument("other", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--select", metavar="PATTERN", multiple=True, help="DATASET/FEATURE_SET, with * and ?; repeatable.")
@friendly(CacheError)
def merge(cache: Path, other: Path, select: tuple[str, ...]) -> None:
    """Bring the feature sets, labels and logs of OTHER into CACHE; OTHER is only read."""
    from sadgr.cache.merge import merge as merged
    from sadgr.cache.publish import publishing_method
    from sadgr.cache.store import FeatureCache

    target = FeatureCache.create(cache)
    done = merged(target, FeatureCache(other), publishing_method(target.path), select or ("*",), click.echo)
    click.echo(f"{done.shards} shards, {done.bytes / 1e6:.1f} MB came over")
    if done.kept_labels:
        say(
            f"labels of {len(done.kept_labels)} clips differ in OTHER; those of CACHE were kept ({done.kept_labels[0]})"
        )


@click.command()
@CACHE
@click.argument("feature_set")
@DATASET
@YES
@friendly(CacheError)
def rm(cache: Path, feature_set: str, dataset: str | None, yes: bool) -> None:
    """Remove one feature set, after a confirmation."""
    from sadgr.cache.store import FeatureCache
    from sadgr.cache.summary import describe_feature_set
    from sadgr.cache.upkeep import remove_feature_set

    data = FeatureCache(cache).dataset(dataset)
    one = data.named(feature_set)
    about = describe_feature_set(one)
    click.echo(f"{data.name}/{one.name}: {about['clips']} clips, {about['bytes'] / 1e6:.1f} MB")
    if not yes and not click.confirm("Remove it for good?"):
        click.echo("kept")
        return
    remove_feature_set(one)
    click.echo("removed")


@click.command()
@CACHE
@click.argument("one")
@click.argument("other")
@DATASET
@friendly(CacheError)
def diff(cache: Path, one: str, other: str, dataset: str | None) -> None:
    """Say in which settings two feature sets differ; ONE and OTHER are names, or beginnings of fingerprints."""
    from sadgr.cache.settings_diff import differences
    from sadgr.cache.store import FeatureCache

    data = FeatureCache(cache).dataset(dataset)
    left, right = data.named(one), data.named(other)
    before, now = (
        {"modality": side.modality, **side.spec.settings, "about": dict(side.spec.about)} for side in (left, right)
    )
    found = differences(before, now)
    click.echo("\n".join(found) if found else "the two do not differ")


@click.command()
@CACHE
@DATASET
@JSON
@friendly(CacheError)
def failures(cache: Path, dataset: str | None, as_json: bool) -> None:
    """Tell how far each feature set is (done, failed by reason, left), and which clips are not done as they should be.

    `sadgr-extract SOURCE CACHE --retry-failed` works on those that failed alone.
    """
    from sadgr.cache.failures import failures as found
    from sadgr.cache.failures import standings
    from sadgr.cache.store import FeatureCache

    opened = FeatureCache(cache)
    states = found(opened, dataset)
    datasets = [opened[dataset]] if dataset else opened.datasets()
    stands = [standing for data in datasets for standing in standings(data, states)]
    if as_json:
        content = {"feature_sets": [asdict(one) for one in stands], "clips": [asdict(one) for one in states]}
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for standing in stands:
        click.echo(str(standing))
        for kind, clips in sorted(standing.failed.items(), key=lambda item: -len(item[1])):
            click.echo(f"  {len(clips)} failed: {kind}")
    for one in states:
        click.echo(f"{one.dataset}  {one.clip}: {one.state}: {one.stage}: {one.reason}")
    click.echo(f"{len(states)} clip stages are not done as they should be" if states else "nothing failed")
