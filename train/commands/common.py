"""What several commands take and do alike."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from sadgr.cache.console import EXIT_UNFINISHED
from sadgr.train.config import FIT_PRESETS, FitConfig, ModelConfig
from sadgr.train.errors import Interrupted
from sadgr.train.options import given
from sadgr.train.request import FeatureSetNames, FitRequest

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
TASKS = ("regression", "classification", "multilabel")

dataset_option = click.option("--dataset", metavar="NAME", help="Data set; needed where the cache has several.")
text_option = click.option("--text", metavar="FEATURE_SET", help="Text features; needed where there are several.")
audio_option = click.option("--audio", metavar="FEATURE_SET", help="Audio features; needed where there are several.")
video_option = click.option("--video", metavar="FEATURE_SET", help="Video features; needed where there are several.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
heads_option = click.option(
    "--heads", type=FOLDER, help="OUT of sadgr-train pretrain; without it the heads begin at random."
)
task_option = click.option(
    "--task", type=click.Choice(TASKS), help="How it is learned.  [default: what suits the target]"
)
target_option = click.option(
    "--target", default="sentiment", show_default=True, metavar="sentiment|emotions|COLUMN", help="What is learned."
)


def data_options(command: Command) -> Command:
    """Add the options that say what of a cache is read: data set, and text, audio and video features."""
    for option in (video_option, audio_option, text_option, dataset_option):
        command = option(command)
    return command


def chosen(options: Mapping[str, Any]) -> tuple[str | None, FeatureSetNames]:
    """Give the data set and the feature sets that `data_options` named."""
    return options["dataset"], (options["text"], options["audio"], options["video"])


def requested(heads: Path | None, options: Mapping[str, Any], **more: Any) -> FitRequest:
    """Turn the options of `fit`, or of a study, into a FitRequest; `more` are attributes that no option of both gives."""
    config, model = settings(FIT_PRESETS[options["preset"]], options), settings(ModelConfig(), options)
    if config.freeze_heads and heads is None:
        raise click.UsageError("--freeze-heads keeps pretrained heads as they are: give them with --heads")
    seeds = tuple(range(config.seed, config.seed + options["seeds"]))
    return FitRequest(config, model, seeds, heads, *chosen(options), options["target"], options["task"], **more)


def given_to_sadgr(heads: Path | None, options: Mapping[str, Any]) -> str:
    """Name the options that were given and that no model but SADGR has; empty where there are none."""
    alone = {*given(options, ModelConfig), *({"freeze_heads", "contrastive_weight"} & given(options, FitConfig).keys())}
    return ", ".join(sorted(f"--{one.replace('_', '-')}" for one in (*alone, *(["heads"] if heads else []))))


def log(line: str) -> None:
    """Write a progress line to stderr."""
    click.echo(line, err=True)


def settings(defaults: Any, options: Mapping[str, Any]) -> Any:
    """Give defaults with what was given on the command line."""
    try:
        return replace(defaults, **given(options, type(defaults)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def exit_unfinished(stop: Interrupted) -> NoReturn:
    """Say that the work was stopped and can go on, and end so."""
    log(str(stop))
    raise SystemExit(EXIT_UNFINISHED)
