"""What each command does, from a cache's folder to written results."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sadgr.cache import FeatureCache, labels_hash
from sadgr.train.checkpoint import write_json
from sadgr.train.config import AudioMean, FitConfig, ModelConfig, PretrainConfig
from sadgr.train.data import Clips, clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.figures import prediction_figure, write_figure
from sadgr.train.fit import FitResult, fit
from sadgr.train.gather import FitData, gather, modalities_present, report_absent
from sadgr.train.loop import Log
from sadgr.train.pairs import read_pairs
from sadgr.train.predict import load_run, predict, seed_folder
from sadgr.train.pretrain import Pretrained, load_heads, pretrain
from sadgr.train.report import over_seeds, prediction_rows, write_seed
from sadgr.train.rundir import claim
from sadgr.train.snapshot import snapshot
from sadgr.train.sources import described, require_same_encoders
from sadgr.train.tasks import Target, TaskName

FeatureSetNames = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class FitRequest:
    """What a person asked to be fitted.

    Attributes:
        config: Settings; its seed gives way to `seeds`.
        model: Widths and variants; what the data decides is filled in.
        seeds: A model each.
        heads: Folder of pretrained heads; None begins with random ones.
        dataset: Its name; None where the cache has one.
        feature_sets: Names of text, audio and video features; None where there is one.
        target: `sentiment`, `emotions` or a column.
        task: None for what suits the target.
    """

    config: FitConfig
    model: ModelConfig
    seeds: tuple[int, ...] = (1111,)
    heads: Path | None = None
    dataset: str | None = None
    feature_sets: FeatureSetNames = (None, None, None)
    target: str = "sentiment"
    task: TaskName | None = None


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


def run_fit(cache: Path, run: Path, request: FitRequest, should_stop: Callable[[], bool], log: Log) -> list[FitResult]:
    """Fit a model on a cache, once for each seed over one copy of the data, and write the run."""
    data = FeatureCache(cache).dataset(request.dataset)
    selection = data.select(*request.feature_sets)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    heads = load_heads(request.heads) if request.heads else None
    audio_mean: AudioMean = "mean"
    model_config = request.model
    if heads:
        require_same_encoders(heads.plan["features"], features, f"the heads in {request.heads}")
        audio_mean = heads.plan["settings"]["audio_mean"]
        model_config = replace(model_config, d_shared=heads.plan["settings"]["d_shared"])
    fit_data = gather(data, selection, audio_mean, request.target, request.task, computing_device(), log)
    log(", ".join(f"{split}: {len(clips)} clips" for split, clips in fit_data.splits.items()))
    model_config = _filled_in(model_config, fit_data)
    plan = {
        "dataset": data.name,
        "features": features,
        "labels_sha256": labels_hash(data.path),
        "audio_mean": audio_mean,
        "heads": _heads_summary(heads),
        "target": asdict(fit_data.target),
        "settings": {name: value for name, value in asdict(request.config).items() if name != "seed"},
        "model": asdict(model_config),
        "seeds": list(request.seeds),
        "clips": fit_data.digest,
    }
    claim(run / "config.json", plan)
    results = []
    for seed in request.seeds:
        folder = seed_folder(run, seed)
        if len(request.seeds) > 1:
            log(f"seed {seed}")
        config = replace(request.config, seed=seed)
        result = fit(fit_data, model_config, config, folder, should_stop, log, heads.tensors if heads else None)
        write_seed(folder, fit_data, result)
        results.append(result)
    if fit_data.target.task == "regression":
        write_figure(run / "prediction.png", prediction_figure(fit_data, results[0], data.name))
    splits = {split: over_seeds([one.metrics[split] for one in results]) for split in results[0].metrics}
    write_json(run / "metrics.json", {"dataset": data.name, "seeds": list(request.seeds), "splits": splits})
    return results


def run_predict(
    run: Path, cache: Path, dataset: str | None, feature_sets: FeatureSetNames, log: Log
) -> tuple[list[dict[str, str | float]], list[str]]:
    """Score all clips of a data set.

    Returns:
        A row (clip_id, prediction) for each clip that has features, and the ids of those that have none at all.
    """
    models, config = load_run(run)
    data = FeatureCache(cache).dataset(dataset)
    selection = data.select(*feature_sets)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    require_same_encoders(config["features"], features, f"the model in {run}")
    for modality, now in features.items():
        if now["fingerprint"] != config["features"].get(modality, now)["fingerprint"]:
            log(f"{modality} features are of the same encoder, but of other word times or sampling than in training")
    clips = list(snapshot(data, list(data.labels().index), selection, log).clips())
    scored = [clip for clip in clips if any(modalities_present(clip))]
    if not scored:
        raise TrainError(f"no clip of data set {data.name} has features: run sadgr-extract on its source")
    report_absent(scored, log)
    device = computing_device()
    held = Clips([clip_tensors(clip, models[0].config, config["audio_mean"]) for clip in scored], device)
    found = [predict(model.to(device), held) for model in models]
    rows = prediction_rows(held.ids, found, Target(**config["target"]))
    return rows, [clip.clip_id for clip in clips if not any(modalities_present(clip))]


def _filled_in(model: ModelConfig, data: FitData) -> ModelConfig:
    """What was asked for, with the widths that the data decides."""
    d_text, d_audio, d_video = data.widths
    n_outputs = len(data.target.outputs)
    try:
        return replace(model, d_text=d_text, d_audio=d_audio, d_video=d_video, n_outputs=n_outputs)
    except ValueError as error:  # heads that do not divide the video's width
        raise TrainError(str(error)) from error


def computing_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _heads_summary(heads: Pretrained | None) -> dict[str, Any] | None:
    """What heads a run began with; the digest tells two pretrainings with the same settings apart."""
    if heads is None:
        return None
    return {"dataset": heads.plan["dataset"], "settings": heads.plan["settings"], "sha256": heads.sha256}
