"""What each command does, from a cache's folder to written results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sadgr.cache import FeatureCache, labels_hash
from sadgr.train.checkpoint import write_json
from sadgr.train.config import AudioMean, FitConfig, ModelConfig, ModelName, PretrainConfig, TaskName, Widths
from sadgr.train.errors import TrainError
from sadgr.train.figures import prediction_figure, write_figure, write_reports
from sadgr.train.fit import FitResult, fit
from sadgr.train.gather import FitData, gather
from sadgr.train.loop import Log
from sadgr.train.models.registry import Described, describe
from sadgr.train.pairs import read_pairs
from sadgr.train.predict import HEADS_FOLDER, keep_heads, seed_folder
from sadgr.train.pretrain import Pretrained, load_heads, pretrain
from sadgr.train.report import over_seeds, write_seed
from sadgr.train.rundir import claim, computing_device
from sadgr.train.sources import about, described, require_same_encoders

FeatureSetNames = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class FitRequest:
    """What a person asked to be fitted.

    Attributes:
        config: Settings; its seed gives way to `seeds`.
        model: SADGR's widths and variants; what the data decides is filled in.
        seeds: A model each.
        heads: Folder of pretrained heads; None begins with random ones.
        dataset: Its name; None where the cache has one.
        feature_sets: Names of text, audio and video features; None where there is one.
        target: `sentiment`, `emotions` or a column.
        task: None for what suits the target.
        name: The model's; another than SADGR has settings of its own.
        tensorboard: Write event files for TensorBoard, too.
        audio_mean: Which mean of the audio L_con reads where heads do not say; None for the mean over all frames.
    """

    config: FitConfig
    model: ModelConfig
    seeds: tuple[int, ...] = (1111,)
    heads: Path | None = None
    dataset: str | None = None
    feature_sets: FeatureSetNames = (None, None, None)
    target: str = "sentiment"
    task: TaskName | None = None
    name: ModelName = "sadgr"
    tensorboard: bool = False
    audio_mean: AudioMean | None = None


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


@dataclass(frozen=True)
class Prepared:
    """A request with its data.

    Attributes:
        request: What a person asked for.
        data: Labelled clips by split.
        model: With the widths that the data decides.
        heads: Those to begin with; None for random ones.
        plan: What stands in config.json, and what one training is told from another by.
        information: What stands there besides: where the cache lay, and what its encoders are called.
    """

    request: FitRequest
    data: FitData
    model: Described
    heads: Pretrained | None
    plan: Mapping[str, Any]
    information: Mapping[str, Any]


HeldData = dict[tuple[Any, ...], FitData]
"""Data sets read already, by what was asked for: models that are held against one another share a copy."""


def prepare(cache: Path, request: FitRequest, log: Log, held: HeldData | None = None) -> Prepared:
    """Read what a request needs; nothing is written.

    Args:
        cache: Where the features are.
        request: What a person asked for.
        log: Takes what is worth knowing of the data.
        held: Data is taken from here, and put here; None reads it anew.

    Raises:
        TrainError: Data, heads or settings that training cannot use.
    """
    data = FeatureCache(cache).dataset(request.dataset)
    selection = data.select(*request.feature_sets)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    heads = load_heads(request.heads) if request.heads else None
    audio_mean: AudioMean = request.audio_mean or "mean"
    model_config = request.model
    if heads:
        require_same_encoders(heads.plan["features"], features, f"the heads in {request.heads}")
        audio_mean = heads.plan["settings"]["audio_mean"]
        model_config = replace(model_config, d_shared=heads.plan["settings"]["d_shared"])
    held = {} if held is None else held
    key = (cache, request.dataset, request.feature_sets, audio_mean, request.target, request.task)
    if key not in held:
        held[key] = gather(data, selection, audio_mean, request.target, request.task, computing_device(), log)
        log(", ".join(f"{split}: {len(clips)} clips" for split, clips in held[key].splits.items()))
    fit_data = held[key]
    model = _described(request.name, model_config, fit_data)
    plan = {
        "dataset": data.name,
        "features": features,
        "labels_sha256": labels_hash(data.path),
        "audio_mean": audio_mean,
        "heads": _heads_summary(heads),
        "target": asdict(fit_data.target),
        "settings": {name: value for name, value in asdict(request.config).items() if name != "seed"},
        "model": model.as_json(),
        "seeds": list(request.seeds),
        "clips": fit_data.digest,
        "n_clips": {split: len(clips) for split, clips in fit_data.splits.items()},
    }
    encoders = about(text=selection.text, audio=selection.audio, video=selection.video)
    return Prepared(request, fit_data, model, heads, plan, {"cache": str(cache.resolve()), "encoders": encoders})


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


def begin(prepared: Prepared, run: Path) -> None:
    """Write what a run is made of, its config.json and its pretrained heads; nothing where it was begun already.

    Raises:
        TrainError: The folder belongs to another training.
    """
    claim(run / "config.json", prepared.plan, prepared.information)
    if prepared.request.heads:
        keep_heads(prepared.request.heads, run / HEADS_FOLDER)


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


def _described(name: ModelName, sadgr: ModelConfig, data: FitData) -> Described:
    """What was asked for, with the widths that the data decides."""
    widths = Widths(*data.widths, len(data.target.outputs), data.target.task, len(data.splits["train"]))
    d_text, d_audio, d_video = data.widths
    try:
        filled = replace(sadgr, d_text=d_text, d_audio=d_audio, d_video=d_video, n_outputs=widths.n_outputs)
    except ValueError as error:  # heads that do not divide the video's width
        raise TrainError(str(error)) from error
    return describe(name, widths, filled)


def _heads_summary(heads: Pretrained | None) -> dict[str, Any] | None:
    """What heads a run began with; the digest tells two pretrainings with the same settings apart."""
    if heads is None:
        return None
    return {"dataset": heads.plan["dataset"], "settings": heads.plan["settings"], "sha256": heads.sha256}
