"""Epochs with early stopping that go on after an interruption as if there had been none.

Every epoch derives its random numbers from (seed, epoch), so weights, optimiser and history are all that a
continuation needs; they are written together after each epoch.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from sadgr.train.checkpoint import read_tensors, write_tensors
from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.logs import (
    HISTORY_FILE,
    TENSORBOARD_FOLDER,
    Log,
    Row,
    on_terminal,
    scalars,
    table_head,
    table_row,
    titled,
    write_history,
)

STATE_FILE = "state.safetensors"


@dataclass(frozen=True)
class Progress:
    """How far training came. `score` is what early stopping watches; less is better."""

    history: tuple[Row, ...] = ()
    best_epoch: int = 0

    @property
    def epoch(self) -> int:
        """Complete epochs."""
        return len(self.history)

    def with_row(self, row: Row) -> "Progress":
        """Add an epoch's row."""
        best = math.inf if not self.best_epoch else self.history[self.best_epoch - 1]["score"]
        grown = replace(self, history=(*self.history, row))
        return replace(grown, best_epoch=grown.epoch) if row["score"] < best else grown

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether all epochs are done, or `patience` of them brought nothing better."""
        return self.epoch >= epochs or self.epoch - self.best_epoch >= patience


@dataclass(frozen=True)
class Loop:
    """What `run` needs to know.

    Attributes:
        folder: Where the state is kept.
        best_file: Where the weights of the best epoch go.
        epochs: Epochs at most.
        patience: Epochs without a better score before training stops.
        describe: A history row in a few words, for the log.
        should_stop: Asked after each epoch; True ends the process there.
        log: Takes progress lines.
        score_title: What `score` is called for people and in files.
        table: Log a table, as suits a terminal, instead of a line of words an epoch.
        tensorboard: Write TensorBoard's event files, too, into the folder's `tensorboard`.
    """

    folder: Path
    best_file: str
    epochs: int
    patience: int
    describe: Callable[[Row], str]
    should_stop: Callable[[], bool]
    log: Log
    score_title: str = "valid_loss"
    table: bool = field(default_factory=on_terminal)
    tensorboard: bool = False

    def run(self, model: nn.Module, optimizer: Optimizer, epoch: Callable[[int], Row]) -> Progress:
        """Train until finished, from the last complete epoch on, and leave the best weights in `model`.

        Args:
            model: Its state is replaced when the folder holds one.
            optimizer: Likewise.
            epoch: Trains epoch number n (from 1) and gives its row, with a `score` among its values.

        Raises:
            Interrupted: `should_stop` said so; everything up to the last epoch is saved.
            TrainError: A value of a row is not finite, or TensorBoard is asked for and not installed.
        """
        restored = self._restore(model, optimizer)
        before = [titled(row, self.score_title) for row in restored.history]
        with scalars(self.folder / TENSORBOARD_FOLDER, before, self.tensorboard) as write, without_denormals():
            progress = self._go_on(restored, model, optimizer, epoch, write)
        model.load_state_dict(read_tensors(self.folder / self.best_file)[0])
        return progress

    def _go_on(
        self,
        progress: Progress,
        model: nn.Module,
        optimizer: Optimizer,
        epoch: Callable[[int], Row],
        write: Callable[[int, Row], None],
    ) -> Progress:
        """Train from the last complete epoch until finished."""
        started = progress.epoch
        while not progress.finished(self.epochs, self.patience):
            row = epoch(progress.epoch + 1)
            _require_finite(row, progress.epoch + 1)
            progress = progress.with_row(row)
            if progress.best_epoch == progress.epoch:
                write_tensors(self.folder / self.best_file, model.state_dict())
            self._save(model, optimizer, progress)
            write(progress.epoch, titled(row, self.score_title))
            self._tell(row, progress, first=progress.epoch == started + 1)
            if self.should_stop() and not progress.finished(self.epochs, self.patience):
                raise Interrupted(f"stopped after epoch {progress.epoch}; start the same command again to go on")
        return progress

    def _tell(self, row: Row, progress: Progress, first: bool) -> None:
        """Log an epoch."""
        is_best = progress.best_epoch == progress.epoch
        if not self.table:
            self.log(f"epoch {progress.epoch}/{self.epochs}: {self.describe(row)}{' (best)' if is_best else ''}")
            return
        shown = titled(row, self.score_title)
        if first:
            self.log(table_head(list(shown)))
        self.log(table_row(shown, progress.epoch, is_best))

    def _save(self, model: nn.Module, optimizer: Optimizer, progress: Progress) -> None:
        tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in values.items()}
        told = json.dumps({"history": progress.history, "best_epoch": progress.best_epoch})
        write_tensors(self.folder / STATE_FILE, tensors, {"progress": told})
        write_history(self.folder / HISTORY_FILE, progress.history, self.score_title)

    def _restore(self, model: nn.Module, optimizer: Optimizer) -> Progress:
        path = self.folder / STATE_FILE
        if not path.exists():
            return Progress()
        tensors, metadata = read_tensors(path)
        told = json.loads(metadata["progress"])
        try:
            model.load_state_dict(_under("model/", tensors))
        except RuntimeError as error:
            raise TrainError(
                f"{path} is of another model, or of this one in another version, and cannot be gone on with; begin a new folder "
                f"({error})"
            ) from error
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer/", tensors).items():
            index, key = name.split("/")
            states.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
        progress = Progress(tuple(told["history"]), told["best_epoch"])
        # What stopped between the two files left history.csv behind.
        write_history(self.folder / HISTORY_FILE, progress.history, self.score_title)
        self.log(f"going on after epoch {progress.epoch}, which {self.folder} holds")
        return progress


@contextmanager
def without_denormals() -> Iterator[None]:
    """Let numbers below 1e-38 count as 0 where a CPU trains: products of them were seen to take forty times as long.

    Attention that is sure of itself leaves many such gradients. What counts as 0 is said for this thread, and is taken back
    after the block. Torch's workers copy it when they begin, and keep that: so whoever reads features first, and trains then,
    does both within the block. (A thread of its own would have workers of its own; with more of
    them than cores, training took half as long again.) Equal settings in one order of work give equal numbers; otherwise they are apart by 1e-38.
    """
    before = float(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1.0) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW that decays weight matrices only: shrinking a temperature, gain or bias would mean something else."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=learning_rate, fused=True)


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed torch's global numbers (dropout) and give a generator (order of clips) for one epoch; 0 is before the first."""
    low, high = np.random.SeedSequence([seed, epoch]).generate_state(2)
    torch.manual_seed(int(low))
    return torch.Generator().manual_seed(int(high))


def batches(n_clips: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Split a random order of clips; a last batch of one joins its neighbour, since one pair has no negative."""
    parts = list(torch.split(torch.randperm(n_clips, generator=generator), batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _require_finite(row: Mapping[str, float], epoch: int) -> None:
    bad = [name for name, value in row.items() if not math.isfinite(value)]
    if bad:
        raise TrainError(
            f"epoch {epoch}: {', '.join(bad)} is not finite: training diverged; lower --learning-rate, in a new folder"
        )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
