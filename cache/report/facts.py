"""What a report is made of, read once: labels, states, feature sets, and what word times say of each clip."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pandas as pd

from sadgr.cache.failures import ClipState, failures
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.ids import normalise_id
from sadgr.cache.index import keys_of
from sadgr.cache.store import Dataset, FeatureCache

SCORE_EDGES = np.linspace(0.0, 1.0, 21)
"""Bins of the aligner's confidence, which lies from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What a report says of a data set as a whole.

    Attributes:
        cache: the cache.
        data: the data set.
        labels: `labels.csv`, indexed by clip id.
        feature_sets: all of the data set's.
        states: clip id -> what is not as it should be with it (failed, absent, flagged), over all runs.
    """

    cache: FeatureCache
    data: Dataset
    labels: pd.DataFrame
    feature_sets: tuple[FeatureSet, ...]
    states: Mapping[str, tuple[ClipState, ...]]


@dataclass(frozen=True, eq=False)
class Spoken:
    """What word times say of n clips.

    Attributes:
        feature_set: where the times come from; None where the data set has no word times.
        clips: one row a clip, in the order of `labels.csv`; NaN where nothing is known: `words` (their number),
            `seconds` (end of the last word), `rate` (words a second from the first word's start to the last one's end),
            `score` (mean confidence of the words that the aligner found), `interpolated` (number of the others).
        scores: (20,) how many words that the aligner found have a confidence in each bin of `SCORE_EDGES`.
    """

    feature_set: FeatureSet | None
    clips: pd.DataFrame
    scores: npt.NDArray[np.int64]


def nothing(_: int) -> None:
    """Do nothing about progress."""


def gather(cache: FeatureCache, dataset: str | None = None) -> Facts:
    """Read what a report needs of a data set.

    Args:
        cache: the cache.
        dataset: its name; None for the only one.

    Raises:
        SelectionError: none was named and there is not exactly one, or there is none of this name.
    """
    data = cache.dataset(dataset)
    states: dict[str, list[ClipState]] = {}
    for state in failures(cache, data.name):
        states.setdefault(normalise_id(state.clip), []).append(state)
    fixed = {clip: tuple(found) for clip, found in states.items()}
    return Facts(cache, data, data.labels(), tuple(data.feature_sets()), fixed)


def made_with(facts: Facts) -> str:
    """Return the line at the foot of a report's pages: which version made it, and of which cache."""
    return f"Made by SADGR {version('sadgr')} of {facts.cache.path.resolve().name}/{facts.data.path.name}"


def present_and_known(facts: Facts, one: FeatureSet) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return for each clip of `labels.csv` (n,) whether a feature set holds features of it, and whether it has a record.

    A record without features says that the clip lacks the modality. Only the index is looked at.
    """
    index = one.entries().index
    place = index.find(keys_of(facts.labels.index))
    known = place >= 0
    return known & (index.present[place] if len(index) else False), known


def words_feature_set(facts: Facts) -> FeatureSet | None:
    """Return the feature set of word times that knows most clips; the first by name of equal ones."""
    sets = [one for one in facts.feature_sets if one.modality == "words"]
    return max(sets, key=lambda one: present_and_known(facts, one)[0].sum(), default=None)


def spoken(facts: Facts, step: Callable[[int], None] = nothing) -> Spoken:
    """Read every clip's word times.

    Args:
        facts: as `gather` gives.
        step: told how many clips more are done.
    """
    columns = ("words", "seconds", "rate", "score", "interpolated")
    table = np.full((len(facts.labels), len(columns)), np.nan)
    counts = np.zeros(len(SCORE_EDGES) - 1, np.int64)
    one = words_feature_set(facts)
    if one is not None:
        index = one.entries().index
        place = index.find(keys_of(facts.labels.index))
        rows = np.flatnonzero(present_and_known(facts, one)[0])
        step(len(facts.labels) - len(rows))
        # Shard by shard and row by row, as they lie on disk: each file is opened once.
        order = np.lexsort((index.row[place[rows]], index.shard[place[rows]])) if len(rows) else rows
        for row in rows[order].tolist():
            arrays = one.read(facts.labels.index[row], ("start", "end", "score", "flag"))
            step(1)
            if arrays is not None:  # what a record written meanwhile says counts
                table[row] = _of_one(arrays["start"], arrays["end"], arrays["score"], arrays["flag"])
                counts += np.histogram(arrays["score"][arrays["flag"] == 0], SCORE_EDGES)[0]
    return Spoken(one, pd.DataFrame(table, index=facts.labels.index, columns=list(columns)), counts)


def _of_one(
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    score: npt.NDArray[np.float32],
    flag: npt.NDArray[np.uint8],
) -> tuple[float, float, float, float, float]:
    """Return the five numbers of one clip from its words' times, each (N,)."""
    if not len(end):
        return 0.0, np.nan, np.nan, np.nan, 0.0
    span = float(end.max() - start.min())
    found = score[flag == 0]
    mean = float(found.mean(dtype=np.float64)) if len(found) else np.nan
    return float(len(end)), float(end.max()), len(end) / span if span > 0 else np.nan, mean, float((flag != 0).sum())
