"""What `pretrain` and `fit` do, from a cache's folder to written results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sadgr.cache import FeatureCache
from sadgr.train.checkpoint import write_json
from sadgr.train.config import PretrainConfig
from sadgr.train.figures import prediction_figure, write_figure, write_reports
from sadgr.train.fit import FitResult, fit
from sadgr.train.logs import Log
from sadgr.train.loop import without_denormals
from sadgr.train.pairs import read_pairs
from sadgr.train.predict import HEADS_FOLDER, keep_heads, seed_folder
from sadgr.train.prepare import Prepared, prepare
from sadgr.train.pretrain import pretrain
from sadgr.train.report import write_seed
from sadgr.train.request import FitRequest
from sadgr.train.rundir import claim, computing_device
from sadgr.train.sources import described
from sadgr.train.tables import over_seeds


@without_denormals()
def run_pretrain(
    cache: Path,
    out: Path,
    config: PretrainConfig,
    dataset: str | None,
    text: str | None,
    audio: str | None,
    should_stop: Callable[[], bool],
    log: Log,
) -> dict[str, Any]:
    """Pretrain heads on a cache; gives what `pretrain` gives."""
    data = FeatureCache(cache).dataset(dataset)
    selection = replace(data.select(text, audio), video=None)
    device = computing_device()
    train, held_out = read_pairs(data, selection, config, log)
    source = {"dataset": data.name, "features": described(text=selection.text, audio=selection.audio)}
    return pretrain(train.to(device), held_out.to(device), config, source, out, should_stop, log)


@without_denormals()
def run_fit(
    cache: Path,
    run: Path,
    request: FitRequest,
    should_stop: Callable[[], bool],
    log: Log,
    check: Callable[[Mapping[str, Any]], None] = lambda plan: None,
) -> list[FitResult]:
    """Fit a model on a cache, once for each seed over one copy of the data, and write the run.

    Args:
        cache: Its folder.
        run: The run's folder; one that was interrupted is continued.
        request: What is fitted.
        should_stop: Asked after each epoch.
        log: Takes progress lines.
        check: Given what config.json is to hold, before anything is written; what it raises ends the run there.

    Raises:
        TrainError: Data that nothing can be learned from, or a folder of another training.
        Interrupted: `should_stop` said so; everything up to there is saved.
    """
    prepared = prepare(cache, request, log)
    check(prepared.plan)
    begin(prepared, run)
    results = []
    for seed in request.seeds:
        if len(request.seeds) > 1:
            log(f"seed {seed}")
        results.append(fit_seed(prepared, run, seed, should_stop, log))
    finish(prepared, run, results)
    return results


def begin(prepared: Prepared, run: Path) -> None:
    """Write what a run is made of, its config.json and its pretrained heads; nothing where it was begun already.

    Raises:
        TrainError: The folder belongs to another training.
    """
    claim(run / "config.json", prepared.plan, prepared.information)
    if prepared.request.heads:
        keep_heads(prepared.request.heads, run / HEADS_FOLDER)


def fit_seed(prepared: Prepared, run: Path, seed: int, should_stop: Callable[[], bool], log: Log) -> FitResult:
    """Fit the model of one seed and write its folder; one that was interrupted goes on, a finished one trains no more."""
    folder = seed_folder(run, seed)
    config, heads = replace(prepared.request.config, seed=seed), prepared.heads
    tensors, tensorboard = heads.tensors if heads else None, prepared.request.tensorboard
    result = fit(prepared.data, prepared.model.build, config, folder, should_stop, log, tensors, tensorboard)
    write_seed(folder, prepared.data, result)
    return result


def finish(prepared: Prepared, run: Path, results: Sequence[FitResult]) -> None:
    """Write what a run says over its seeds and, last, its metrics.json, whose presence says that it is complete.

    Args:
        prepared: What the run is of.
        run: Its folder.
        results: Of each seed.
    """
    if prepared.data.target.task == "regression":
        write_figure(run / "prediction", prediction_figure(prepared.data, results[0], prepared.plan["dataset"]))
    write_reports(run)
    splits = {split: over_seeds([one.metrics[split] for one in results]) for split in results[0].metrics}
    told = {"dataset": prepared.plan["dataset"], "seeds": list(prepared.request.seeds), "splits": splits}
    write_json(run / "metrics.json", told)
