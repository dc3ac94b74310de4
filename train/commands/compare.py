"""`compare`: every model on the same features."""

from pathlib import Path
from typing import Any

import click

from sadgr.cache import CacheError
from sadgr.cache.console import friendly
from sadgr.train.commands.common import FOLDER, given_to_sadgr, heads_option, log
from sadgr.train.commands.studies import asked, end_study, stoppable, study_options
from sadgr.train.config import MODEL_NAMES, ModelName
from sadgr.train.errors import TrainError

ALL = "all"


def _chosen(_: click.Context, __: click.Parameter, value: str) -> tuple[ModelName, ...]:
    """Read names, each once, in the order in which they were given."""
    if value == ALL:
        return MODEL_NAMES
    names = tuple(dict.fromkeys(one.strip() for one in value.split(",")))
    for one in names:
        if one not in MODEL_NAMES:
            raise click.BadParameter(f"{one!r} is no model: {ALL}, or some of {', '.join(MODEL_NAMES)}")
    return names  # type: ignore[return-value]  # each is one of MODEL_NAMES


@click.command()
@click.argument("cache", type=FOLDER)
@click.argument("run", type=FOLDER)
@click.option(
    "--models", callback=_chosen, default=ALL, show_default=True, metavar="all|NAME,NAME", help="Which are compared."
)
@heads_option
@study_options()
@friendly(TrainError, CacheError)
def compare(
    cache: Path, run: Path, models: tuple[ModelName, ...], heads: Path | None, as_json: bool, **options: Any
) -> None:
    """Fit SADGR and the models it is held against on the labelled clips in CACHE: same features, splits, seeds, scores.

    Pretrained heads and the settings of SADGR's layers go to SADGR; other models have their own papers'. Each model is an
    ordinary run in RUN/NAME; compare.csv, .json, .png and .svg in RUN hold scores, a paired bootstrap against SADGR,
    parameters, times and memory. The latter are this machine's: leave it idle meanwhile. A model that does not suit the task
    is named and left out. Started again with the same RUN, it goes on where it was stopped.
    """
    if "sadgr" not in models and (flags := given_to_sadgr(heads, options)):
        raise click.UsageError(f"{flags}: only sadgr has this, and it is not among --models: add it, or leave it out")
    request, engine = asked(heads, (cache, run, *([heads] if heads else [])), options)
    from sadgr.train.studies.compare import compare_table, suitable, variations_of
    from sadgr.train.studies.costs import measured
    from sadgr.train.studies.runner import run_study

    variations, left_out = suitable(cache, variations_of(request, models), log)
    with stoppable() as should_stop:
        failed = run_study("compare", cache, run, variations, engine, should_stop, log)
        complete = [one for one in variations if one.name not in failed]
        costs = measured(cache, run, complete, should_stop, log)
    end_study(run, failed, len(variations), lambda: compare_table(run, variations, failed, left_out, costs), as_json)
