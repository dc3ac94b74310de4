"""One clip of a cache with the times of its words and frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sadgr.cache import ClipFeatures, Dataset, FeatureSet, Selection
from sadgr.cache.ids import normalise_id
from sadgr.cache.store import WordTimes
from sadgr.train.config import AudioMean, ModelConfig, Widths
from sadgr.train.data import ClipTensors, clip_tensors
from sadgr.train.errors import TrainError


@dataclass(frozen=True)
class TimedClip:
    """A clip whose words have times.

    Attributes:
        tensors: What the model takes; N words.
        words: Their texts and times, N of each.
        frame_seconds: (Lv,) times of the video frames; None where the cache holds none.
    """

    tensors: ClipTensors
    words: WordTimes
    frame_seconds: NDArray[np.float64] | None

    def __post_init__(self) -> None:
        """Refuse words without audio, and times that are not theirs."""
        name, count = self.tensors.clip_id, len(self.words.text)
        if not self.tensors.present[1]:
            raise TrainError(f"clip {name!r} has no audio features, so that no audio opens or closes its gate")
        if not count or count != len(self.tensors.audio):
            raise TrainError(
                f"clip {name!r} has {len(self.tensors.audio)} audio words and {count} word times, expected one for each: run "
                "sadgr-extract, so that audio is pooled into words by these times"
            )

    @property
    def seconds(self) -> float:
        """Where its last word ends or its last frame is."""
        last = float(self.words.end.max())
        return (
            last
            if self.frame_seconds is None or not len(self.frame_seconds)
            else max(last, float(self.frame_seconds.max()))
        )


def timed_clip(
    dataset: Dataset, selection: Selection, clip_id: str, widths: ModelConfig | Widths, audio_mean: AudioMean = "mean"
) -> TimedClip:
    """Read a clip and its words' times from a cache.

    Raises:
        TrainError: No such clip, no audio or word times, or which word times are its audio's cannot be told.
    """
    clip_id = normalise_id(clip_id)
    if clip_id not in set(dataset.ids()):
        raise TrainError(f"{dataset.name} has no clip {clip_id!r}: its labels.csv lists all of them")
    if selection.audio is None:
        raise TrainError(f"{dataset.name} has no audio features, so that no audio opens or closes a gate")
    (clip,) = dataset.clips([clip_id], selection)
    times = dataset.word_times(clip_id, words_of(dataset, selection.audio)) if _has_words(clip) else None
    if times is None:
        raise TrainError(
            f"clip {clip_id!r} has no audio words with times, and the curve needs them: run sadgr-extract on it"
        )
    return TimedClip(clip_tensors(clip, widths, audio_mean), times, clip.video_seconds)


def _has_words(clip: ClipFeatures) -> bool:
    return clip.audio_words is not None and len(clip.audio_words) > 0


def words_of(dataset: Dataset, audio: FeatureSet) -> FeatureSet:
    """Find the word times that audio was pooled by: those it names, else the only ones there are.

    Raises:
        TrainError: There are none, or several and the audio names none of them.
    """
    named, candidates = audio.spec.settings.get("alignment"), dataset.feature_sets("words")
    fitting = [one for one in candidates if named in (None, one.fingerprint)]
    if len(fitting) != 1:
        wanted = f"fingerprint {named[:12]}" if named else "one set, since its audio names none"
        listed = ", ".join(one.name for one in candidates) or "none"
        raise TrainError(
            f"{dataset.name}: the curve needs word times of {wanted}; the cache has {listed}: run sadgr-align"
        )
    return fitting[0]
