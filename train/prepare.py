"""A request meets its data: what is to be trained, on which clips, and what its config.json will say."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sadgr.cache import FeatureCache, labels_hash
from sadgr.train.config import AudioMean, ModelConfig, ModelName, Widths
from sadgr.train.errors import TrainError
from sadgr.train.gather import FitData, gather
from sadgr.train.logs import Log
from sadgr.train.models.registry import Described, describe
from sadgr.train.pretrain import Pretrained, load_heads
from sadgr.train.request import FitRequest
from sadgr.train.rundir import computing_device
from sadgr.train.sources import about, described, require_same_encoders


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
