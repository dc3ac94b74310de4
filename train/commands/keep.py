"""`export` and `rerun`: a run is given away, and a run is trained again."""

import json
from pathlib import Path

import click

from sadgr.cache import CacheError
from sadgr.cache.console import EXIT_UNEXPECTED, config_option, friendly, stop_requested
from sadgr.train.commands.common import FOLDER, exit_unfinished, json_option, log
from sadgr.train.errors import Interrupted, TrainError


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("out", type=FOLDER)
@config_option
@friendly(TrainError, CacheError)
def export(run: Path, out: Path) -> None:
    """Write the models of RUN with a model card into the new folder OUT, which can be given away.

    predict and evaluate take OUT in RUN's place. It holds safetensors and JSON, and no path of this machine.
    """
    from sadgr.train.export import export_run

    export_run(run, out)
    click.echo(f"{out} holds the models, their settings and fingerprints; its README.md is the model card")


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("new_run", type=FOLDER, required=False)
@click.option("--cache", type=FOLDER, help="Where the features are.  [default: where RUN read them]")
@json_option
@config_option
@friendly(TrainError, CacheError)
def rerun(run: Path, new_run: Path | None, cache: Path | None, as_json: bool) -> None:
    """Train RUN again, from its config.json alone, and compare weights and scores to the bit.

    The new run goes to NEW_RUN, by default RUN-rerun; started again, it goes on where it was stopped. Exit code 1 where
    numbers differ.
    """
    again = new_run or run.resolve().with_name(f"{run.resolve().name}-rerun")
    from sadgr.train.rerun import run_rerun

    with stop_requested() as should_stop:
        try:
            told = run_rerun(run, again, cache, should_stop, log)
        except Interrupted as stop:
            exit_unfinished(stop)
    if as_json:
        click.echo(json.dumps(told))
    else:
        for seed, same in told["seeds"].items():
            said = ", ".join(f"{what} {'equal' if is_same else 'DIFFER'}" for what, is_same in same.items())
            click.echo(f"seed {seed}: {said}")
        for one in told["scores"]:
            click.echo(f"  seed {one['seed']}: {one['score']} {one['before']}, now {one['now']}")
        listed = "\n  ".join(told["environment"]) or "nothing that is recorded"
        click.echo(f"what else differs:\n  {listed}\nthe new run is in {again}")
    if not told["equal"]:
        raise SystemExit(EXIT_UNEXPECTED)
