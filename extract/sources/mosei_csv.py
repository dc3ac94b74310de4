"""CMU-MOSEI's labels out of CSV files: one row an utterance, or one row an annotator's answer, as the raw data have them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from sadgr.cache import normalise_id
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.mosei_labels import NO_VALUES, VALUES, Label
from sadgr.extract.sources.tables import number, read_table

_ANNOTATORS = "Input.VIDEO_ID"
"""A column by which Mechanical Turk's answers are known."""
_NAMES = {
    "video": ("video_id", "video", "file", "vid"),
    "clip": ("clip_id", "clip", "segment"),
    "start": ("start", "start_time", "start_seconds", "begin"),
    "end": ("end", "end_time", "end_seconds"),
    "label": ("sentiment", "label"),
    "happiness": ("happiness", "happy"),
    "sadness": ("sadness", "sad"),
    "anger": ("anger", "angry"),
    "surprise": ("surprise", "surprised"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful"),
}
"""Our name -> names that tables use, in any case, after `Input.` or `Answer.`"""


def read_csv_labels(paths: Sequence[Path]) -> list[Label]:
    """Read all labels of some files.

    Files with a row an utterance are preferred to annotators' answers, whose mean is taken over all files.

    Raises:
        SourceError: none of the files is a table of labels, or one cannot be used.
    """
    tables = {path: read_table(path) for path in paths}
    known = {path: renamed for path, table in tables.items() if (renamed := _renamed(table)) is not None}
    if tables and not known:
        found = "; ".join(f"{path}: {', '.join(tables[path].columns)}" for path in paths)
        raise SourceError(
            "no table of labels beside the transcripts has the columns video_id, start and end (or clip_id), sentiment, "
            f"happy, sad, anger, surprise, disgust, fear; found {found}. Rename the columns, or move the files elsewhere"
        )
    answers = [table for path, table in known.items() if _ANNOTATORS in tables[path]]
    by_utterance = {path: table for path, table in known.items() if _ANNOTATORS not in tables[path]}
    if not by_utterance:
        return _means(pd.concat(answers, ignore_index=True)) if answers else []
    return [label for path, table in by_utterance.items() for label in _utterances(table, path)]


def _renamed(table: pd.DataFrame) -> pd.DataFrame | None:
    """Return a table under our names; None where it is no table of labels."""
    plain = {str(name).strip().lower().removeprefix("input.").removeprefix("answer."): name for name in table.columns}
    ours = {name: next((plain[one] for one in names if one in plain), None) for name, names in _NAMES.items()}
    found = {name: column for name, column in ours.items() if column is not None}
    timed = {"start", "end"} <= found.keys() and _ANNOTATORS not in table
    if not {"video", "label"} <= found.keys() or not (timed or "clip" in found):
        return None
    return pd.DataFrame({name: table[column].str.strip() for name, column in found.items()})


def _utterances(table: pd.DataFrame, path: Path) -> Iterable[Label]:
    keys = [name for name in ("video", "clip", "start", "end") if name in table]
    if (doubled := table.duplicated(keys)).any():
        row = int(doubled.to_numpy().argmax()) + 1
        raise SourceError(f"{path}, row {row}: the utterance has a label already; take one out")
    for row, cells in enumerate(table.to_dict("records"), start=1):
        try:
            values = {name: number(cells.get(name, ""), name) for name in VALUES}
            start, end = (number(cells.get(name, ""), name) for name in ("start", "end"))
            video = normalise_id(cells["video"])
        except ValueError as error:
            raise SourceError(f"{path}, row {row}: {error}; correct it") from error
        yield Label(video, cells.get("clip", ""), start, end, {**NO_VALUES, **_given(values)})


def _means(answers: pd.DataFrame) -> list[Label]:
    """Take the mean of each utterance's answers; an answer that is no number is none."""
    named = answers[(answers["video"] != "") & (answers["clip"] != "")]
    numbers = {name: pd.to_numeric(named[name], errors="coerce") for name in VALUES if name in named}
    # Some batches write the folder before the video's name.
    video = named["video"].str.rpartition("/")[2].map(normalise_id)
    means = pd.DataFrame(numbers).groupby([video, named["clip"]], sort=False).mean()
    return [
        Label(str(video), str(clip), None, None, {**NO_VALUES, **_given(dict(zip(means.columns, row, strict=True)))})
        for (video, clip), row in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]


def _given(values: dict[str, float | None]) -> dict[str, float]:
    """Leave out what is empty or no number."""
    return {name: value for name, value in values.items() if value is not None and value == value}
