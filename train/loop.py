"""Epochs with early stopping that go on after an interruption as if there had been none.

Every epoch derives its random numbers from (seed, epoch), so weights, optimiser and history are all that a
continuation needs; they are written together after each epoch.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from sadgr.cache.publish import replace as replace_file
from sadgr.train.checkpoint import read_tensors, write_tensors
from sadgr.train.errors import Interrupted, TrainError

STATE_FILE = "state.safetensors"
HISTORY_FILE = "history.csv"
TENSORBOARD_FOLDER = "tensorboard"
CELL_WIDTH = 10
Row = dict[str, float]
Log = Callable[[str], None]


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


def on_terminal() -> bool:
    """Whether a person watches the log."""
    return sys.stderr.isatty()


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
        progress = self._restore(model, optimizer)
        before = [_titled(row, self.score_title) for row in progress.history]
        with _scalars(self.folder / TENSORBOARD_FOLDER, before, self.tensorboard) as scalars:
            progress = self._go_on(progress, model, optimizer, epoch, scalars)
        model.load_state_dict(read_tensors(self.folder / self.best_file)[0])
        return progress

    def _go_on(
        self,
        progress: Progress,
        model: nn.Module,
        optimizer: Optimizer,
        epoch: Callable[[int], Row],
        scalars: Callable[[int, Row], None],
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
            scalars(progress.epoch, _titled(row, self.score_title))
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
        titles = list(_titled(row, self.score_title))
        if first:
            self.log(_table_line(titles, "epoch", titles, "best"))
        cells = [_number(value) for value in row.values()]
        self.log(_table_line(titles, str(progress.epoch), cells, "*" if is_best else ""))

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
        model.load_state_dict(_under("model/", tensors))
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer/", tensors).items():
            index, key = name.split("/")
            states.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
        progress = Progress(tuple(told["history"]), told["best_epoch"])
        write_history(
            self.folder / HISTORY_FILE, progress.history, self.score_title
        )  # what stopped between the two files left it behind
        self.log(f"going on after epoch {progress.epoch}, which {self.folder} holds")
        return progress


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


def write_history(path: Path, history: Sequence[Row], score_title: str = "valid_loss") -> None:
    """Write a CSV line an epoch, counted from 1; names and numbers need no quotes."""
    lines = [",".join(["epoch", *_titled(history[0], score_title)])]
    lines += [",".join(map(str, [number, *row.values()])) for number, row in enumerate(history, start=1)]
    replace_file(path, "".join(f"{line}\n" for line in lines).encode())


def read_history(path: Path, score_title: str = "valid_loss") -> tuple[Row, ...]:
    """Read what `write_history` wrote, to the bit."""
    titles, *lines = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines())
    names = ["score" if title == score_title else title for title in titles[1:]]
    return tuple(dict(zip(names, map(float, line[1:]), strict=True)) for line in lines)


def _titled(row: Row, score_title: str) -> Row:
    return {score_title if name == "score" else name: value for name, value in row.items()}


def _table_line(titles: Sequence[str], epoch: str, cells: Sequence[str], best: str) -> str:
    """Join cells so that columns stand still: their widths follow from the titles alone."""
    wide = [cell.rjust(max(CELL_WIDTH, len(title))) for title, cell in zip(titles, cells, strict=True)]
    return "  ".join([epoch.rjust(5), *wide, best.ljust(4)])


def _number(value: float) -> str:
    """Show a number in at most CELL_WIDTH characters."""
    shown = f"{value:.4f}"
    return shown if len(shown) <= CELL_WIDTH else f"{value:.3e}"


@contextmanager
def _scalars(folder: Path, history: Sequence[Row], wanted: bool) -> Iterator[Callable[[int, Row], None]]:
    """Give what writes an epoch's row as TensorBoard scalars; does nothing where they are not wanted.

    The epochs before come first, so that a training that goes on, or asks for them late, shows its whole curve.
    """
    if not wanted:
        yield lambda number, row: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainError(
            f"TensorBoard's files need its package, which cannot be imported ({error}): pip install 'sadgr[tensorboard]', "
            f"or go on without; {HISTORY_FILE} holds the same numbers"
        ) from error
    with SummaryWriter(str(folder), purge_step=1) as writer:  # what earlier files hold is shown no more

        def write(number: int, row: Row) -> None:
            for title, value in row.items():
                writer.add_scalar(title, value, number)
            writer.flush()

        for number, row in enumerate(history, start=1):
            write(number, row)
        yield write


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
