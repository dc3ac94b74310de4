"""STA-CA: text-audio contrastive pretraining of the projection heads on mean vectors (METHOD.md section 2)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sadgr.cache import file_sha256
from sadgr.train.checkpoint import read_json, read_tensors, write_json
from sadgr.train.config import PretrainConfig
from sadgr.train.errors import TrainError
from sadgr.train.heads import ProjectionHeads
from sadgr.train.logs import Log, Row
from sadgr.train.loop import Loop, adamw, batches, seed_epoch
from sadgr.train.losses import info_nce
from sadgr.train.pairs import Pairs
from sadgr.train.retrieval import retrieval_metrics
from sadgr.train.rundir import claim

HEADS_FILE = "heads.safetensors"
PLAN_FILE = "heads.json"
IN_HISTORY = ("t2a_R@1", "a2t_R@1", "modality_gap")


def pretrain(
    train: Pairs,
    held_out: Pairs,
    config: PretrainConfig,
    source: Mapping[str, Any],
    folder: Path,
    should_stop: Callable[[], bool],
    log: Log,
) -> dict[str, Any]:
    """Train heads and temperature, and keep those of the epoch with the lowest held-out loss.

    Args:
        train: Pairs to learn from.
        held_out: Pairs that only choose the epoch and measure.
        config: Settings.
        source: What the pairs are (data set, feature sets), JSON-able; kept beside the heads.
        folder: Where heads.safetensors, heads.json and history.csv go; one that was interrupted is continued.
        should_stop: Asked after each epoch.
        log: Takes progress lines.

    Returns:
        `before` and `after`: loss, retrieval and modality gap of the held-out pairs; numbers of pairs and epochs; the history,
        a row an epoch, whose `score` is the held-out loss.

    Raises:
        TrainError: Too few pairs, transcripts that are all equal where those are no negatives, training that diverged, or a
            folder of another training.
        Interrupted: `should_stop` said so.
    """
    for pairs, name in ((train, "train"), (held_out, "held-out")):
        _require_negatives(pairs, name)
    claim(folder / PLAN_FILE, {"settings": asdict(config), **source, "pairs": [train.digest(), held_out.digest()]})
    with torch.random.fork_rng(devices=[]):
        seed_epoch(config.seed, 0)
        heads = ProjectionHeads(train.text.shape[1], train.audio.shape[1], config.d_shared).to(train.text.device)
        before = measure(heads, held_out, config.batch_size)
        optimizer = adamw(heads, config.learning_rate, config.weight_decay)
        loop = Loop(
            folder, HEADS_FILE, config.epochs, config.patience, _describe, should_stop, log, score_title="held_out_loss"
        )
        progress = loop.run(heads, optimizer, lambda n: _epoch(n, heads, optimizer, train, held_out, config))
    metrics = {
        "before": before,
        "after": measure(heads, held_out, config.batch_size),
        "n_train": len(train),
        "n_held_out": len(held_out),
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "temperature": 1 / heads.logit_scale().item(),
        "history": list(progress.history),
    }
    write_json(folder / PLAN_FILE, {**read_json(folder / PLAN_FILE), "metrics": metrics})
    return metrics


def learning_rate_factor(step: int, n_steps: int, warmup_fraction: float) -> float:
    """Linear rise over the first steps, then half a cosine towards 0. Steps count from 0."""
    n_warmup = math.ceil(warmup_fraction * n_steps)
    if step < n_warmup:
        return (step + 1) / n_warmup
    return 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / (n_steps - n_warmup)))


@torch.no_grad()
def measure(heads: ProjectionHeads, pairs: Pairs, batch_size: int) -> dict[str, float]:
    """Loss in batches of the training's size (InfoNCE grows with the batch), retrieval and modality gap.

    Batches are the same whenever it is asked. Where transcripts are given, they count in all of it as in training: equal ones
    are no negatives, and one that is found is found.
    """
    text, audio = heads(pairs.text.float(), pairs.audio.float())  # (P, S) each
    total = 0.0
    for rows in batches(len(pairs), batch_size, torch.Generator().manual_seed(0)):
        said = None if pairs.transcripts is None else pairs.transcripts[rows]
        total += len(rows) * float(info_nce(text[rows], audio[rows], heads.logit_scale(), said))
    return {"loss": total / len(pairs), **retrieval_metrics(text, audio, pairs.transcripts)}


def train_step(heads: ProjectionHeads, optimizer: torch.optim.Optimizer, pairs: Pairs, learning_rate: float) -> Tensor:
    """Learn from a batch of pairs; gives its loss, a scalar, without waiting for it."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    text, audio = heads(pairs.text.float(), pairs.audio.float())  # (B, S) each
    loss = info_nce(text, audio, heads.logit_scale(), pairs.transcripts)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    heads.limit_scale()
    return loss.detach()


def _epoch(
    number: int,
    heads: ProjectionHeads,
    optimizer: torch.optim.Optimizer,
    train: Pairs,
    held_out: Pairs,
    config: PretrainConfig,
) -> Row:
    parts = batches(len(train), config.batch_size, seed_epoch(config.seed, number))
    total = torch.zeros((), dtype=torch.float64, device=train.text.device)
    for index, rows in enumerate(parts):
        step = (number - 1) * len(parts) + index
        factor = learning_rate_factor(step, config.epochs * len(parts), config.warmup_fraction)
        total += len(rows) * train_step(heads, optimizer, train[rows], config.learning_rate * factor)
    found = measure(heads, held_out, config.batch_size)
    return {
        "train_loss": float(total) / len(train),
        "score": found["loss"],
        "temperature": 1 / heads.logit_scale().item(),
        **{name: found[name] for name in IN_HISTORY},
    }


def _require_negatives(pairs: Pairs, name: str) -> None:
    """Refuse pairs among which there is nothing to contrast."""
    if len(pairs) < 2:
        raise TrainError(
            f"{len(pairs)} {name} clips have both text and audio means; contrast needs at least 2 to learn from and 2 "
            "held out"
        )
    if pairs.transcripts is not None and bool((pairs.transcripts == pairs.transcripts[0]).all()):
        raise TrainError(
            f"all {len(pairs)} {name} clips have one and the same transcript: with --mask-duplicates none of them is "
            "another's negative; leave it out, or choose another data set"
        )


def _describe(row: Row) -> str:
    return (
        f"loss {row['train_loss']:.4f}, held-out loss {row['score']:.4f}, temperature {row['temperature']:.4f}, "
        f"R@1 {row['t2a_R@1']:.4f} text to audio, {row['a2t_R@1']:.4f} audio to text, gap {row['modality_gap']:.4f}"
    )


@dataclass(frozen=True)
class Pretrained:
    """Finished heads: their tensors, the JSON that tells what they are, and the SHA-256 of the tensors' file."""

    tensors: Mapping[str, Tensor]
    plan: Mapping[str, Any]
    sha256: str


def load_heads(folder: Path) -> Pretrained:
    """Read finished heads.

    Raises:
        TrainError: No heads there, or their pretraining was interrupted.
    """
    plan = read_json(folder / PLAN_FILE)
    if "metrics" not in plan:
        raise TrainError(f"{folder}: pretraining is unfinished; start the same sadgr-train pretrain again first")
    tensors, _ = read_tensors(folder / HEADS_FILE)
    return Pretrained(tensors, plan, file_sha256(folder / HEADS_FILE))
