"""`pretrain` and `fit`."""

import json
from pathlib import Path
from typing import Any

import click

from sadgr.cache import CacheError
from sadgr.cache.console import config_option, friendly, stop_requested
from sadgr.train.commands.common import (
    FOLDER,
    audio_option,
    data_options,
    dataset_option,
    exit_unfinished,
    given_to_sadgr,
    heads_option,
    json_option,
    log,
    requested,
    settings,
    target_option,
    task_option,
    text_option,
)
from sadgr.train.config import FIT_PRESETS, MODEL_NAMES, FitConfig, ModelConfig, PretrainConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.options import settings_options

ENCODER_WIDTHS = ("d_text", "d_audio", "d_video", "d_shared", "n_outputs")


@click.command()
@click.argument("cache", type=FOLDER)
@click.argument("out", type=FOLDER)
@dataset_option
@text_option
@audio_option
@settings_options(PretrainConfig, {"default": PretrainConfig()})
@json_option
@config_option
@friendly(TrainError, CacheError)
def pretrain(
    cache: Path, out: Path, dataset: str | None, text: str | None, audio: str | None, as_json: bool, **options: Any
) -> None:
    """Align text and audio (STA-CA) on the mean vectors in CACHE; heads and history.csv go to the folder OUT.

    Started again with the same OUT, it goes on where it was stopped.
    """
    config = settings(PretrainConfig(), options)
    from sadgr.train.jobs import run_pretrain
    from sadgr.train.tables import retrieval_table

    with stop_requested() as should_stop:
        try:
            metrics = run_pretrain(cache, out, config, dataset, text, audio, should_stop, log)
        except Interrupted as stop:
            exit_unfinished(stop)
    if as_json:
        click.echo(json.dumps(metrics))
        return
    click.echo(retrieval_table(metrics["before"], metrics["after"]))
    click.echo(f"{metrics['n_train']} pairs learned from, {metrics['n_held_out']} held out; heads are in {out}")


@click.command()
@click.argument("cache", type=FOLDER)
@click.argument("run", type=FOLDER)
@click.option(
    "--model",
    "name",
    type=click.Choice(MODEL_NAMES),
    default="sadgr",
    show_default=True,
    help="Another model than the paper's, with its own settings.",
)
@heads_option
@click.option("--preset", type=click.Choice(list(FIT_PRESETS)), default="default", show_default=True)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="So many models, of --seed and those after it.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Seeds at a time, a process and a core each: several are faster so.  [default: one after the other, with all cores]",
)
@task_option
@target_option
@data_options
@settings_options(FitConfig, FIT_PRESETS)
@settings_options(ModelConfig, {"default": ModelConfig()}, leave_out=ENCODER_WIDTHS)
@click.option(
    "--tensorboard", is_flag=True, help="Write event files for TensorBoard, too (pip install 'sadgr[tensorboard]')."
)
@json_option
@config_option
@friendly(TrainError, CacheError)
def fit(
    cache: Path,
    run: Path,
    name: Any,
    heads: Path | None,
    jobs: int | None,
    tensorboard: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train SADGR, or a model it is held against, on the labelled clips in CACHE; all files go to the folder RUN.

    The valid split alone chooses the epoch. Started again with the same RUN, it goes on where it was stopped.
    """
    if name != "sadgr" and (flags := given_to_sadgr(heads, options)):
        raise click.UsageError(f"{flags}: only --model sadgr has this; {name} keeps its own settings")
    request = requested(heads, options, name=name, tensorboard=tensorboard)
    from sadgr.train.checkpoint import read_json
    from sadgr.train.tables import metrics_table

    with stop_requested() as should_stop:
        try:
            if jobs is None:
                from sadgr.train.jobs import run_fit

                results = run_fit(cache, run, request, should_stop, log)
            else:
                from sadgr.train.studies.seeds import run_side_by_side

                results = run_side_by_side(cache, run, request, jobs, should_stop, log)
        except Interrupted as stop:
            exit_unfinished(stop)
    told = read_json(run / "metrics.json")
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(metrics_table(told["dataset"], [one.metrics for one in results]))
    click.echo(f"N is the number of clips scored, (-/+) leaves out clips whose truth is 0; all files are in {run}")
