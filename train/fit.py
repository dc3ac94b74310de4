"""Fine-tuning on labelled clips (METHOD.md section 3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.checkpoint import write_tensors
from sadgr.train.config import FitConfig
from sadgr.train.errors import TrainError
from sadgr.train.gather import FitData
from sadgr.train.heads import ProjectionHeads
from sadgr.train.logs import Log, Row
from sadgr.train.loop import Loop, Progress, adamw, batches, seed_epoch
from sadgr.train.losses import total_loss
from sadgr.train.metrics import Metrics
from sadgr.train.models.ridge import Ridge, fit_ridge
from sadgr.train.models.sadgr import CONTRASTIVE, SADGR
from sadgr.train.predict import Predicted, predict
from sadgr.train.tasks import TASKS

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class FitResult:
    """A finished training with one seed.

    Attributes:
        predicted: Split -> what the model says of its clips, in their order.
        metrics: `valid` and, where there is one, `test`: what the task's metrics give.
        history: A row an epoch.
        best_epoch: Whose weights were kept (counted from 1): the lowest task loss on valid.
    """

    predicted: Mapping[str, Predicted]
    metrics: Mapping[str, Metrics]
    history: Sequence[Row]
    best_epoch: int


def fit(
    data: FitData,
    build: Callable[[], nn.Module],
    config: FitConfig,
    folder: Path,
    should_stop: Callable[[], bool],
    log: Log,
    heads: Mapping[str, Tensor] | None = None,
    tensorboard: bool = False,
) -> FitResult:
    """Train a model with one seed, choose the epoch by the valid split's task loss, and score that one.

    Args:
        data: Labelled clips by split; it computes on the device where they are.
        build: Makes the model, with weights at random; its encoders' widths must be the data's.
        config: Settings.
        folder: For its weights; one that was interrupted is continued.
        should_stop: Asked after each epoch.
        log: Takes progress lines.
        heads: State of pretrained projection heads; None begins with random ones.
        tensorboard: Write event files for TensorBoard, too.

    Raises:
        TrainError: Heads of other widths, or training that diverged.
        Interrupted: `should_stop` said so; everything up to there is saved.
    """
    device, task = data.splits["train"].device, TASKS[data.target.task]
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed_epoch(config.seed, 0)
        model = build()
        if isinstance(model, SADGR):
            if heads is not None:
                _load_heads(model, heads)
            model.heads.requires_grad_(not config.freeze_heads)
        model.to(device)
        if isinstance(model, Ridge):
            progress = _solve(model, data, folder / MODEL_FILE)
        else:
            optimizer = adamw(model, config.learning_rate, config.weight_decay)
            loop = Loop(
                folder, MODEL_FILE, config.epochs, config.patience, _describe, should_stop, log, tensorboard=tensorboard
            )
            progress = loop.run(model, optimizer, lambda number: _epoch(number, model, optimizer, data, config))
    predicted = {split: predict(model, clips) for split, clips in data.splits.items()}
    metrics = {
        split: task.metrics(predicted[split].outputs, data.splits[split].target, data.target.outputs)
        for split in ("valid", "test")
        if split in data.splits
    }
    return FitResult(predicted, metrics, progress.history, progress.best_epoch)


def _solve(model: Ridge, data: FitData, file: Path) -> Progress:
    """Set weights in closed form, which counts as one epoch."""
    fit_ridge(data, model)
    write_tensors(file, model.state_dict())
    loss = TASKS[data.target.task].loss
    train, valid = (
        float(loss(predict(model, one).outputs, one.target)) for one in (data.splits["train"], data.splits["valid"])
    )
    return Progress().with_row({"train_loss": train, "score": valid})


def _epoch(number: int, model: nn.Module, optimizer: torch.optim.Optimizer, data: FitData, config: FitConfig) -> Row:
    """Train once over the train split, then score the valid split."""
    train, task = data.splits["train"], TASKS[data.target.task]
    generator = seed_epoch(config.seed, number)
    model.train()
    limited = [module for module in model.modules() if isinstance(module, ProjectionHeads)]
    weights = {CONTRASTIVE: config.contrastive_weight}
    sums: dict[str, Tensor] = {}
    for rows in batches(len(train), config.batch_size, generator):
        batch = lose_modalities(train.batch(rows.numpy()), config.modality_dropout, generator)
        output = model(batch)
        task_loss = task.loss(output.prediction, batch.target)
        optimizer.zero_grad()
        total_loss(task_loss, output.losses, weights).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for heads in limited:
            heads.limit_scale()
        for name, loss in {"loss": task_loss, **output.losses}.items():  # no wait for a GPU, until the end
            sums[name] = sums.get(name, 0.0) + len(rows) * loss.detach()
    valid = data.splits["valid"]
    score = float(task.loss(predict(model, valid).outputs, valid.target))
    return {**{f"train_{name}": float(one) / len(train) for name, one in sums.items()}, "score": score}


def lose_modalities(batch: Batch, chance: float, generator: torch.Generator) -> Batch:
    """Take one of its modalities, drawn evenly, from each clip with this chance; never the last one that a clip has."""
    if not chance:
        return batch
    present = batch.present
    loses = (torch.rand(len(present), generator=generator) < chance).to(present.device)
    draws = torch.rand(present.shape, generator=generator).to(present.device)
    which = draws.masked_fill(~present, -1.0).argmax(dim=1)  # (B,) one that the clip has
    lost = functional.one_hot(which, present.shape[1]).bool() & (loses & (present.sum(dim=1) > 1))[:, None]
    return batch.with_present(present & ~lost)


def _describe(row: Row) -> str:
    losses = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in row.items() if name != "score")
    return f"{losses}, valid loss {row['score']:.4f}"


def _load_heads(model: SADGR, heads: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.heads.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in heads.items()}
    if found != expected:
        raise TrainError(
            f"the heads have shapes {found}, the model needs {expected}: pretrain on the same feature sets"
        )
    model.heads.load_state_dict(dict(heads))
