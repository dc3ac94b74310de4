"""Table 5: what alignment costs and what it gains, beside the published rows, and how time grows with length."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sadgr.cache import FeatureCache
from sadgr.cache.settings_diff import differences
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.errors import TrainError
from sadgr.train.figures import write_figure
from sadgr.train.logs import Log
from sadgr.train.models.sadgr import SADGR
from sadgr.train.predict import load_run, seed_folder
from sadgr.train.pretrain import Pretrained, load_heads
from sadgr.train.request import FeatureSetNames
from sadgr.train.rundir import computing_device
from sadgr.train.sources import described, require_same_encoders
from sadgr.train.studies import timing
from sadgr.train.studies.efficiency_report import time_rows, times_as_json, times_figure
from sadgr.train.studies.timing import measure_times
from sadgr.train.tables import over_seeds, write_csv

PUBLISHED = (
    {"method": "TCHFN-TCCL", "source": "published, Table 5", "epochs": 38, "parameters_millions": 2.1, "corr_gained": 0.074},
    {"method": "SADGR STA-CA", "source": "published, Table 5", "epochs": 12, "parameters_millions": 1.3, "corr_gained": 0.112},
)  # fmt: skip
COMPARED = ("dataset", "features", "labels_sha256", "target", "settings", "seeds")


def run_efficiency(
    run: Path,
    cache: Path,
    heads: Path,
    without: Path | None,
    dataset: str | None,
    feature_sets: FeatureSetNames,
    log: Log,
) -> dict[str, Any]:
    """Write RUN/efficiency.json, .csv, .png, .svg and efficiency-times.csv.

    Args:
        run: A finished run that began with the heads.
        cache: Its data, for the clips' lengths.
        heads: Folder of the pretrained heads.
        without: A finished run that began with random heads; None where nothing is to be held against.
        dataset: Its name; None where the cache has one.
        feature_sets: Names of text, audio and video features; None where there is one.
        log: Takes progress lines.

    Returns:
        What efficiency.json holds.

    Raises:
        TrainError: The run is no SADGR or did not begin with these heads, runs that cannot be compared, other encoders.
    """
    models, _, config = load_run(run)
    pretrained = load_heads(heads)
    model = models[0]
    if not isinstance(model, SADGR):
        raise TrainError(
            f"{run} holds the model {config['model']['name']!r}; efficiency measures SADGR: give such a run"
        )
    require_began_with(run, config, pretrained, heads)
    gained = None if without is None else corr_gained(run, config, without)
    lengths = clip_lengths(config, run, cache, dataset, feature_sets)
    parts = parameters_of(model)
    row = {
        "method": "STA-CA here",
        "source": f"measured on {config['dataset']}",
        "epochs": pretrained.plan["metrics"]["best_epoch"],
        "parameters_millions": parameters_of_heads(pretrained) / 1e6,
        "corr_gained": None if gained is None else gained["mean"],
    }
    times = measure_times(model.config, timing.LENGTHS, timing.ROUNDS, computing_device(), log)
    told = {
        "dataset": config["dataset"],
        "table": [*PUBLISHED, row],
        "epochs": {"pretraining": _epochs(pretrained.plan["metrics"]), "fit": fit_epochs(run, config["seeds"])},
        "parameters": {"heads": parameters_of_heads(pretrained), "model": sum(parts.values()), "by_part": parts},
        "corr_gained": gained,
        "clips": lengths,
        "times": times_as_json(times),
    }
    write_json(run / "efficiency.json", told)
    write_csv(
        run / "efficiency.csv",
        [{key: "" if value is None else value for key, value in one.items()} for one in told["table"]],
    )
    write_csv(run / "efficiency-times.csv", time_rows(times))
    write_figure(run / "efficiency", times_figure(times))
    return told


def require_began_with(run: Path, config: Mapping[str, Any], pretrained: Pretrained, heads: Path) -> None:
    """Refuse heads that a run did not begin with."""
    if config["heads"] is None or config["heads"]["sha256"] != pretrained.sha256:
        began = "random heads" if config["heads"] is None else "other heads"
        raise TrainError(f"{run} began with {began}, not with those in {heads}: run sadgr-train fit --heads {heads}")


def parameters_of_heads(pretrained: Pretrained) -> int:
    """Count the linear maps' numbers, (Dt + 1) S + (Da + 1) S; the temperature is one more."""
    return sum(tensor.numel() for name, tensor in pretrained.tensors.items() if name != "log_scale")


def parameters_of(model: nn.Module) -> dict[str, int]:
    """Count parameters by part of a model; the parts add up to the whole."""
    return {name: sum(one.numel() for one in part.parameters()) for name, part in model.named_children()}


def corr_gained(run: Path, config: Mapping[str, Any], without: Path) -> dict[str, Any]:
    """Hold a run's correlation against one's that began with random heads, seed by seed.

    Returns:
        `split`, `N`; `with` and `without`, a list over seeds; `mean`, `std`, `low`, `high` of the differences (95 %). None
        where a correlation is undefined.

    Raises:
        TrainError: They differ in more than the heads, or are no regressions.
    """
    _, _, other = load_run(without)
    if other["heads"] is not None:
        raise TrainError(f"{without} began with pretrained heads: give a run of sadgr-train fit without --heads")
    here, there = ({key: one[key] for key in COMPARED} | {"model": _but_heads(one["model"])} for one in (config, other))
    changed = differences(here, there)
    if changed:
        raise TrainError(
            f"{run} and {without} differ in more than the heads, so that nothing follows:\n  " + "\n  ".join(changed)
        )
    if config["target"]["task"] != "regression":
        raise TrainError(f"{run} learned {config['target']['task']}, which has no correlation: leave --without out")
    found = [[read_json(seed_folder(one, seed) / "metrics.json") for seed in config["seeds"]] for one in (run, without)]
    split = "test" if "test" in found[0][0] else "valid"
    own, others = ([metrics[split]["Corr"] for metrics in one] for one in found)
    pairs = zip(own, others, strict=True)
    gains = [{"gain": None if None in pair else pair[0] - pair[1]} for pair in pairs]
    return {"split": split, "N": found[0][0][split]["N"], "with": own, "without": others, **over_seeds(gains)["gain"]}


def _but_heads(model: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the heads decide."""
    return {**model, "settings": {name: value for name, value in model["settings"].items() if name != "d_shared"}}


def fit_epochs(run: Path, seeds: Sequence[int]) -> dict[str, dict[str, int]]:
    """Seed -> the epoch whose weights were kept, and how many were trained."""
    return {str(seed): _epochs(read_json(seed_folder(run, seed) / "metrics.json")) for seed in seeds}


def _epochs(metrics: Mapping[str, Any]) -> dict[str, int]:
    return {"best": metrics["best_epoch"], "trained": metrics["epochs"]}


def clip_lengths(
    config: Mapping[str, Any], run: Path, cache: Path, dataset: str | None, feature_sets: FeatureSetNames
) -> dict[str, Any]:
    """Give mean and largest numbers of words and frames of the data's clips: where on the curves the data lies."""
    data = FeatureCache(cache).dataset(dataset)
    selection = data.select(*feature_sets)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    require_same_encoders(config["features"], features, f"the model in {run}")
    found: dict[str, list[int]] = {"words": [], "frames": []}
    for clip in data.clips(data.ids(), selection):
        words = clip.text_words if clip.text_words is not None else clip.audio_words
        for name, array in (("words", words), ("frames", clip.video_frames)):
            if array is not None:
                found[name].append(len(array))
    return {"dataset": data.name} | {
        name: {"clips": len(some), "mean": sum(some) / len(some), "largest": max(some)} if some else None
        for name, some in found.items()
    }
