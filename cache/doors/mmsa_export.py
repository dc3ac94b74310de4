"""Writing MMSA's pickles (aligned_50.pkl, unaligned_50.pkl)."""

import math
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sadgr.cache.doors.appear import appearing
from sadgr.cache.doors.mmsa_rows import MODALITIES, Layout, Row, choose_arrays, dimensions, make_row, padded
from sadgr.cache.doors.pick import Chosen, check_columns
from sadgr.cache.doors.report import ExportReport
from sadgr.cache.errors import CacheError
from sadgr.cache.labels import SPLITS
from sadgr.cache.schema import Array

ANNOTATIONS = ("Negative", "Neutral", "Positive")
WORD_AXIS_LENGTH = 50
"""MMSA's own length of the word axis."""
_PROTOCOL = 4  # what MMSA's users can read with any Python 3


def export_mmsa(chosen: Chosen, path: Path, layout: Layout, length: int = WORD_AXIS_LENGTH) -> ExportReport:
    """Write a data set as MMSA reads it.

    Aligned: text, audio and vision stand on the word axis. Video frames are put onto it by word times: the mean of the
    frames inside a word's span, or the frame nearest to its middle (features that came aligned to words are taken as
    they are). Unaligned: text as wordpieces where every clip has them with their ids, else as words; all audio frames
    where every clip has them, else audio words; all video frames; `audio_lengths` and `vision_lengths` say what is real.

    `text_bert` is written only where it is true: wordpiece ids are stored for every clip, as many as `text` has rows.
    MMSA reads it with `use_bert` on alone; without ids the key is not there, so that such a run stops at once instead of
    training on zeros. A clip without a modality has zeros and length 0 there.

    Args:
        chosen: feature sets of all three modalities; word times for aligned video frames.
        path: the pickle to write; must not exist.
        layout: which of the two.
        length: rows of the text axis, and of all three in an aligned file; longer clips lose their end.

    Raises:
        CacheError: labels.csv lacks `label` or `mode`, a modality is missing, or `path` exists.
    """
    form = f"mmsa-{layout}"
    if length < 1:
        raise CacheError(f"length {length}: the word axis needs at least 1 row")
    check_columns(chosen, form, "label", "mode")
    for modality in MODALITIES:
        chosen.needed(modality, form)
    labels = chosen.data.labels()
    rows, left_out = _rows(chosen, labels, layout)
    if not rows:
        reasons = f"; for example {next(iter(left_out.items()))}" if left_out else ""
        raise CacheError(f"{chosen.data.name} has no clip that {form} could hold{reasons}")
    content, notes = _content(rows, labels, layout, length)
    _check_ids(content)
    with appearing(path) as temporary, temporary.open("xb") as file:
        pickle.dump(content, file, protocol=_PROTOCOL)
    return ExportReport(path, len(rows), left_out, notes)


def _rows(chosen: Chosen, labels: pd.DataFrame, layout: Layout) -> tuple[list[Row], dict[str, str]]:
    names = choose_arrays(chosen, labels.index, layout)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for clip_id, split, label in zip(labels.index, labels["mode"], labels["label"], strict=True):
        try:
            if not split or not _is_number(label):
                raise CacheError("labels.csv has no split for it" if not split else "labels.csv has no label for it")
            rows.append(make_row(chosen, clip_id, layout, names))
        except CacheError as error:
            left_out[clip_id] = str(error)
    return rows, left_out


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _content(
    rows: list[Row], labels: pd.DataFrame, layout: Layout, length: int
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    widths = dimensions(rows)
    own = {m: max([1, *(len(one) for row in rows if (one := getattr(row, m)) is not None)]) for m in MODALITIES}
    lengths = dict.fromkeys(MODALITIES, length) if layout == "aligned" else {**own, "text": length}
    with_ids = all(row.text is None or _fitting_ids(row) for row in rows)
    notes = [f"{m}: clips longer than {lengths[m]} rows lost their end" for m in MODALITIES if own[m] > lengths[m]]
    if not with_ids:
        notes.append("no text_bert: the cache has no wordpiece ids on this axis; MMSA needs them with use_bert only")
    notes += [f"{m}: zeros for {n} clips without it" for m in MODALITIES if (n := _absent(rows, m))]
    held = labels.loc[[row.clip_id for row in rows]]
    letters = _unimodal_letters(held)
    notes += [
        f"label_{one}: left out, some clips have none" for one in "TAV" if f"label_{one}" in held and one not in letters
    ]
    content: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        inside = [row for row in rows if labels.at[row.clip_id, "mode"] == split]
        table = held.loc[[row.clip_id for row in inside]]
        content[split] = {**_features(inside, lengths, widths, layout), **_labels(table, letters)}
        if with_ids:
            content[split]["text_bert"] = _text_bert(inside, length)
    return content, tuple(notes)


def _check_ids(content: dict[str, dict[str, Any]]) -> None:
    ids = [one for part in content.values() for one in part["id"]]
    if doubled := [one for one, count in Counter(ids).items() if count > 1]:
        raise CacheError(f"two clips are both {doubled[0]!r} by video_id and clip_id; make them differ in labels.csv")


def _absent(rows: list[Row], modality: str) -> int:
    return sum(getattr(row, modality) is None for row in rows)


def _fitting_ids(row: Row) -> bool:
    return row.input_ids is not None and row.text is not None and len(row.input_ids) == len(row.text)


def _features(rows: list[Row], lengths: dict[str, int], widths: dict[str, int], layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for modality, name in (("text", "text"), ("audio", "audio"), ("video", "vision")):
        arrays = [getattr(row, modality) for row in rows]
        found[name], real = padded(arrays, lengths[modality], widths[modality])
        if layout == "unaligned" and modality != "text":
            found[f"{name}_lengths"] = real.tolist()
    return found


def _text_bert(rows: list[Row], length: int) -> Array:
    """Return (n, 3, length) float32: input_ids, attention_mask, token_type_ids (all 0: one sentence)."""
    block = np.zeros((len(rows), 3, length), dtype=np.float32)
    for place, row in enumerate(rows):
        ids = row.input_ids[:length] if row.input_ids is not None else ()
        block[place, 0, : len(ids)] = ids
        block[place, 1, : len(ids)] = 1
    return block


def _labels(table: pd.DataFrame, letters: list[str]) -> dict[str, Any]:
    label = table["label"].to_numpy(dtype=np.float64)
    classes = (np.sign(label) + 1).astype(np.int64)
    given = list(table["annotation"]) if "annotation" in table else [""] * len(table)
    found: dict[str, Any] = {
        "raw_text": list(table["text"]) if "text" in table else [""] * len(table),
        "id": [mmsa_id(str(clip_id), row) for clip_id, row in table.iterrows()],
        "annotations": [one or ANNOTATIONS[place] for one, place in zip(given, classes, strict=True)],
        "classification_labels": classes,
        "regression_labels": label.astype(np.float32),
    }
    return found | _unimodal(table, letters)


def _unimodal_letters(table: pd.DataFrame) -> list[str]:
    """Return which of T, A and V have a label in every row; MMSA would train on the holes of one that has some."""
    return [one for one in "TAV" if f"label_{one}" in table and all(map(_is_number, table[f"label_{one}"]))]


def _unimodal(table: pd.DataFrame, letters: list[str]) -> dict[str, Any]:
    return {f"regression_labels_{one}": table[f"label_{one}"].to_numpy(dtype=np.float32) for one in letters}


def mmsa_id(clip_id: str, row: "pd.Series[Any]") -> str:
    """Return `video$_$clip`: the cache's id where it has that form, else made of video_id and clip_id where both stand."""
    if "$_$" in clip_id or not row.get("video_id") or not row.get("clip_id"):
        return clip_id
    return f"{row['video_id']}$_${row['clip_id']}"
