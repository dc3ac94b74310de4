"""The overview's histograms as plain data, which the page draws."""

from typing import Any

import numpy as np
import pandas as pd

from sadgr.cache.labels import TEXT_COLUMNS
from sadgr.cache.report.facts import SCORE_EDGES, Spoken

MOST_BARS = 40
"""Up to so many different values get a bar each; more are counted in bins."""
BINS = 30


def label_charts(labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how each label column is spread."""
    charts = []
    for name in labels.columns:
        if pd.api.types.is_numeric_dtype(labels[name]):
            charts.append(chart(f"label-{name}", name, labels[name].to_numpy(float), "clips"))
        elif name == "annotation" or (name not in TEXT_COLUMNS and labels[name].nunique() <= MOST_BARS):
            counts = labels[name].astype(str)[lambda column: column != ""].value_counts()
            charts.append(_bars(f"label-{name}", name, list(counts.index), counts.to_numpy(), "clips"))
    return [one for one in charts if one["counts"]]


def spoken_charts(said: Spoken) -> list[dict[str, Any]]:
    """Return how durations, words a second and the aligner's confidence are spread."""
    if said.feature_set is None:
        return []
    seconds, rate = (said.clips[name].to_numpy() for name in ("seconds", "rate"))
    charts = [
        binned("seconds", "End of the last word, seconds", seconds, "clips"),
        binned("rate", "Words a second, from the first word to the last", rate, "clips"),
        {
            "key": "score",
            "title": "Confidence of words that the aligner found",
            "what": "words",
            "edges": SCORE_EDGES.tolist(),
            "counts": said.scores.tolist() if said.scores.any() else [],
        },
    ]
    return [one for one in charts if one["counts"]]


def chart(key: str, title: str, values: Any, what: str) -> dict[str, Any]:
    """Return a histogram: a bar a value where there are few of them, else equal bins.

    Args:
        key: names it within the page.
        title: what is counted by.
        values: (n,); what is not finite is left out.
        what: what is counted.
    """
    values = values[np.isfinite(values)]
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= MOST_BARS:
        return _bars(key, title, [f"{value:g}" for value in distinct], counts, what)
    return binned(key, title, values, what)


def binned(key: str, title: str, values: Any, what: str) -> dict[str, Any]:
    """Return a histogram of `BINS` equal bins; arguments as of `chart`."""
    values = values[np.isfinite(values)]
    if not len(values):
        return _bars(key, title, [], values, what)
    counts, edges = np.histogram(values, BINS)
    return {"key": key, "title": title, "what": what, "edges": edges.tolist(), "counts": counts.tolist()}


def _bars(key: str, title: str, names: list[str], counts: Any, what: str) -> dict[str, Any]:
    return {"key": key, "title": title, "what": what, "names": names, "counts": [int(count) for count in counts]}
