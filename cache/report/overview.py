"""The overview's numbers: what a data set of a cache holds, how it is spread, what failed, and what it takes on disk."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sadgr.cache.failures import standings
from sadgr.cache.labels import LABELS_FILE, SPLITS
from sadgr.cache.report.charts import label_charts, spoken_charts
from sadgr.cache.report.facts import Facts, Spoken, present_and_known
from sadgr.cache.report.site import clip_path
from sadgr.cache.runlog import RUNS
from sadgr.cache.summary import describe_feature_set

EXAMPLES = 5
"""Clips that are named for each kind of failure."""
WITHOUT_SPLIT = "without split"


def overview(facts: Facts, said: Spoken, paged: Sequence[str]) -> dict[str, Any]:
    """Return all that the overview shows, as plain data.

    Args:
        facts: the data set.
        said: its word times.
        paged: clips that have a page.
    """
    return {
        "dataset": facts.data.name,
        "cache": str(facts.cache.path),
        "paged": len(paged),
        "totals": totals(facts, said),
        "splits": split_table(facts, said),
        "coverage": coverage(facts),
        "charts": [*label_charts(facts.labels), *spoken_charts(said)],
        "words_from": said.feature_set.name if said.feature_set else None,
        "failures": failure_table(facts, paged),
        "feature_sets": [described(facts, number) for number in range(len(facts.feature_sets))],
        "disk": disk(facts),
    }


def totals(facts: Facts, said: Spoken) -> dict[str, Any]:
    """Return the numbers of the whole data set; None where nothing is known."""
    timed = said.clips["seconds"].notna()
    return {
        "clips": len(facts.labels),
        "speakers": _distinct(facts.labels, "speaker"),
        "timed_clips": int(timed.sum()),
        "hours": float(said.clips["seconds"].sum() / 3600) if timed.any() else None,
        "words": int(said.clips["words"].sum()) if said.feature_set else None,
        "interpolated": int(said.clips["interpolated"].sum()) if said.feature_set else None,
    }


def split_masks(labels: pd.DataFrame) -> list[tuple[str, Any]]:
    """Return name and mask (n,) of each split that has clips."""
    mode = labels["mode"] if "mode" in labels else pd.Series("", index=labels.index)
    found = [(split or WITHOUT_SPLIT, (mode == split).to_numpy()) for split in (*SPLITS, "")]
    return [(name, mask) for name, mask in found if mask.any()]


def split_table(facts: Facts, said: Spoken) -> list[dict[str, Any]]:
    """Return clips, hours and words of each split."""
    rows = []
    for name, mask in split_masks(facts.labels):
        own = said.clips[mask]
        known = own["seconds"].notna().any()
        hours = float(own["seconds"].sum() / 3600) if known else None
        words = int(own["words"].sum()) if said.feature_set else None
        rows.append({"split": name, "clips": int(mask.sum()), "hours": hours, "words": words})
    return rows


def coverage(facts: Facts) -> dict[str, Any]:
    """Return for each feature set how many clips of each split it has, and how many are known to lack the modality."""
    masks = split_masks(facts.labels)
    rows = []
    for one in facts.feature_sets:
        present, known = present_and_known(facts, one)
        cells = [
            {
                "present": int((present & mask).sum()),
                "absent": int((known & ~present & mask).sum()),
                "clips": int(mask.sum()),
            }
            for _, mask in masks
        ]
        rows.append({"modality": one.modality, "feature_set": one.name, "cells": cells})
    return {"splits": [name for name, _ in masks], "rows": rows}


def failure_table(facts: Facts, paged: Sequence[str]) -> list[dict[str, Any]]:
    """Return how far each feature set is, and its failures by reason with a few of the clips."""
    states = [state for found in facts.states.values() for state in found]
    has_page = set(paged)
    rows = []
    for standing in standings(facts.data, states):
        kinds = sorted(standing.failed.items(), key=lambda item: (-len(item[1]), item[0]))
        failed = [
            {
                "reason": reason,
                "clips": len(clips),
                "examples": [(one, clip_path(one) if one in has_page else None) for one in clips[:EXAMPLES]],
            }
            for reason, clips in kinds
        ]
        counts = {name: getattr(standing, name) for name in ("done", "flagged", "absent", "left")}
        rows.append({"feature_set": standing.feature_set, **counts, "failed": failed})
    return rows


def described(facts: Facts, number: int) -> dict[str, Any]:
    """Return a feature set as `sadgr-cache info` tells it, its settings as lines of names and values."""
    about = describe_feature_set(facts.feature_sets[number])
    return {**about, "settings": list(_lines(about["settings"])), "about": list(_lines(about["about"]))}


def disk(facts: Facts) -> list[dict[str, Any]]:
    """Return the bytes of everything in the data set's folder, and of the run logs that all data sets share."""
    folder = facts.data.path
    rows: list[dict[str, Any]] = [{"what": one.name, "bytes": _tree_bytes(one.path)} for one in facts.feature_sets]
    rows.append({"what": LABELS_FILE, "bytes": _tree_bytes(folder / LABELS_FILE)})
    rest = _tree_bytes(folder) - sum(row["bytes"] for row in rows)
    if rest:
        rows.append({"what": "trainer's snapshots and the rest", "bytes": rest})
    return [*rows, {"what": f"{RUNS}/ (logs of all data sets)", "bytes": _tree_bytes(facts.cache.path / RUNS)}]


def _tree_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    paths = [path] if path.is_file() else [Path(top) / name for top, _, names in os.walk(path) for name in names]
    for one in paths:
        try:
            total += one.lstat().st_size
        except FileNotFoundError:
            continue
    return total


def _distinct(labels: pd.DataFrame, column: str) -> int | None:
    return len(set(labels[column]) - {""}) or None if column in labels else None


def _lines(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Give name and value of each setting, nested ones with dots in their names."""
    for key in sorted(value):
        if isinstance(value[key], Mapping) and value[key]:
            yield from _lines(value[key], f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value[key])
