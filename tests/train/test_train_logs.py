"""What training says while it runs: lines or a table, history.csv as epochs go, TensorBoard's files."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from sadgr.train.errors import Interrupted, TrainError
from sadgr.train.logs import Row, write_history
from sadgr.train.loop import Loop, Progress, adamw

SCORES = (0.5, 0.25, 12345678.5, 1e-7)
TITLES = ["epoch", "train_loss", "train_contrastive", "valid_loss", "best"]


def row(number: int) -> Row:
    return {"train_loss": 1 / number, "train_contrastive": -2.0, "score": SCORES[number - 1]}


def run(
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    epoch: Callable[[int], Row] = row,
    **settings: bool,
) -> tuple[Progress, list[str]]:
    """Train nothing for four epochs whose rows are planted."""
    folder.mkdir(exist_ok=True)
    said: list[str] = []
    model = nn.Linear(2, 1)
    loop = Loop(folder, "best", 4, 9, lambda one: f"valid loss {one['score']:.4f}", stop, said.append, **settings)
    return loop.run(model, adamw(model, 1e-3, 0.0), epoch), said


def history(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "history.csv").open()))


def test_columns_of_the_table_stand_still(tmp_path: Path) -> None:
    said = run(tmp_path, table=True)[1]
    assert said[0].split() == TITLES
    assert len(said) == 5 and len({len(line) for line in said}) == 1
    ends = [said[0].index(title) + len(title) for title in TITLES[:-1]]
    for line in said[1:]:
        assert all(line[end - 1] != " " and line[end] == " " for end in ends), line
    assert said[1].split() == ["1", "1.0000", "-2.0000", "0.5000", "*"]
    assert said[3].split() == ["3", "0.3333", "-2.0000", "1.235e+07"]
    assert [line.rstrip()[-1] == "*" for line in said[1:]] == [True, True, False, True]


def test_lines_where_nobody_watches_and_a_table_where_somebody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert run(tmp_path / "lines")[1][1] == "epoch 2/4: valid loss 0.2500 (best)"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run(tmp_path / "table")[1][0].split() == TITLES


def test_history_is_there_after_each_epoch(tmp_path: Path) -> None:
    seen: list[int] = []

    def stop() -> bool:
        rows = history(tmp_path)
        seen.append(len(rows))
        assert rows[-1]["valid_loss"] == str(SCORES[len(rows) - 1])
        assert not list(tmp_path.glob(".tmp-*"))
        return False

    progress, _ = run(tmp_path, stop)
    assert seen == [1, 2, 3, 4]
    assert list(history(tmp_path)[0]) == TITLES[:-1]
    for number, (read, meant) in enumerate(zip(history(tmp_path), progress.history, strict=True), start=1):
        assert [float(value) for value in read.values()] == [number, *meant.values()]  # to the bit


def test_history_that_fell_behind_is_caught_up(tmp_path: Path, stop_after: Callable[[int], Callable[[], bool]]) -> None:
    run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "parts", stop_after(3))
    state = (tmp_path / "parts/state.safetensors").stat().st_mtime_ns
    write_history(tmp_path / "parts/history.csv", [row(1)])  # as if ended between state and history
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "parts", epoch=lambda number: {"score": 1 / 0})
    assert len(history(tmp_path / "parts")) == 3 and (tmp_path / "parts/state.safetensors").stat().st_mtime_ns == state
    said = run(tmp_path / "parts", table=True)[1]
    assert said[1].split() == TITLES and len(said) == 3  # going on, titles, epoch 4
    whole, parts = (tmp_path / name / "history.csv" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


class Written:
    """Stands in for TensorBoard's writer and keeps what it was given."""

    made: list["Written"]

    def __init__(self, log_dir: str, purge_step: int) -> None:
        self.log_dir, self.purge_step, self.closed = log_dir, purge_step, False
        self.scalars: list[tuple[str, float, int]] = []
        self.flushed = 0
        Written.made.append(self)

    def add_scalar(self, title: str, value: float, step: int) -> None:
        self.scalars.append((title, value, step))

    def flush(self) -> None:
        self.flushed = len(self.scalars)

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> type[Written]:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Written  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Written.made = []
    return Written


def planted(*numbers: int) -> list[tuple[str, float, int]]:
    return [
        (title, value, number)
        for number in numbers
        for title, value in zip(TITLES[1:-1], row(number).values(), strict=True)
    ]


def test_tensorboard_gets_every_epoch_and_after_a_stop_the_whole_curve(
    tmp_path: Path, tensorboard: type[Written], stop_after: Callable[[int], Callable[[], bool]]
) -> None:
    def stop() -> bool:
        (writer,) = tensorboard.made
        assert writer.flushed == len(writer.scalars) == 3 * len(history(tmp_path / "a"))
        return False

    run(tmp_path / "a", stop, tensorboard=True)
    (writer,) = tensorboard.made
    assert writer.scalars == planted(1, 2, 3, 4) and writer.closed
    assert Path(writer.log_dir) == tmp_path / "a/tensorboard"
    with pytest.raises(Interrupted):
        run(tmp_path / "b", stop_after(2), tensorboard=True)
    run(tmp_path / "b", tensorboard=True)
    before, after = tensorboard.made[1:]
    assert before.closed and before.scalars == planted(1, 2)
    assert after.scalars == planted(1, 2, 3, 4) and after.purge_step == 1  # replaces the first file's steps


def test_nothing_is_written_for_tensorboard_unless_asked(tmp_path: Path, tensorboard: type[Written]) -> None:
    run(tmp_path)
    assert tensorboard.made == []


def test_tensorboard_that_is_not_installed_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainError, match=r"pip install 'sadgr\[tensorboard\]'.*history\.csv holds the same numbers"):
        run(tmp_path, tensorboard=True)
    assert list(tmp_path.iterdir()) == []  # told before the first epoch


def test_tensorboard_s_own_files_hold_the_history(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(tmp_path, tensorboard=True)
    events = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("valid_loss")] == [
        (number, pytest.approx(score)) for number, score in enumerate(SCORES, start=1)
    ]


def test_what_is_logged_changes_no_number(tmp_path: Path, tensorboard: type[Written]) -> None:
    """Random numbers are drawn as before, and files are the same to the byte."""

    def drawn(number: int) -> Row:
        torch.manual_seed(number)
        return {"train_loss": float(torch.rand(1)), "train_contrastive": 0.0, "score": float(torch.rand(1))}

    plain = run(tmp_path / "plain", epoch=drawn, table=False)[0]
    assert run(tmp_path / "full", epoch=drawn, table=True, tensorboard=True)[0] == plain
    assert (tmp_path / "plain/history.csv").read_bytes() == (tmp_path / "full/history.csv").read_bytes()
