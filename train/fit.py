"""Fine-tuning on labelled clips (METHOD.md section 3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.data import Batch, ClipTensors, collate
from sadgr.train.errors import TrainError
from sadgr.train.gather import FitData
from sadgr.train.loop import Log, Loop, Row, adamw, batches, seed_epoch
from sadgr.train.losses import info_nce, total_loss
from sadgr.train.metrics import regression_metrics
from sadgr.train.model import SADGR, Output
from sadgr.train.predict import predict
from sadgr.train.rundir import claim

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class FitResult:
    """A finished run.

    Attributes:
        predictions: Split -> (n,) predictions in the order of the split's clips.
        metrics: `valid` and, where there is one, `test`: what `regression_metrics` gives.
        history: A row an epoch.
        best_epoch: Whose weights were kept (counted from 1): the lowest MAE on valid.
    """

    predictions: Mapping[str, Tensor]
    metrics: Mapping[str, Mapping[str, float | int | None]]
    history: Sequence[Row]
    best_epoch: int


def fit(
    data: FitData,
    model_config: ModelConfig,
    config: FitConfig,
    source: Mapping[str, Any],
    folder: Path,
    should_stop: Callable[[], bool],
    log: Log,
    heads: Mapping[str, Tensor] | None = None,
    device: torch.device | None = None,
) -> FitResult:
    """Train SADGR, choose the epoch by the valid split's MAE, and score that one.

    Args:
        data: Labelled clips by split.
        model_config: Widths; those of the encoders must be the data's.
        config: Settings.
        source: What the data and the heads are, JSON-able; kept in config.json and held against it on continuing.
        folder: The run's; one that was interrupted is continued.
        should_stop: Asked after each epoch.
        log: Takes progress lines.
        heads: State of pretrained projection heads; None begins with random ones.
        device: Where to compute; None is the CPU.

    Raises:
        TrainError: A folder of another run, heads of other widths, or training that diverged.
        Interrupted: `should_stop` said so; everything up to there is saved.
    """
    device = device or torch.device("cpu")
    plan = {"settings": asdict(config), "model": asdict(model_config), "clips": data.digest, **source}
    claim(folder / CONFIG_FILE, plan)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed_epoch(config.seed, 0)
        model = SADGR(model_config)
        if heads is not None:
            _load_heads(model, heads)
        model.heads.requires_grad_(not config.freeze_heads)
        model.to(device)
        optimizer = adamw(model, config.learning_rate, config.weight_decay)
        loop = Loop(folder, MODEL_FILE, config.epochs, config.patience, _describe, should_stop, log)
        progress = loop.run(model, optimizer, lambda number: _epoch(number, model, optimizer, data, config))
    predictions = {split: predict(model, clips) for split, clips in data.splits.items()}
    metrics = {
        split: regression_metrics(predictions[split], targets(data.splits[split]))
        for split in ("valid", "test")
        if split in data.splits
    }
    return FitResult(predictions, metrics, progress.history, progress.best_epoch)


def targets(clips: Sequence[ClipTensors]) -> Tensor:
    """(n,) float32 labels."""
    return torch.tensor([clip.target for clip in clips], dtype=torch.float32)


def task_loss(output: Output, batch: Batch) -> Tensor:
    """L1 of the sentiment (METHOD.md: regression)."""
    return functional.l1_loss(output.prediction.squeeze(-1), batch.target)


def _epoch(number: int, model: SADGR, optimizer: torch.optim.Optimizer, data: FitData, config: FitConfig) -> Row:
    """Train once over the train split, then score the valid split."""
    train = data.splits["train"]
    device = next(model.parameters()).device
    model.train()
    task_sum = contrastive_sum = 0.0
    for rows in batches(len(train), config.batch_size, seed_epoch(config.seed, number)):
        batch = collate([train[row] for row in rows.tolist()]).to(device)
        output = model(batch)
        task = task_loss(output, batch)
        contrastive = info_nce(output.text_shared, output.audio_shared, output.logit_scale)
        optimizer.zero_grad()
        total_loss(task, contrastive, config.contrastive_weight).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.heads.limit_scale()
        task_sum += task.item() * len(rows)
        contrastive_sum += contrastive.item() * len(rows)
    valid = data.splits["valid"]
    score = float((predict(model, valid) - targets(valid)).abs().mean())
    return {"train_mae": task_sum / len(train), "train_contrastive": contrastive_sum / len(train), "score": score}


def _describe(row: Row) -> str:
    return f"train MAE {row['train_mae']:.4f}, L_con {row['train_contrastive']:.4f}, valid MAE {row['score']:.4f}"


def _load_heads(model: SADGR, heads: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.heads.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in heads.items()}
    if found != expected:
        raise TrainError(
            f"the heads have shapes {found}, the model needs {expected}: pretrain on the same feature sets"
        )
    model.heads.load_state_dict(dict(heads))
