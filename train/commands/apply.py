"""`predict`, `evaluate` and `robustness`: what a run says of clips, how well, and how well under disturbance."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sadgr.cache import CacheError
from sadgr.cache.console import EXIT_CLIPS_FAILED, config_option, friendly
from sadgr.train.commands.common import FOLDER, chosen, data_options, json_option, log
from sadgr.train.errors import TrainError
from sadgr.train.modalities import MODALITIES, parse_modalities


def _modalities(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    try:
        return parse_modalities(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


modalities_option = click.option(
    "--modalities",
    default=",".join(MODALITIES),
    show_default=True,
    callback=_modalities,
    help="Look at these alone, as if clips lacked the others.",
)
split_option = click.option("--split", default="test", show_default=True, help="Whose labelled clips are scored.")


def output_option(text: str) -> Callable[[Any], Any]:
    """Add -o, a file in a folder that exists."""

    def checked(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
        if path and not path.parent.is_dir():
            raise click.UsageError(f"{path.parent} is no folder; make it first, or name another file")
        return path

    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option("-o", "--output", type=kind, callback=checked, help=text)


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@modalities_option
@data_options
@output_option("CSV file instead of stdout.")
@json_option
@config_option
@friendly(TrainError, CacheError)
def predict(
    run: Path,
    cache: Path,
    modalities: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    **data: str | None,
) -> None:
    """Score every clip in CACHE with the models in RUN, which fit or export wrote.

    Clips that have none of the modalities are listed; exit code 3.
    """
    if output and as_json:
        raise click.UsageError("--json prints to stdout and --output writes CSV: give one of them")
    from sadgr.train.apply import run_predict
    from sadgr.train.opened import Source
    from sadgr.train.tables import csv_text, write_csv

    rows, without = run_predict(run, Source(cache, *chosen(data), modalities), log)
    if output:
        write_csv(output, rows)
    else:
        click.echo(json.dumps(rows) if as_json else csv_text(rows), nl=as_json)
    if without:
        log(f"{len(without)} clips have no features and no score: {', '.join(without)}")
        raise SystemExit(EXIT_CLIPS_FAILED)


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@split_option
@modalities_option
@data_options
@output_option("Write the scores to this JSON file, too.")
@json_option
@config_option
@friendly(TrainError, CacheError)
def evaluate(
    run: Path,
    cache: Path,
    split: str,
    modalities: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    **data: str | None,
) -> None:
    """Score the models in RUN, which fit or export wrote, on labelled clips in CACHE.

    All labelled clips of the split count; where one has none of the modalities, learned vectors answer for it.
    """
    from sadgr.train.apply import run_evaluate
    from sadgr.train.checkpoint import write_json
    from sadgr.train.opened import Source
    from sadgr.train.tables import metrics_table

    told = run_evaluate(run, Source(cache, *chosen(data), modalities), split, log)
    if output:
        write_json(output, told)
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(metrics_table(told["dataset"], [{split: scores} for scores in told["by_seed"]]))
    seeds = ", ".join(map(str, told["seeds"]))
    click.echo(f"N is the number of clips scored; modalities: {', '.join(told['modalities'])}; seeds: {seeds}")


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@split_option
@data_options
@json_option
@config_option
@friendly(TrainError, CacheError)
def robustness(
    run: Path,
    cache: Path,
    split: str,
    as_json: bool,
    **data: str | None,
) -> None:
    """Score RUN under noise and without modalities, in steps of 10 to 90 %.

    Table and figure go to RUN/robustness. All seeds meet the same noise, and lose the same clips' modalities.
    """
    from sadgr.train.opened import Source
    from sadgr.train.studies.robustness import FOLDER as RESULTS
    from sadgr.train.studies.robustness import run_robustness, shown_rows, table_rows
    from sadgr.train.tables import aligned

    levels = run_robustness(run, Source(cache, *chosen(data)), split, log)
    if as_json:
        click.echo(json.dumps(table_rows(levels)))
        return
    click.echo(aligned(shown_rows(levels)))
    click.echo(f"mean over seeds; intervals, all scores and the figure are in {run / RESULTS}")
