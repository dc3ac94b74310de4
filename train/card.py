"""A model card, written from what a run's files say and from nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from sadgr.train.sources import is_synthetic
from sadgr.train.tables import COLUMNS

Scores = Mapping[str, Mapping[str, float | None]]
HUB_METRICS = {
    "MAE": "mae",
    "Corr": "pearsonr",
    "Has0_acc_2": "accuracy",
    "Has0_F1_score": "f1",
    "accuracy": "accuracy",
    "F1_weighted": "f1",
}
"""Our scores that the model hub has a name for."""
SYNTHETIC = "**The data is synthetic. These scores show that the program works; they say nothing about people.**"


def model_card(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Write the card: YAML front matter as the model hub reads it, then text.

    Args:
        config: A run's config.json.
        metrics: Its metrics.json.
    """
    parts = [_title(config), _data(config), _results(config, metrics), _reads(config), _training(config)]
    parts += [_limits(config, metrics), _use(config)]
    front = yaml.safe_dump(_front_matter(config, metrics), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(parts) + "\n"


def _front_matter(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    task, synthetic = config["target"]["task"], is_synthetic(config["dataset"], config["features"])
    split = _judged(metrics)
    found = [
        {"type": HUB_METRICS[key], "name": title, "value": metrics["splits"][split][key]["mean"]}
        for title, key in COLUMNS
        if key in HUB_METRICS and metrics["splits"][split].get(key, {}).get("mean") is not None
    ]
    dataset = {"name": config["dataset"], "type": config["dataset"], "split": split}
    return {
        "library_name": "sadgr",
        "tags": ["multimodal", *config["features"], task, *(["synthetic-data"] if synthetic else [])],
        "metrics": sorted({one["type"] for one in found}),
        "model-index": [
            {
                "name": _name(config),
                "results": [{"task": {"type": task, "name": _learned(config)}, "dataset": dataset, "metrics": found}],
            }
        ],
    }


def _title(config: Mapping[str, Any]) -> str:
    seeds = config["seeds"]
    models = "one model" if len(seeds) == 1 else f"{len(seeds)} models, which answer with their mean"
    lines = [f"# {_name(config)}", "", f"{_kind(config)}: {models}, trained with seed {_listed(seeds)}."]
    if is_synthetic(config["dataset"], config["features"]):
        lines += ["", SYNTHETIC]
    return "\n".join(lines)


def _data(config: Mapping[str, Any]) -> str:
    counts = [[split, str(n)] for split, n in config["n_clips"].items()]
    outputs = config["target"]["outputs"]
    learned = f"Learned: {_learned(config)}" + (f", of {_listed(outputs)}." if len(outputs) > 1 else ".")
    return f"## Data\n\nData set `{config['dataset']}`. {learned}\n\n{_table(['split', 'clips'], counts)}"


def _results(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    titles = [(title, key) for title, key in COLUMNS if any(key in one for one in metrics["splits"].values())]
    rows = [[split, *(_shown(scores, key) for _, key in titles)] for split, scores in metrics["splits"].items()]
    table = _table(["split", *(title for title, _ in titles)], rows)
    one = len(config["seeds"]) == 1
    said = "One seed: no interval." if one else "Mean over seeds, and the 95 % interval of that mean (Student's t)."
    mark = f"\n\n{SYNTHETIC}" if is_synthetic(config["dataset"], config["features"]) else ""
    return f"## Results\n\n{said} N is the number of clips scored.{mark}\n\n{table}"


def _reads(config: Mapping[str, Any]) -> str:
    rows = []
    for modality, one in config["features"].items():
        encoder = config.get("encoders", {}).get(modality, {})
        known = "; ".join(f"{key}: {value}" for key, value in encoder.items() if key != "model" and value)
        rows.append([modality, str(encoder.get("model", one["name"])), f"`{one['encoder_fingerprint'][:12]}`", known])
    table = _table(["modality", "encoder", "encoder's fingerprint", "said of it"], rows)
    mean = f"\n\nThe contrastive loss read the audio's `{config['audio_mean']}`."
    return f"## What it reads\n\nCached features of frozen encoders, as sadgr-extract writes them.\n\n{table}{mean}"


def _training(config: Mapping[str, Any]) -> str:
    heads = config["heads"]
    began = f"pretrained on `{heads['dataset']}`, SHA-256 `{heads['sha256']}`" if heads else "at random"
    settings = {**config["settings"], **config["model"]["settings"]}
    rows = [[f"`{name}`", str(value)] for name, value in settings.items()]
    versions = ", ".join(f"{name} {version}" for name, version in config["versions"].items())
    git = config.get("git")
    changed = ", and changes that no commit holds" if git and git["dirty"] else ""
    code = f"commit {git['commit']}{changed}" if git else "no git checkout"
    return (
        f"## Training\n\nThe valid split alone chose the epoch. The projection heads began {began}. Versions: {versions}. "
        f"Code: {code}.\n\n{_table(['setting', 'value'], rows)}"
    )


def _limits(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    told = [f"Scored on {config['dataset']} alone; how it does on other recordings was not measured here."]
    if "test" not in metrics["splits"]:
        told.append("There was no test split: the scores are of the valid split, which chose the epoch, and flatter.")
    if len(config["seeds"]) > 1:
        told.append(
            "The interval tells how much training differs by its seed, not how much other clips would change scores."
        )
    chance = config["settings"].get("modality_dropout", 0.0)
    told.append(
        "Where a clip lacks a modality a learned vector stands in; "
        + (
            f"in training a clip lost one with chance {chance:g}."
            if chance
            else "training took none away to learn that."
        )
    )
    told.append(
        "Other encoders' features are refused; other word times or sampling of the same encoder are pointed out."
    )
    return "## Limits\n\n" + "\n".join(f"- {one}" for one in told)


def _use(config: Mapping[str, Any]) -> str:
    task = {"regression": "a number", "classification": "one class", "multilabel": "labels"}[config["target"]["task"]]
    return (
        f"## Use\n\nIt gives {task} ({_learned(config)}) for a clip from its {_listed(list(config['features']))} features, in "
        "this folder's place:\n\n```bash\nsadgr-train predict FOLDER CACHE\nsadgr-train evaluate FOLDER CACHE\n```"
    )


def _name(config: Mapping[str, Any]) -> str:
    return f"{config['model']['name']} on {config['dataset']}"


def _kind(config: Mapping[str, Any]) -> str:
    name = str(config["model"]["name"])
    return {"sadgr": "SADGR"}.get(name, name)


def _learned(config: Mapping[str, Any]) -> str:
    target = config["target"]
    return f"{target['task']} of {_listed([f'`{column}`' for column in target['columns']])}"


def _judged(metrics: Mapping[str, Any]) -> str:
    return "test" if "test" in metrics["splits"] else "valid"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def _shown(scores: Scores, key: str) -> str:
    found = scores.get(key, {})
    mean, low, high = found.get("mean"), found.get("low"), found.get("high")
    if mean is None:
        return "undefined"
    if key in ("N", "Non0_N"):
        return f"{mean:.0f}"
    return f"{mean:.4f}" if low is None or high is None else f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
