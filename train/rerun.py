"""A run, trained again from its config.json: are the numbers equal, and if not, what else differs?"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from sadgr.cache import file_sha256
from sadgr.cache.settings_diff import differences
from sadgr.train.checkpoint import read_json, write_json
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.errors import TrainError
from sadgr.train.jobs import run_fit
from sadgr.train.logs import Log
from sadgr.train.modalities import MODALITIES
from sadgr.train.models.registry import from_json
from sadgr.train.predict import HEADS_FOLDER, load_run, seed_folder
from sadgr.train.request import FitRequest
from sadgr.train.rundir import computing_device

REPORT_FILE = "rerun.json"
_ENVIRONMENT = ("versions", "machine", "git")


def request_of(run: Path, config: Mapping[str, Any]) -> FitRequest:
    """What was asked for, as a run's config.json tells it.

    Raises:
        TrainError: Settings that this version does not have.
    """
    where, target = run / "config.json", config["target"]
    model = from_json(config["model"], str(where))
    names = [config["features"].get(modality, {}).get("name") for modality in MODALITIES]
    try:
        settings = FitConfig(**config["settings"])
    except (TypeError, ValueError) as error:
        raise TrainError(f"{where} has settings that this version does not have: {error}") from error
    return FitRequest(
        config=settings,
        model=model.settings if isinstance(model.settings, ModelConfig) else ModelConfig(),
        seeds=tuple(config["seeds"]),
        heads=run / HEADS_FOLDER if config["heads"] else None,
        dataset=config["dataset"],
        feature_sets=(names[0], names[1], names[2]),
        target=",".join(target["columns"]),
        task=target["task"],
        name=model.name,
        audio_mean=config["audio_mean"],
    )


def run_rerun(run: Path, again: Path, cache: Path | None, should_stop: Callable[[], bool], log: Log) -> dict[str, Any]:
    """Train a run again and hold the two against one another, to the bit.

    On a CPU it computes with as many threads as the run did, since they share out sums.

    Args:
        run: Finished, or exported.
        again: Folder for the new run; one that was interrupted is continued.
        cache: Where the features are; None for where they were.
        should_stop: Asked after each epoch.
        log: Takes progress lines.

    Returns:
        `equal` (weights and scores of every seed, to the bit), `seeds` (whether `weights` and `scores` are), `scores` (those that
        differ, with `before` and `now`) and `environment` (what else differs, in words). It is in rerun.json, too.

    Raises:
        TrainError: No such cache, or data other than the run was trained on.
        Interrupted: `should_stop` said so.
    """
    _, _, config = load_run(run)
    place = cache or (Path(config["cache"]) if "cache" in config else None)
    if place is None or not place.is_dir():
        known = f"{place}, which is gone" if place else "no cache: it was exported"
        raise TrainError(f"{run / 'config.json'} names {known}; say where its features are with --cache")
    if run.resolve() == again.resolve():
        raise TrainError(f"{again} is the run itself: name another folder for the new one")

    def same_as_before(plan: Mapping[str, Any]) -> None:
        plan = json.loads(json.dumps(plan))  # as it stands in a file: tuples are lists there
        listed = "\n  ".join(differences({key: config.get(key) for key in plan}, plan))
        if listed:
            raise TrainError(
                f"{run} cannot be trained again on {place}; data or settings are not what they were\n  {listed}"
            )

    threads = torch.get_num_threads()
    try:
        before = config.get("machine", {})
        if computing_device().type == before.get("device") == "cpu":
            torch.set_num_threads(before["threads"])
        run_fit(place, again, request_of(run, config), should_stop, log, check=same_as_before)
        told = compared(run, again)
    finally:
        torch.set_num_threads(threads)
    write_json(again / REPORT_FILE, told)
    return told


def compared(run: Path, again: Path) -> dict[str, Any]:
    """Hold two finished runs of the same seeds against one another; see `run_rerun`."""
    before, now = (read_json(folder / "config.json") for folder in (run, again))
    seeds: dict[str, dict[str, bool]] = {}
    scores: list[dict[str, Any]] = []
    for seed in before["seeds"]:
        folders = [seed_folder(folder, seed) for folder in (run, again)]
        old, new = (_flat(read_json(folder / "metrics.json")) for folder in folders)
        digests = {file_sha256(folder / "model.safetensors") for folder in folders}
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        scores += [{"seed": seed, "score": name, "before": old.get(name), "now": new.get(name)} for name in changed]
        seeds[str(seed)] = {"weights": len(digests) == 1, "scores": not changed}
    told = {name: {key: config.get(key) for key in _ENVIRONMENT} for name, config in (("before", before), ("now", now))}
    environment = differences(told["before"], told["now"])
    if any(one["git"] and one["git"]["dirty"] for one in told.values()):
        environment.append("git: the code had changes that no commit holds, which may differ")
    equal = all(all(one.values()) for one in seeds.values())
    return {"equal": equal, "seeds": seeds, "scores": scores, "environment": environment}


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested scores by their way down, such as `test.MAE`."""
    found: dict[str, Any] = {}
    for key, value in metrics.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
