"""A manifest: a table in CSV, JSON lines or Parquet with a row a clip, for data sets of one's own."""

from collections.abc import Iterator
from pathlib import Path

from sadgr.cache import normalise_id
from sadgr.cache.labels import TEXT_COLUMNS
from sadgr.extract.clips import Clip, Medium
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.manifest_rows import ENDINGS, Row, Value, read_rows
from sadgr.extract.sources.tables import number, span_fault, split_name

_OTHER_NAMES = {"transcript": "text", "split": "mode"}
_USED = ("id", "video", "audio", "text", "mode", "start", "end")
_CONTENT = ("video", "audio", "text")


class ManifestSource:
    """A table with a column `id` and some of video, audio, text (or transcript), start, end, label, split (or mode), speaker.

    Paths are relative to the table's folder. Where only a film is given its sound is used; start and end count in both.
    All other columns are kept.

    Args:
        path: the table.
    """

    layout = "manifest"
    dataset = None
    expected = (
        "a table (.csv, .jsonl, .parquet) with the columns id, video, audio, text, start, end, label, split, speaker"
    )

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether this is a file with the ending of a table."""
        return path.is_file() and path.suffix.lower() in ENDINGS

    def clips(self) -> Iterator[Clip]:
        """Give a clip a row; one with a value that cannot be used says so."""
        columns, rows = read_rows(self.path)
        _check(columns, self.path)
        for place, cells in enumerate(rows, start=1):
            row = {_OTHER_NAMES.get(name, name): value for name, value in cells.items()}
            where = f"{self.path}, row {place}"
            try:
                clip_id = normalise_id(_text(row["id"]))
            except ValueError as error:
                raise SourceError(f"{where}: {error}") from error
            yield _clip(clip_id, row, where, self.path.parent)


def _check(columns: list[str], path: Path) -> None:
    found = f"found {', '.join(columns) or 'none'}"
    if "id" not in columns:
        of_mmsa = "; for MMSA's layout name the folder that holds label.csv" if path.name == "label.csv" else ""
        raise SourceError(f"{path} has no column 'id'; expected {ManifestSource.expected}; {found}{of_mmsa}")
    if not {_OTHER_NAMES.get(name, name) for name in columns} & set(_CONTENT):
        raise SourceError(f"{path} has none of the columns video, audio, text (or transcript); {found}")
    for name, other in _OTHER_NAMES.items():
        if {name, other} <= set(columns):
            raise SourceError(f"{path} has both {name!r} and {other!r}, which mean the same; leave one out")


def _clip(clip_id: str, row: Row, where: str, folder: Path) -> Clip:
    columns = {
        name: _text(value) if name in TEXT_COLUMNS else value for name, value in row.items() if name not in _USED
    }
    text = _text(row.get("text", ""))
    faults = []
    for name in (name for name in row if name == "mode" or name.startswith("label")):
        try:
            columns[name] = split_name(_text(row[name])) if name == "mode" else _or_empty(number(row[name], name))
        except ValueError as error:
            columns[name] = ""
            faults.append(str(error))
    try:
        span = tuple(number(row.get(name, ""), name) for name in ("start", "end"))
        columns |= {name: _or_empty(value) for name, value in zip(("start", "end"), span, strict=True) if name in row}
        audio, video = _media(row, folder, *span)
    except ValueError as error:
        return Clip(clip_id, text, columns=columns, fault=f"{where}: {'; '.join([*faults, str(error)])}; correct it")
    if audio is None and not text.strip():
        faults.append("it has neither video nor audio nor text")
    if faults:
        return Clip(clip_id, text, columns=columns, fault=f"{where}: {'; '.join(faults)}; correct it")
    return Clip(clip_id, text, audio, video, columns)


def _media(row: Row, folder: Path, start: float | None, end: float | None) -> tuple[Medium | None, Medium | None]:
    """Return the row's sound and picture.

    Raises:
        ValueError: the span is none, or a path cannot be one.
    """
    if wrong := span_fault(start, end):
        raise ValueError(wrong)
    paths = {name: _text(row.get(name, "")) for name in ("audio", "video")}
    if unusable := [path for path in paths.values() if "\0" in path]:
        raise ValueError(f"{unusable[0]!r} is no path")
    media = {name: Medium(folder / path, start, end) for name, path in paths.items() if path}
    return media.get("audio", media.get("video")), media.get("video")


def _text(value: Value) -> str:
    return value if isinstance(value, str) else str(value)


def _or_empty(value: float | None) -> Value:
    return "" if value is None else value
