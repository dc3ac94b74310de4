"""What each command does, from a cache's folder to written results."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sadgr.cache import FeatureCache, labels_hash
from sadgr.train.config import AudioMean, FitConfig, ModelConfig, PretrainConfig
from sadgr.train.data import clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.figures import prediction_figure, write_figure
from sadgr.train.fit import fit
from sadgr.train.gather import gather, modalities_present, report_absent
from sadgr.train.loop import Log
from sadgr.train.pairs import read_pairs
from sadgr.train.predict import load_run, predict
from sadgr.train.pretrain import Pretrained, load_heads, pretrain
from sadgr.train.report import Metrics, write_run
from sadgr.train.snapshot import snapshot
from sadgr.train.sources import described, require_same_encoders

FeatureSetNames = tuple[str | None, str | None, str | None]


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


def run_fit(
    cache: Path,
    run: Path,
    config: FitConfig,
    model_config: ModelConfig,
    heads_folder: Path | None,
    dataset: str | None,
    feature_sets: FeatureSetNames,
    should_stop: Callable[[], bool],
    log: Log,
) -> tuple[str, dict[str, Metrics]]:
    """Fit a model on a cache and write the run; gives the data set's name, and metrics by split."""
    data = FeatureCache(cache).dataset(dataset)
    selection = data.select(*feature_sets)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    heads = load_heads(heads_folder) if heads_folder else None
    audio_mean: AudioMean = "mean"
    if heads:
        require_same_encoders(heads.plan["features"], features, f"the heads in {heads_folder}")
        audio_mean = heads.plan["settings"]["audio_mean"]
        model_config = replace(model_config, d_shared=heads.plan["settings"]["d_shared"])
    fit_data = gather(data, selection, audio_mean, log)
    log(", ".join(f"{split}: {len(clips)} clips" for split, clips in fit_data.splits.items()))
    d_text, d_audio, d_video = fit_data.widths
    source = {
        "dataset": data.name,
        "features": features,
        "labels_sha256": labels_hash(data.path),
        "audio_mean": audio_mean,
        "heads": _heads_summary(heads),
    }
    result = fit(
        fit_data,
        replace(model_config, d_text=d_text, d_audio=d_audio, d_video=d_video),
        config,
        source,
        run,
        should_stop,
        log,
        heads.tensors if heads else None,
        computing_device(),
    )
    write_figure(run / "prediction.png", prediction_figure(fit_data, result, data.name))
    write_run(run, fit_data, result)
    return data.name, dict(result.metrics)


def run_predict(
    run: Path, cache: Path, dataset: str | None, feature_sets: FeatureSetNames, log: Log
) -> tuple[list[dict[str, str | float]], list[str]]:
    """Score all clips of a data set.

    Returns:
        A row (clip_id, prediction) for each clip that has features, and the ids of those that have none at all.
    """
    model, config = load_run(run)
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
    tensors = [clip_tensors(clip, model.config, config["audio_mean"]) for clip in scored]
    scores = predict(model.to(computing_device()), tensors)
    rows: list[dict[str, str | float]] = [
        {"clip_id": clip.clip_id, "prediction": float(score)} for clip, score in zip(scored, scores, strict=True)
    ]
    return rows, [clip.clip_id for clip in clips if not any(modalities_present(clip))]


def computing_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _heads_summary(heads: Pretrained | None) -> dict[str, Any] | None:
    """What heads a run began with; the digest tells two pretrainings with the same settings apart."""
    if heads is None:
        return None
    return {"dataset": heads.plan["dataset"], "settings": heads.plan["settings"], "sha256": heads.sha256}
