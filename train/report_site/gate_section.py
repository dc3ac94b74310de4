"""The gate over time (Fig. 5) as a section of a clip's page."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sadgr.cache import FeatureSet
from sadgr.cache.report import Section
from sadgr.train.data import clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.opened import Opened
from sadgr.train.studies.gate_curve import GateCurve, gate_curve, require_audio_gate
from sadgr.train.studies.timed_clip import TimedClip, words_of

TITLE = "Gate over time"
NOTE = (
    "How much of the video the audio lets pass: the mean over the gate's dimensions{seeds}. Equations 15-18 give one gate a "
    "clip; the curve is drawn by pooling audio words in a sliding window of {window:g} s, and has gaps where no word is in it."
)


def gate_sections(opened: Opened) -> Callable[[str], Section]:
    """Return what makes a clip's section: the curve, or the reason why there is none."""
    try:
        for model in opened.models:
            require_audio_gate(model)
        if opened.selection.audio is None:
            raise TrainError(f"{opened.data.name} has no audio features, so that no audio opens or closes a gate")
        words = words_of(opened.data, opened.selection.audio)
    except TrainError as error:  # the report goes on without curves, and says why on every page
        reason = str(error)
        return lambda _: _without(reason)
    return lambda clip_id: _of_clip(opened, words, clip_id)


def _of_clip(opened: Opened, words: FeatureSet, clip_id: str) -> Section:
    known = clip_id in words.known_entries()
    times = opened.data.word_times(clip_id, words) if known else None
    if times is None:
        return _without(f"{words.name} has no word times of this clip")
    (clip,) = opened.data.clips([clip_id], opened.selection)
    try:
        timed = TimedClip(clip_tensors(clip, opened.widths, opened.config["audio_mean"]), times, clip.video_seconds)
    except TrainError as error:
        return _without(str(error))
    return curve_section(gate_curve(opened.models, timed), timed.seconds, opened.config["seeds"])


def curve_section(curve: GateCurve, clip_seconds: float, seeds: Sequence[int]) -> Section:
    """Return a curve as plain data; a value where no word is in the window is None."""
    several = len(seeds) > 1
    shown = [
        ("gate", curve.mean),
        ("lower quartile of dimensions", curve.lower_quartile),
        ("upper quartile of dimensions", curve.upper_quartile),
        *([("lowest seed", curve.low), ("highest seed", curve.high)] if several else []),
    ]
    seconds = curve.seconds.tolist()
    series = [{"name": name, "seconds": seconds, "values": _values(values)} for name, values in shown]
    ends = [0.0, clip_seconds]
    series.append({"name": "the clip's one gate", "seconds": ends, "values": [curve.clip_gate] * 2})
    note = NOTE.format(window=curve.window_seconds, seeds=f", and over {len(seeds)} seeds" if several else "")
    return {"title": TITLE, "kind": "curve", "unit": "gate, 0 to 1", "series": series, "note": note}


def _values(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def _without(reason: str) -> Section:
    return {"title": TITLE, "kind": "text", "text": f"No curve: {reason}."}
