"""What a training says as it goes: lines or a table for people, history.csv, and TensorBoard's files where they are wanted.

A row is what an epoch gives; its `score` is called by a title of its own wherever people read it.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sadgr.cache.publish import replace
from sadgr.train.errors import TrainError

HISTORY_FILE = "history.csv"
TENSORBOARD_FOLDER = "tensorboard"
CELL_WIDTH = 10
Row = dict[str, float]
Log = Callable[[str], None]


def on_terminal() -> bool:
    """Whether a person watches the log."""
    return sys.stderr.isatty()


def titled(row: Row, score_title: str) -> Row:
    """Give a row with its `score` called as people know it."""
    return {score_title if name == "score" else name: value for name, value in row.items()}


def table_head(titles: Sequence[str]) -> str:
    """Line of titles above the epochs' rows."""
    return _table_line(titles, "epoch", titles, "best")


def table_row(row: Row, epoch: int, is_best: bool) -> str:
    """Line of an epoch, below `table_head` of the same titles."""
    return _table_line(list(row), str(epoch), [_number(value) for value in row.values()], "*" if is_best else "")


def write_history(path: Path, history: Sequence[Row], score_title: str = "valid_loss") -> None:
    """Write a CSV line an epoch, counted from 1; names and numbers need no quotes."""
    lines = [",".join(["epoch", *titled(history[0], score_title)])]
    lines += [",".join(map(str, [number, *row.values()])) for number, row in enumerate(history, start=1)]
    replace(path, "".join(f"{line}\n" for line in lines).encode())


def read_history(path: Path, score_title: str = "valid_loss") -> tuple[Row, ...]:
    """Read what `write_history` wrote, to the bit."""
    titles, *lines = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines())
    names = ["score" if title == score_title else title for title in titles[1:]]
    return tuple(dict(zip(names, map(float, line[1:]), strict=True)) for line in lines)


@contextmanager
def scalars(folder: Path, history: Sequence[Row], wanted: bool) -> Iterator[Callable[[int, Row], None]]:
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


def _table_line(titles: Sequence[str], epoch: str, cells: Sequence[str], best: str) -> str:
    """Join cells so that columns stand still: their widths follow from the titles alone."""
    wide = [cell.rjust(max(CELL_WIDTH, len(title))) for title, cell in zip(titles, cells, strict=True)]
    return "  ".join([epoch.rjust(5), *wide, best.ljust(4)])


def _number(value: float) -> str:
    """Show a number in at most CELL_WIDTH characters."""
    shown = f"{value:.4f}"
    return shown if len(shown) <= CELL_WIDTH else f"{value:.3e}"
