"""The table of clips: columns of values, as the page's scripts take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from sadgr.cache.labels import TEXT_COLUMNS
from sadgr.cache.report.facts import Facts, Spoken, present_and_known
from sadgr.cache.report.site import clip_path, href

Kind = Literal["text", "number"]
FIRST_COLUMNS = {"mode": "split", "text": "transcript", "speaker": "speaker"}
"""Columns of `labels.csv` that have a place and a heading of their own."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the table of clips.

    Attributes:
        key: its name among the columns, without a dot in it; those of the cache's own have one.
        title: its heading.
        values: one a clip, in the order of the clips that the table lists; None or NaN where nothing is known.
        kind: `number` sorts by size and stands to the right.
        digits: decimals that are shown of a number.
    """

    key: str
    title: str
    values: Sequence[Any]
    kind: Kind = "text"
    digits: int = 3


def columns_of(facts: Facts, said: Spoken) -> list[Column]:
    """Return the columns that a cache itself knows, for all clips of `labels.csv`."""
    labels = facts.labels
    text = [
        Column(f"label.{name}", title, labels[name].tolist())
        for name, title in FIRST_COLUMNS.items()
        if name in labels and (labels[name] != "").any()
    ]
    others = [_of_labels(name, labels[name]) for name in labels.columns if name not in TEXT_COLUMNS]
    if "annotation" in labels and (labels["annotation"] != "").any():
        others.append(Column("label.annotation", "annotation", labels["annotation"].tolist()))
    return [*text, *others, *_spoken_columns(said), *_coverage_columns(facts)]


def table_data(ids: Sequence[str], columns: Sequence[Column], paged: Sequence[str]) -> dict[str, Any]:
    """Return the table as plain data: headings, and a list of values a column.

    Args:
        ids: the clips, in order.
        columns: each with one value a clip.
        paged: clips that have a page of their own.

    Raises:
        ValueError: a column has not one value a clip, or two have one key.
    """
    keys = [column.key for column in columns]
    for column in columns:
        if len(column.values) != len(ids):
            raise ValueError(f"column {column.key!r} has {len(column.values)} values for {len(ids)} clips")
        if keys.count(column.key) > 1:
            raise ValueError(f"two columns of the table of clips are called {column.key!r}")
    has_page = set(paged)
    return {
        "ids": list(ids),
        "links": [href(clip_path(one)) if one in has_page else None for one in ids],
        "columns": [
            {"key": one.key, "title": one.title, "kind": one.kind, "digits": one.digits, "values": list(one.values)}
            for one in columns
        ],
    }


def taken(columns: Sequence[Column], rows: Sequence[int]) -> list[Column]:
    """Return the columns for some of their clips alone."""
    return [Column(one.key, one.title, [one.values[row] for row in rows], one.kind, one.digits) for one in columns]


def _of_labels(name: str, values: "pd.Series[Any]") -> Column:
    if pd.api.types.is_numeric_dtype(values):
        return Column(f"label.{name}", name, values.astype(float).tolist(), "number")
    return Column(f"label.{name}", name, ["" if value != value else str(value) for value in values.tolist()])


def _spoken_columns(said: Spoken) -> list[Column]:
    if not said.clips["words"].notna().any():
        return []
    shown = (
        ("words", "words", 0),
        ("seconds", "last word ends (s)", 2),
        ("rate", "words / s", 2),
        ("score", "confidence", 3),
        ("interpolated", "interpolated words", 0),
    )
    return [Column(f"spoken.{key}", title, said.clips[key].tolist(), "number", digits) for key, title, digits in shown]


def _coverage_columns(facts: Facts) -> list[Column]:
    """Which modalities each clip has features of, and what is wrong with it."""
    n = len(facts.labels)
    has = {one.modality: np.zeros(n, bool) for one in facts.feature_sets}
    for one in facts.feature_sets:
        has[one.modality] |= present_and_known(facts, one)[0]
    held = [" ".join(name for name in has if has[name][row]) for row in range(n)]
    troubles = [
        "; ".join(f"{state.stage} {state.state}: {state.reason}" for state in facts.states.get(clip_id, ()))
        for clip_id in facts.labels.index
    ]
    columns = [Column("cache.features", "features of", held)]
    return [*columns, Column("cache.troubles", "not as it should be", troubles)] if any(troubles) else columns
