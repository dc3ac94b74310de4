"""All that a cache knows of one clip along its time: words, video frames, and how large features are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.index import Entry
from sadgr.cache.schema import Array
from sadgr.cache.store import ClipFeatures, WordTimes

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WordLane:
    """The words of a clip as one aligner timed them, and the name of the feature set that says so."""

    name: str
    times: WordTimes


@dataclass(frozen=True, eq=False)
class Curve:
    """Numbers at times of a clip.

    Attributes:
        name: what they are of, such as `text, per word`.
        seconds: (n,) from the clip's start; of a word, its middle.
        values: (n,).
        lane: place among the time line's lanes of the word times that `seconds` are of; None where they are no words'.
    """

    name: str
    seconds: Seconds
    values: npt.NDArray[np.float64]
    lane: int | None = None


@dataclass(frozen=True, eq=False)
class TimeLine:
    """A clip along its time.

    Attributes:
        lanes: its words, once for each feature set of word times that holds them.
        frame_seconds: (Lv,) when its sampled video frames are shown.
        norms: Euclidean norms of its features, in float64 of what is stored.
    """

    lanes: tuple[WordLane, ...]
    frame_seconds: Seconds
    norms: tuple[Curve, ...]

    @property
    def seconds(self) -> float:
        """Until when anything is known; 0 where nothing is."""
        ends = [float(edge.max()) for lane in self.lanes for edge in (lane.times.end, lane.times.start) if len(edge)]
        return max([*ends, *(float(one) for one in self.frame_seconds), 0.0])


@dataclass(frozen=True, eq=False)
class Held:
    """What a feature set holds of a clip: its arrays, and where and from what source they were made."""

    feature_set: FeatureSet
    arrays: Mapping[str, Array]
    entry: Entry

    @property
    def modality(self) -> str:
        """One of `MODALITIES`."""
        return self.feature_set.modality


def held_arrays(sets: Iterable[FeatureSet], clip_id: str) -> list[Held]:
    """Return what each feature set holds of a clip; those that lack it, or know that there is nothing, are left out."""
    found: list[Held] = []
    for one in sets:
        entry = one.known_entries().get(clip_id)
        arrays = one.read(clip_id) if entry is not None else None
        if entry is not None and arrays is not None:
            found.append(Held(one, arrays, entry))
    return found


def time_line(held: Sequence[Held]) -> TimeLine:
    """Return a clip's time line.

    Features of words stand at the times that they were pooled by, where their settings say which, and else at those of
    the first feature set of word times that has as many words.

    Args:
        held: as `held_arrays` gives.
    """
    timed = [one for one in held if one.modality == "words"]
    lanes = tuple(WordLane(one.feature_set.name, WordTimes(**one.arrays)) for one in timed)
    features = [one for one in held if one.modality != "words"]
    several = len({one.modality for one in features}) < len(features)
    norms: list[Curve] = []
    frames: list[Seconds] = []
    for one in features:
        alignment = one.feature_set.spec.settings.get("alignment")
        differs = [lane.feature_set.fingerprint != alignment for lane in timed]
        order = sorted(range(len(lanes)), key=differs.__getitem__)
        norms += norm_curves(one.feature_set.name if several else one.modality, one.arrays, lanes, order)
        frames += [one.arrays["seconds"]] if "seconds" in one.arrays else []
    return TimeLine(lanes, np.unique(np.concatenate(frames)) if frames else np.zeros(0), tuple(norms))


def of_features(clip: ClipFeatures, times: WordTimes | None) -> TimeLine:
    """Return the time line of features that were read, with the words' times perhaps."""
    lanes = () if times is None else (WordLane("words", times),)
    norms: list[Curve] = []
    for modality in ("text", "audio", "video"):
        arrays = {"words": getattr(clip, f"{modality}_words")}
        if modality == "video":
            arrays |= {"frames": clip.video_frames, "seconds": clip.video_seconds}
        norms += norm_curves(
            modality, {name: one for name, one in arrays.items() if one is not None}, lanes, range(len(lanes))
        )
    return TimeLine(lanes, np.zeros(0) if clip.video_seconds is None else clip.video_seconds, tuple(norms))


def norm_curves(name: str, arrays: Mapping[str, Array], lanes: Sequence[WordLane], order: Iterable[int]) -> list[Curve]:
    """Return the norms of a clip's features of words, and of video frames, at their times; none where no time is known.

    Args:
        name: of the modality or feature set.
        arrays: the clip's.
        lanes: its word times.
        order: places among them, the ones to be tried first before the others.
    """
    curves: list[Curve] = []
    words = arrays.get("words")
    fitting = [place for place in order if words is not None and len(lanes[place].times.text) == len(words)]
    if words is not None and fitting:
        times = lanes[fitting[0]].times
        curves.append(Curve(f"{name}, per word", (times.start + times.end) / 2, norms_of(words), fitting[0]))
    if "frames" in arrays and "seconds" in arrays:
        curves.append(Curve(f"{name}, per video frame", arrays["seconds"], norms_of(arrays["frames"])))
    return curves


def norms_of(features: Array) -> npt.NDArray[np.float64]:
    """Return the Euclidean norm of each row of (n, D), as (n,) float64."""
    return np.asarray(np.linalg.norm(features.astype(np.float64), axis=1))
