"""`ablate`, `sweep` and `table`: the paper's Table 4, Fig. 6, and Tables 2-3."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from sadgr.cache import CacheError
from sadgr.cache.console import EXIT_CLIPS_FAILED, config_option, friendly, stop_requested
from sadgr.train.commands.common import (
    FOLDER,
    data_options,
    exit_unfinished,
    heads_option,
    json_option,
    log,
    requested,
    target_option,
    task_option,
)
from sadgr.train.commands.learn import ENCODER_WIDTHS
from sadgr.train.config import FIT_PRESETS, FitConfig, ModelConfig
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.options import settings_options

Command = TypeVar("Command", bound=Callable[..., Any])
ENGINES = ("local", "ray")


def study_options(*left_out: str) -> Callable[[Command], Command]:
    """Add what a study takes: those of `fit`, without the settings that the study itself varies, and who does the work."""

    def decorate(command: Command) -> Command:
        for option in (
            config_option,
            json_option,
            settings_options(ModelConfig, {"default": ModelConfig()}, leave_out=(*ENCODER_WIDTHS, *left_out)),
            settings_options(FitConfig, FIT_PRESETS),
            data_options,
            target_option,
            task_option,
            click.option(
                "--address",
                metavar="HOST:PORT",
                help="With --engine ray: a running cluster, of which this machine is a node; auto for the one on this "
                "machine.  [default: $RAY_ADDRESS, or else a Ray of this machine's own]",
            ),
            click.option(
                "--engine",
                type=click.Choice(ENGINES),
                default="local",
                show_default=True,
                help="local trains on this machine; ray has Ray Tune train on a cluster, whose nodes all see CACHE, RUN and "
                "--heads under the same paths. Needs sadgr[ray].",
            ),
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                help="Trainings at a time, a process and a core each; numbers do not depend on it.  [default: 1; with --engine "
                "ray as many as the cluster holds]",
            ),
            click.option(
                "--seeds",
                type=click.IntRange(min=1),
                default=5,
                show_default=True,
                help="So many models of each variation, of --seed and those after it.",
            ),
            click.option("--preset", type=click.Choice(list(FIT_PRESETS)), default="default", show_default=True),
        ):
            command = option(command)
        return command

    return decorate


@click.command()
@click.argument("cache", type=FOLDER)
@click.argument("run", type=FOLDER)
@click.option("--heads", type=FOLDER, help="OUT of sadgr-train pretrain; needed, for one row goes without them.")
@study_options("gate")
@friendly(TrainError, CacheError)
def ablate(cache: Path, run: Path, heads: Path | None, as_json: bool, **options: Any) -> None:
    """Fit the full model, and what is left of it without each of its parts (Table 4), on the labelled clips in CACHE.

    Rows: full model; without pretraining; without contrastive loss; without gate; multi-head cross-attention in the gate's
    place; a gate for each frame. Each is an ordinary run in RUN/NAME; ablation.csv, .json, .png and .svg in RUN hold the
    table beside the published one. Started again with the same RUN, it goes on where it was stopped.
    """
    if heads is None:
        raise click.UsageError(
            "--heads is missing: the row `without pretraining` is held against a model with pretrained heads; run "
            "`sadgr-train pretrain CACHE OUT` first, and give its OUT"
        )
    request, engine = asked(heads, (cache, run, heads), options)
    from sadgr.train.studies.ablate import ablation_table
    from sadgr.train.studies.runner import run_study
    from sadgr.train.studies.variations import ablations

    variations = ablations(request)
    with stoppable() as should_stop:
        failed = run_study("ablate", cache, run, variations, engine, should_stop, log)
    end_study(run, failed, len(variations), lambda: ablation_table(cache, run, variations, failed), as_json)


@click.command()
@click.argument("cache", type=FOLDER)
@click.argument("run", type=FOLDER)
@heads_option
@study_options()
@friendly(TrainError, CacheError)
def sweep(cache: Path, run: Path, heads: Path | None, as_json: bool, **options: Any) -> None:
    """Fit the model with lambda from 0.01 to 1 and with 1 to 4 gate layers (Fig. 6), on the labelled clips in CACHE.

    Along each axis the other keeps its setting. The valid split's loss chooses; the test split has no say in it. Each value
    is an ordinary run in RUN/NAME; sweep.csv, .json, .png and .svg in RUN hold the scores of both splits. Started again with
    the same RUN, it goes on where it was stopped.
    """
    request, engine = asked(heads, (cache, run, *([heads] if heads else [])), options)
    from sadgr.train.studies import variations as of
    from sadgr.train.studies.runner import run_study
    from sadgr.train.studies.sweeps import sweep_table

    variations, points = of.sweep(request)
    with stoppable() as should_stop:
        failed = run_study("sweep", cache, run, variations, engine, should_stop, log)
    end_study(run, failed, len(variations), lambda: sweep_table(run, variations, points, failed), as_json)


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@json_option
@config_option
@friendly(TrainError, CacheError)
def table(runs: tuple[Path, ...], as_json: bool) -> None:
    """Hold the scores of each RUN beside the numbers that the paper publishes (Tables 2-3), which are marked as such.

    table.csv, .json, .png and .svg go to the first RUN.
    """
    from sadgr.train.studies.table import comparison

    _print(*comparison(runs), as_json)


def asked(heads: Path | None, paths: tuple[Path, ...], options: dict[str, Any]) -> tuple[Any, Any]:
    """Turn options into the request that variations are made of, and the engine that does them."""
    request = requested(heads, options)
    if options["address"] is not None and options["engine"] != "ray":
        raise click.UsageError("--address names a Ray cluster: add --engine ray")
    if options["engine"] == "ray":
        from sadgr.train.studies.ray_tune import ray_engine

        return request, ray_engine(options["address"], paths, options["jobs"])
    from sadgr.train.studies.processes import local_engine

    return request, local_engine(options["jobs"] or 1)


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Give what says whether a stop was asked for; one that was ends the command with its exit code."""
    with stop_requested() as should_stop:
        try:
            yield should_stop
        except Interrupted as stop:
            exit_unfinished(stop)


def end_study(
    run: Path,
    failed: dict[str, str],
    n_variations: int,
    make_table: Callable[[], tuple[str, dict[str, Any]]],
    as_json: bool,
) -> None:
    """Write and print what is complete, and name what is not."""
    if len(failed) < n_variations:
        _print(*make_table(), as_json)
        log(f"all files are in {run}")
    if failed:
        for name, reason in failed.items():
            log(f"failed: {name}: {reason}")
        log(f"{len(failed)} of {n_variations} variations failed; start the same command again to try them once more")
        raise SystemExit(EXIT_CLIPS_FAILED)


def _print(shown: str, told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(shown)
    for note in told["notes"]:
        click.echo(f"- {note}")
