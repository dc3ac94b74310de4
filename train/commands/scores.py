"""`significance`: whether two runs differ."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from sadgr.cache import CacheError
from sadgr.cache.console import config_option, friendly
from sadgr.train.commands.common import FOLDER, json_option
from sadgr.train.errors import TrainError


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("other", type=FOLDER)
@click.option("--split", default="test", show_default=True, help="Whose clips are compared.")
@click.option("--metric", help="Score that is compared.  [default: MAE; accuracy of classes and labels]")
@click.option("--seed", default=1111, show_default=True, type=click.IntRange(min=0), help="Seed of all random numbers.")
@json_option
@config_option
@friendly(TrainError, CacheError)
def significance(run: Path, other: Path, split: str, metric: str | None, seed: int, as_json: bool) -> None:
    """Compare RUN with OTHER on the same clips: a paired bootstrap, 10,000 times.

    Prints the difference of their scores (means over seeds), its 95 % interval, and a two-sided p. Both must have been
    scored on the same clips with the same truths.
    """
    from sadgr.train.significance import LESS_IS_BETTER, compare_runs

    saved, found = compare_runs(run, other, split, metric, seed)
    if as_json:
        click.echo(json.dumps({"dataset": saved.dataset, "split": split, **asdict(found)}))
        return
    click.echo(f"{saved.dataset}, {split} split, N = {found.n}")
    click.echo(f"{found.metric}: {found.first:.4f} in {run}, {found.second:.4f} in {other}")
    click.echo(
        f"difference {found.difference:+.4f}, 95 % interval [{found.low:+.4f}, {found.high:+.4f}], p = {found.p:.4f}"
    )
    if found.undefined:
        click.echo(
            f"{found.undefined} of {found.resamples + found.undefined} resamples have no such score and are left out"
        )
    better = "less" if found.metric in LESS_IS_BETTER else "more"
    click.echo(
        f"of {found.metric}, {better} is better; the interval is over clips, for the models as they were trained"
    )
