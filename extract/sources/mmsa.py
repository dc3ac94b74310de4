"""MMSA's layout: `label.csv` beside `Raw/<video_id>/<clip_id>.mp4`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sadgr.extract.clips import Clip, Medium
from sadgr.extract.errors import SourceError

LABEL_FILE = "label.csv"
_NEEDED = ("video_id", "clip_id", "text")


class MmsaSource:
    """A folder with MMSA's label.csv; columns are found by name, ids and text are text.

    Args:
        path: the folder.
    """

    layout = "mmsa"
    dataset = None
    expected = "label.csv with Raw/<video_id>/<clip_id>.mp4 (MMSA)"

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether this folder has the layout."""
        return (path / LABEL_FILE).is_file()

    def clips(self) -> Iterator[Clip]:
        """Give a clip a row; its id is `video_id$_$clip_id`."""
        table = _read(self.path / LABEL_FILE)
        for row in table.to_dict("records"):
            video = Medium(self.path / "Raw" / row["video_id"] / f"{row['clip_id']}.mp4")
            columns = {str(key): value for key, value in row.items() if key != "text"}
            clip_id = f"{row['video_id']}$_${row['clip_id']}"
            yield Clip(clip_id, row["text"], audio=video, video=video, columns=columns)


def _read(path: Path) -> pd.DataFrame:
    try:
        header = pd.read_csv(path, nrows=0).columns
        texts = {name: str for name in header if name in (*_NEEDED, "annotation", "mode", "speaker")}
        # A transcript may be "NA" and an id "null"; only a number may be missing.
        missing = {name: ["", "NA", "N/A", "nan", "NaN", "null", "None"] for name in header if name not in texts}
        table = pd.read_csv(path, dtype=texts, encoding="utf-8", keep_default_na=False, na_values=missing)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read as CSV: {error}") from error
    if lacking := [name for name in _NEEDED if name not in table]:
        raise SourceError(f"{path} has no column {lacking[0]!r}; MMSA's layout needs {', '.join(_NEEDED)}")
    table[list(texts)] = table[list(texts)].fillna("")
    nameless = (table[["video_id", "clip_id"]] == "").any(axis=1)
    if nameless.any():
        line = int(nameless.argmax()) + 2
        raise SourceError(f"{path}: {nameless.sum()} rows lack a video_id or clip_id, the first is in line {line}")
    # An id is data: it must not lead out of the folder.
    for name in ("video_id", "clip_id"):
        if outside := [value for value in table[name] if "/" in value or value in {".", ".."} or "\0" in value]:
            raise SourceError(f"{path}: {name} {outside[0]!r} is no file name; rename it")
    return table
