"""Does the method do what it says? SADGR and its ablations on data whose truth is planted (`planted.py`).

Prints what docs/planted.md holds between its markers; `--docs` writes it there, and the numbers to docs/planted.json.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planted import HELD_OUT_SEEDS, LABELLED, PAIRS, Planted, write_planted
from planted_bounds import Means, cca, knowing_labels
from planted_fit import Array, Variant, fitted
from planted_table import FULL, told
from torch import Tensor

from sadgr.cache import FeatureCache
from sadgr.cache.publish import replace as replace_file
from sadgr.train.checkpoint import write_json
from sadgr.train.config import FitConfig, ModelConfig, PretrainConfig
from sadgr.train.data import Clips
from sadgr.train.gather import FitData, gather
from sadgr.train.heads import ProjectionHeads
from sadgr.train.jobs import run_pretrain
from sadgr.train.pairs import read_pairs
from sadgr.train.pretrain import load_heads
from sadgr.train.retrieval import retrieval_metrics

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- begin: benchmarks/planted_report.py -->\n", "\n<!-- end -->"
TRAINING_SEEDS = (1111, 1112, 1113, 1114, 1115)
WAYS = ("t2a", "a2t")


@dataclass(frozen=True)
class Settings:
    """How all models are trained; variants have the full model's settings."""

    pretrain: PretrainConfig
    fit: FitConfig
    model: ModelConfig


# Chosen on DEVELOPMENT_SEEDS (1, 2) alone, by the valid loss of the full model, mean over training seeds 1111 and 1112. Batches of 64
# take half the time of 32; with them, a learning rate of 3e-3 had 0.190 and 1e-3 0.191 (batches of 32: 0.187 with 1e-3, 0.193 with
# 3e-3, 0.206 with 1e-2; d_model 64 was no better). In pretraining, the default batch of 1,024 and 5 epochs make 40 steps of 7,600
# pairs, and R@1 of seed 1 was 82 and 90 %; with these settings it is 100 %. Widths are small because the features are.
SETTINGS = Settings(
    PretrainConfig(d_shared=32, batch_size=256, epochs=10, learning_rate=1e-2),
    FitConfig(learning_rate=3e-3, batch_size=64, epochs=40, patience=8),
    ModelConfig(d_shared=32, d_model=32, d_key=16, gate_hidden=32, fusion_hidden=64),
)
VARIANTS: Mapping[str, Variant] = {
    FULL: Variant(),
    "without pretraining": Variant(pretrained=False),
    "without contrastive loss": Variant(contrastive=False),
    "without gate": Variant(gate="none"),
    "gate replaced by cross-attention": Variant(gate="attention"),
    "a gate for each frame": Variant(gate="frames"),
    "without video": Variant(sees=(True, True, False)),
    "text alone": Variant(sees=(True, False, False)),
}
Log = Callable[[str], None]


def measure(worlds: Sequence[Planted], seeds: Sequence[int], settings: Settings, log: Log) -> dict[str, Any]:
    """Train every variant on every world, and the full model on its control; gives the report's numbers.

    Args:
        worlds: What is planted; alike but for their seeds.
        seeds: Of training; heads and models for each; two at least, since the spread is over them.
        settings: How they are trained.
        log: Takes a line for each training seed.
    """
    if len(seeds) < 2:
        raise ValueError(f"a spread over training seeds needs two at least, got {len(seeds)}")
    torch.set_num_threads(1)
    found = []
    for planted in worlds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            own = _world(planted, VARIANTS, seeds, settings, folder / "own", log)
            blind = replace(planted, shuffled_audio=True)
            control = _world(blind, {FULL: VARIANTS[FULL]}, seeds, settings, folder / "control", log)
            found.append({**own, "control": control["variants"][FULL]})
    planted_alike = {name: value for name, value in asdict(worlds[0]).items() if name not in ("seed", "shuffled_audio")}
    return {
        "data": "synthetic",
        "planted": planted_alike,
        "settings": asdict(settings),
        "training_seeds": list(seeds),
        "worlds": found,
    }


def _world(
    planted: Planted, variants: Mapping[str, Variant], seeds: Sequence[int], settings: Settings, folder: Path, log: Log
) -> dict[str, Any]:
    """Write a world, and train variants on it."""
    cache = write_planted(folder / "cache", planted)
    data, honest = _labelled(cache)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    retrieval = []
    for seed in seeds:
        config, out = replace(settings.pretrain, seed=seed), folder / f"heads-{seed}"
        metrics = run_pretrain(cache, out, config, PAIRS, None, None, lambda: False, lambda line: None)
        heads = load_heads(out).tensors
        retrieval.append(_retrieval(planted, cache, config, metrics, heads, data.splits["test"]))
        for name, variant in variants.items():
            fit_config, runs = replace(settings.fit, seed=seed), folder / name / f"seed-{seed}"
            rows[name].append(fitted(variant, data, honest, settings.model, fit_config, heads, runs))
        log(f"generator seed {planted.seed}{', shuffled audio' * planted.shuffled_audio}, training seed {seed}: done")
    return {
        "seed": planted.seed,
        "n_pairs": [metrics["n_train"], metrics["n_held_out"]],
        "n_clips": {split: len(clips) for split, clips in data.splits.items()},
        "retrieval": _columns(retrieval),
        "variants": {name: _columns(row) for name, row in rows.items()},
        "knowing_MAE": _knowing(planted, data.splits["test"]),
    }


def _labelled(cache: Path) -> tuple[FitData, Array]:
    """Labelled clips, and whether each test clip's face is honest, (n,)."""
    dataset = FeatureCache(cache).dataset(LABELLED)
    data = gather(dataset, dataset.select(), "mean", "sentiment", None, torch.device("cpu"), lambda line: None)
    return data, dataset.labels().loc[data.splits["test"].ids, "planted_gate"].to_numpy(float)


def _retrieval(
    planted: Planted,
    cache: Path,
    config: PretrainConfig,
    metrics: Mapping[str, Any],
    heads: Mapping[str, Tensor],
    test: Clips,
) -> dict[str, float]:
    """R@1 of held-out pairs before and after, and by CCA; and of the test clips, which did not choose the epoch either."""
    dataset = FeatureCache(cache).dataset(PAIRS)
    selection = replace(dataset.select(None, None), video=None)
    train, held_out = (
        (pairs.text.double().numpy(), pairs.audio.double().numpy())
        for pairs in read_pairs(dataset, selection, config, lambda line: None)
    )
    text, audio = cca(train, held_out, planted.d_content)
    model = ProjectionHeads(planted.d_text, planted.d_audio, config.d_shared)
    model.load_state_dict(dict(heads))
    batch = test.batch(range(len(test)))
    found = {
        "before": metrics["before"],
        "after": metrics["after"],
        "cca": retrieval_metrics(torch.from_numpy(text), torch.from_numpy(audio)),
        "test": retrieval_metrics(*model(batch.text_mean, batch.audio_mean)),
    }
    return {f"{name}_{way}": one[f"{way}_R@1"] for name, one in found.items() for way in WAYS}


def _knowing(planted: Planted, test: Clips) -> float:
    """MAE of one who knows the generator."""
    batch = test.batch(range(len(test)))
    means = (
        batch.text_mean,
        batch.audio_mean,
        batch.frames.mean(batch.video),
        batch.words.lengths,
        batch.frames.lengths,
    )
    found = knowing_labels(planted, Means(*(one.double().numpy() for one in means)))
    return float(np.abs(found - batch.target[:, 0].double().numpy()).mean())


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def page(text: str, table: str) -> str:
    """Put the tables between the page's markers."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: BEGIN + table + END, text, flags=re.DOTALL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--docs", action="store_true", help="write docs/planted.json, and the tables of docs/planted.md"
    )
    write = parser.parse_args().docs
    start = time.perf_counter()

    def say(line: str) -> None:
        """Write progress to stderr."""
        print(f"{time.perf_counter() - start:.0f} s: {line}", file=sys.stderr, flush=True)

    numbers = measure([Planted(seed) for seed in HELD_OUT_SEEDS], TRAINING_SEEDS, SETTINGS, say)
    if write:
        write_json(DOCS / "planted.json", numbers)
        document = DOCS / "planted.md"
        replace_file(document, page(document.read_text(encoding="utf-8"), told(numbers)).encode())
    print(told(numbers))
