"""`sadgr-train`: a thin coat over the package; all that is slow to import is imported inside the commands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sadgr.cache import CacheError
from sadgr.cache.console import EXIT_CLIPS_FAILED, EXIT_UNFINISHED, config_option, friendly, stop_requested
from sadgr.train.config import FIT_PRESETS, FitConfig, ModelConfig, PretrainConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.options import given, settings_options

FOLDER = click.Path(path_type=Path, file_okay=False)
TASKS = ("regression", "classification", "multilabel")
ENCODER_WIDTHS = ("d_text", "d_audio", "d_video", "d_shared", "n_outputs")

dataset_option = click.option("--dataset", metavar="NAME", help="Data set; needed where the cache has several.")
text_option = click.option("--text", metavar="FEATURE_SET", help="Text features; needed where there are several.")
audio_option = click.option("--audio", metavar="FEATURE_SET", help="Audio features; needed where there are several.")
video_option = click.option("--video", metavar="FEATURE_SET", help="Video features; needed where there are several.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def log(line: str) -> None:
    """Write a progress line to stderr."""
    click.echo(line, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sadgr")
def main() -> None:
    """Train SADGR on cached features: pretrain the alignment heads, fit the model, predict."""


@main.command()
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
    """Align text and audio (STA-CA) on the mean vectors in CACHE; heads go to the folder OUT.

    Started again with the same OUT, it goes on where it was stopped.
    """
    config = _settings(PretrainConfig(), options)
    from sadgr.train.jobs import run_pretrain
    from sadgr.train.report import retrieval_table

    with stop_requested() as should_stop:
        try:
            metrics = run_pretrain(cache, out, config, dataset, text, audio, should_stop, log)
        except Interrupted as stop:
            _exit_unfinished(stop)
    if as_json:
        click.echo(json.dumps(metrics))
        return
    click.echo(retrieval_table(metrics["before"], metrics["after"]))
    click.echo(f"{metrics['n_train']} pairs learned from, {metrics['n_held_out']} held out; heads are in {out}")


@main.command()
@click.argument("cache", type=FOLDER)
@click.argument("run", type=FOLDER)
@click.option("--heads", type=FOLDER, help="OUT of sadgr-train pretrain; without it the heads begin at random.")
@click.option("--preset", type=click.Choice(list(FIT_PRESETS)), default="default", show_default=True)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="So many models, of --seed and those after it.",
)
@click.option("--task", type=click.Choice(TASKS), help="How it is learned.  [default: what suits the target]")
@click.option(
    "--target", default="sentiment", show_default=True, metavar="sentiment|emotions|COLUMN", help="What is learned."
)
@dataset_option
@text_option
@audio_option
@video_option
@settings_options(FitConfig, FIT_PRESETS)
@settings_options(ModelConfig, {"default": ModelConfig()}, leave_out=ENCODER_WIDTHS)
@json_option
@config_option
@friendly(TrainError, CacheError)
def fit(
    cache: Path,
    run: Path,
    heads: Path | None,
    preset: str,
    seeds: int,
    task: Any,
    target: str,
    dataset: str | None,
    text: str | None,
    audio: str | None,
    video: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fine-tune SADGR on the labelled clips in CACHE; model, tables and figure go to the folder RUN.

    The valid split alone chooses the epoch. Started again with the same RUN, it goes on where it was stopped.
    """
    config, model = _settings(FIT_PRESETS[preset], options), _settings(ModelConfig(), options)
    chosen = tuple(range(config.seed, config.seed + seeds))
    if config.freeze_heads and heads is None:
        raise click.UsageError("--freeze-heads keeps pretrained heads as they are: give them with --heads")
    from sadgr.train.checkpoint import read_json
    from sadgr.train.jobs import FitRequest, run_fit
    from sadgr.train.report import metrics_table

    request = FitRequest(config, model, chosen, heads, dataset, (text, audio, video), target, task)
    with stop_requested() as should_stop:
        try:
            results = run_fit(cache, run, request, should_stop, log)
        except Interrupted as stop:
            _exit_unfinished(stop)
    told = read_json(run / "metrics.json")
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(metrics_table(told["dataset"], [one.metrics for one in results]))
    click.echo(f"N is the number of clips scored, (-/+) leaves out clips whose truth is 0; all files are in {run}")


@main.command()
@click.argument("run", type=FOLDER)
@click.argument("cache", type=FOLDER)
@dataset_option
@text_option
@audio_option
@video_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="CSV file instead of stdout.")
@json_option
@config_option
@friendly(TrainError, CacheError)
def predict(
    run: Path,
    cache: Path,
    dataset: str | None,
    text: str | None,
    audio: str | None,
    video: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Score every clip in CACHE with the model in RUN. Clips without any features are listed; exit code 3."""
    if output and not output.parent.is_dir():
        raise click.UsageError(f"{output.parent} is no folder; make it first, or name another file")
    if output and as_json:
        raise click.UsageError("--json prints to stdout and --output writes CSV: give one of them")
    from sadgr.train.jobs import run_predict
    from sadgr.train.report import csv_text, write_csv

    rows, without = run_predict(run, cache, dataset, (text, audio, video), log)
    if output:
        write_csv(output, rows)
    else:
        click.echo(json.dumps(rows) if as_json else csv_text(rows), nl=as_json)
    if without:
        log(f"{len(without)} clips have no features and no score: {', '.join(without)}")
        raise SystemExit(EXIT_CLIPS_FAILED)


def _settings(defaults: Any, options: dict[str, Any]) -> Any:
    """Defaults with what was given on the command line."""
    try:
        return replace(defaults, **given(options, type(defaults)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _exit_unfinished(stop: Interrupted) -> None:
    log(str(stop))
    raise SystemExit(EXIT_UNFINISHED)
