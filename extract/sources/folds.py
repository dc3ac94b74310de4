"""Which video belongs to which split: the SDK's lists of standard folds, or a table."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from sadgr.cache import normalise_id
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.tables import read_table, split_name
from sadgr.extract.sources.tree import Tree

STD_FOLDS = "*std_folds.py"
SPLITS_TABLE = "splits.csv"
_SPLIT_IN_NAME = re.compile(r"train|valid|val|dev|test")


def folds_of(tree: Tree) -> dict[str, str]:
    """Return video -> split, from a file of standard folds or a table of splits; nothing where there is neither.

    Raises:
        SourceError: such a file cannot be used.
    """
    if found := tree.files(STD_FOLDS):
        return read_std_folds(found[0])
    if found := tree.files(SPLITS_TABLE):
        return read_splits(found[0])
    return {}


def read_std_folds(path: Path) -> dict[str, str]:
    """Read lists of video ids out of a Python file, such as the SDK's `cmu_mosei_std_folds.py`; nothing in it is run.

    Returns:
        Video -> split; which split a list is, its name says (`standard_valid_fold`).

    Raises:
        SourceError: it is no such file, or has a video in two splits.
    """
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"{path} cannot be read as Python: {error}; fetch the SDK's file again") from error
    pairs: list[tuple[str, str]] = []
    for line in body:
        if not (isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)):
            continue
        name = line.targets[0].id
        if split := _SPLIT_IN_NAME.search(name.lower()):
            pairs += [(video, split_name(split[0])) for video in _videos(line.value, f"{path}: {name}")]
    if not pairs:
        raise SourceError(
            f"{path} has no list such as `standard_train_fold = ['video', ...]`; fetch the SDK's file again"
        )
    return _unique(pairs, path)


def read_splits(path: Path) -> dict[str, str]:
    """Read a table with columns `video_id` and `mode`.

    Returns:
        Video -> split.

    Raises:
        SourceError: it lacks a column, names an unknown split, or has a video in two splits.
    """
    table = read_table(path)
    if lacking := [name for name in ("video_id", "mode") if name not in table]:
        raise SourceError(
            f"{path} has no column {lacking[0]!r}; expected video_id,mode, found {', '.join(table.columns)}"
        )
    try:
        return _unique(
            [(video, split_name(mode)) for video, mode in zip(table["video_id"], table["mode"], strict=True)], path
        )
    except ValueError as error:
        raise SourceError(f"{path}: {error}") from error


def _videos(value: ast.expr, where: str) -> Iterable[str]:
    try:
        videos = ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        videos = None
    if not isinstance(videos, list | tuple | set) or not all(isinstance(video, str) for video in videos):
        raise SourceError(f"{where} is no plain list of video ids; fetch the SDK's file again")
    return videos


def _unique(pairs: Iterable[tuple[str, str]], path: Path) -> dict[str, str]:
    splits: dict[str, str] = {}
    for name, split in pairs:
        try:
            video = normalise_id(name.strip())
        except ValueError as error:
            raise SourceError(f"{path}: {error}") from error
        if splits.setdefault(video, split) != split:
            raise SourceError(f"{path} has video {video!r} in {splits[video]} and in {split}; leave it in one")
    return splits
