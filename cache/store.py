"""The cache as a whole: data sets, their labels and feature sets, and clips put together from them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from sadgr.cache.errors import NotACacheError, NotWritableError, SelectionError
from sadgr.cache.feature_set import FeatureSet, feature_sets
from sadgr.cache.ids import escape, is_escaped, unescape
from sadgr.cache.labels import LABELS_FILE, read_labels
from sadgr.cache.publish import make_folder, writable
from sadgr.cache.publish import replace as replace_file
from sadgr.cache.runlog import RUNS
from sadgr.cache.schema import FORMAT_VERSION, Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CACHE_FILE = "sadgr-cache.json"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordTimes:
    """Words of a clip: `text` (N,) str, `start` and `end` (N,) seconds, `score` (N,), `flag` (N,), 1 = interpolated."""

    text: Array
    start: Array
    end: Array
    score: Array
    flag: Array


@dataclass(frozen=True)
class ClipFeatures:
    """Features of one clip, float32; None where the clip lacks the modality or its extraction failed.

    Attributes:
        clip_id: the clip.
        text_words: (N, Dt), one row a word of the transcript.
        text_mean: (Dt,), over all tokens.
        audio_words: (N, Da), on the same word axis.
        audio_mean: (Da,), over all audio frames.
        audio_mean_words: (Da,), over the audio frames inside words; None where there is no word.
        video_frames: (Lv, Dv).
        video_seconds: (Lv,) float64, time of each video frame from the clip's start.
        text_tokens: (Lt, Dt), one row a wordpiece, special tokens included; where they were stored too.
        audio_frames: (La, Da), all audio frames; where they were stored too.
        video_words: (N, Dv), features that others aligned to words.
        words: their texts and times; `Dataset.clip` reads them, training needs none.
    """

    clip_id: str
    text_words: Floats | None = None
    text_mean: Floats | None = None
    audio_words: Floats | None = None
    audio_mean: Floats | None = None
    audio_mean_words: Floats | None = None
    video_frames: Floats | None = None
    video_seconds: npt.NDArray[np.float64] | None = None
    text_tokens: Floats | None = None
    audio_frames: Floats | None = None
    video_words: Floats | None = None
    words: WordTimes | None = None

    def plot(self) -> "Figure":
        """Return a matplotlib figure: words on the time line, and how large the features are along it."""
        from sadgr.cache.notebook import clip_figure

        return clip_figure(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the words, and shape and range of each array."""
        from sadgr.cache.notebook import clip_html

        return clip_html(self)


@dataclass(frozen=True)
class Selection:
    """The feature sets that a reader works with; None where the data set has none of that modality."""

    text: FeatureSet | None
    audio: FeatureSet | None
    video: FeatureSet | None


class Dataset:
    """One data set of a cache.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The data set's name."""
        return unescape(self.path.name)

    def labels(self) -> pd.DataFrame:
        """Return `labels.csv`, indexed by clip id; `mode` is the split."""
        return read_labels(self.path)

    def ids(self) -> list[str]:
        """Return the clips' ids, in the order of `labels.csv`."""
        return list(self.labels().index)

    def feature_sets(self, modality: str | None = None) -> list[FeatureSet]:
        """Return the feature sets, all or those of one modality, sorted by name."""
        return [found for found in feature_sets(self.path) if modality in (None, found.modality)]

    def feature_set(self, modality: str, name: str | None = None) -> FeatureSet | None:
        """Return the named feature set, or the only one of a modality, or None where there is none.

        Raises:
            SelectionError: the name fits none or several, or several stand there and none was named.
        """
        candidates = self.feature_sets(modality)
        found = [one for one in candidates if name is None or name in (one.name, one.fingerprint[: len(name)])]
        listed = "".join(f"\n  {one.name}" for one in candidates) or " none"
        if len(found) > 1:
            raise SelectionError(
                f"{self.name} has several {modality} feature sets; name one of them (sadgr-train: --{modality} NAME):{listed}"
            )
        if not found and name is not None:
            raise SelectionError(f"{self.name} has no {modality} feature set {name!r}; it has:{listed}")
        return found[0] if found else None

    def named(self, name: str) -> FeatureSet:
        """Return the feature set of this name, or of the fingerprint that begins so.

        Raises:
            SelectionError: there is none, or there are several.
        """
        found = [one for one in self.feature_sets() if name == one.name or one.fingerprint.startswith(name)]
        if len(found) == 1:
            return found[0]
        listed = "".join(f"\n  {one.name}" for one in self.feature_sets()) or " none"
        raise SelectionError(f"{self.name} has {len(found)} feature sets {name!r}; it has:{listed}")

    def select(self, text: str | None = None, audio: str | None = None, video: str | None = None) -> Selection:
        """Choose a feature set of each modality, by name where several stand there.

        Raises:
            SelectionError: see `feature_set`; or the data set holds no features at all.
        """
        names = {"text": text, "audio": audio, "video": video}
        selection = Selection(**{modality: self.feature_set(modality, name) for modality, name in names.items()})
        if selection == Selection(None, None, None):
            raise SelectionError(f"{self.name} holds no features yet; run sadgr-extract first")
        return selection

    def clips(self, ids: Iterable[str], selection: Selection) -> Iterator[ClipFeatures]:
        """Give the features of each clip, in the order of `ids`; shards are opened one at a time.

        Args:
            ids: clip ids.
            selection: as `select` gives.
        """
        for clip_id in ids:
            text, audio, video = (_arrays(one, clip_id) for one in (selection.text, selection.audio, selection.video))
            seconds = video.get("seconds")
            yield ClipFeatures(
                clip_id=clip_id,
                text_words=_floats(text, "words"),
                text_mean=_floats(text, "mean"),
                audio_words=_floats(audio, "words"),
                audio_mean=_floats(audio, "mean"),
                audio_mean_words=_floats(audio, "mean_words"),
                video_frames=_floats(video, "frames"),
                video_seconds=None if seconds is None else seconds.astype(np.float64),
                text_tokens=_floats(text, "tokens"),
                audio_frames=_floats(audio, "frames"),
                video_words=_floats(video, "words"),
            )

    def clip(self, clip_id: str, selection: Selection | None = None, words: str | None = None) -> ClipFeatures:
        """Return the features of one clip together with its words and their times, for looking at.

        Args:
            clip_id: the clip.
            selection: as `select` gives; None for the only feature set of each modality.
            words: name or fingerprint of the feature set of word times; None for the one that the audio features were
                pooled by, else the only one.

        Raises:
            SelectionError: see `feature_set`; or neither the labels nor any feature set know the clip.
        """
        chosen = self.select() if selection is None else selection
        if words is None and chosen.audio is not None:
            words = chosen.audio.spec.settings.get("alignment")
            words = words if words in [one.fingerprint for one in self.feature_sets("words")] else None
        timed = self.feature_set("words", words)
        holding = [one for one in (chosen.text, chosen.audio, chosen.video, timed) if one is not None]
        if not any(clip_id in one.known_entries() for one in holding) and clip_id not in self.labels().index:
            raise SelectionError(f"{self.name} has no clip {clip_id!r}; `sadgr-cache ls CACHE --clips` lists them")
        times = _arrays(timed, clip_id)
        return replace(next(self.clips([clip_id], chosen)), words=WordTimes(**times) if times else None)

    def means(
        self, selection: Selection, audio: str = "mean", dtype: npt.DTypeLike = np.float32
    ) -> tuple[list[str], Array, Array]:
        """Return the pooled text and audio vectors of all clips that have both.

        Args:
            selection: as `select` gives.
            audio: `mean` (over all audio frames) or `mean_words` (over those inside words).
            dtype: of the vectors; float16 is what is stored.

        Returns:
            Ids (n,) sorted, text (n, Dt) and audio (n, Da).
        """
        if selection.text is None or selection.audio is None:
            raise SelectionError(f"{self.name} lacks text or audio features; both are needed")
        text_ids, text = selection.text.vectors("mean", dtype)
        audio_ids, sound = selection.audio.vectors(audio, dtype)
        both = np.intersect1d(np.array(text_ids), np.array(audio_ids))
        rows = (np.searchsorted(np.array(one), both) for one in (text_ids, audio_ids))
        return both.tolist(), text[next(rows)], sound[next(rows)]

    def word_times(self, clip_id: str, feature_set: FeatureSet) -> WordTimes | None:
        """Return a clip's words and times, or None where it has no transcript or no audio."""
        arrays = feature_set.read(clip_id)
        return None if arrays is None else WordTimes(**arrays)


class FeatureCache:
    """A cache's folder, opened for reading.

    Args:
        path: the folder.

    Raises:
        NotACacheError: no such folder, no cache, or of a format that this version cannot read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            content = json.loads((self.path / CACHE_FILE).read_text(encoding="utf-8"))
            version = content["version"]
        except FileNotFoundError as error:
            raise NotACacheError(f"{self.path} is no cache: it has no {CACHE_FILE}; sadgr-extract makes one") from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotACacheError(f"{self.path / CACHE_FILE} cannot be read: {error}") from error
        if type(version) is not int or version != FORMAT_VERSION:
            raise NotACacheError(f"{self.path} has format {version}; this version of SADGR reads {FORMAT_VERSION}")

    @classmethod
    def create(cls, path: Path | str) -> "FeatureCache":
        """Open the cache at this path, making it where nothing stands yet.

        Raises:
            NotACacheError: the folder holds other things.
            NotWritableError: it cannot be made.
        """
        folder = Path(path)
        if not (folder / CACHE_FILE).exists():
            with writable(folder):
                make_folder(folder)
                strangers = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
            if strangers and not (folder / CACHE_FILE).exists():  # another process may just have made it
                raise NotACacheError(f"{folder} is no cache and not empty ({strangers[0]}, ...); name another folder")
            replace_file(
                folder / CACHE_FILE, json.dumps({"format": "sadgr", "version": FORMAT_VERSION}).encode() + b"\n"
            )
        return cls(folder)

    def datasets(self) -> list[Dataset]:
        """Return the data sets, sorted by name."""
        folders = {file.parent for file in self.path.glob(f"[!.]*/{LABELS_FILE}")}
        return [Dataset(folder) for folder in sorted(folders) if folder.name != RUNS and is_escaped(folder.name)]

    def __getitem__(self, name: str) -> Dataset:
        """Return a data set by name.

        Raises:
            SelectionError: there is none of this name.
        """
        found = [dataset for dataset in self.datasets() if dataset.name == name]
        if not found:
            known = ", ".join(dataset.name for dataset in self.datasets()) or "none yet"
            raise SelectionError(f"{self.path} has no data set {name!r}; it has: {known}")
        return found[0]

    def dataset(self, name: str | None = None) -> Dataset:
        """Return the named data set, or the only one.

        Raises:
            SelectionError: none was named and there is not exactly one.
        """
        if name is not None:
            return self[name]
        names = [dataset.name for dataset in self.datasets()]
        if len(names) != 1:
            raise SelectionError(f"{self.path} has {len(names)} data sets; name one: {', '.join(names) or 'none yet'}")
        return self[names[0]]

    def create_dataset(self, name: str) -> Dataset:
        """Return a data set by name, making its folder."""
        folder = self.path / escape(name)
        if folder.name == RUNS:
            raise NotWritableError(f"{name!r} is the folder of the run logs; give the data set another name")
        with writable(folder):
            make_folder(folder)
        return Dataset(folder)


def _arrays(feature_set: FeatureSet | None, clip_id: str) -> dict[str, Array]:
    if feature_set is None or clip_id not in feature_set.known_entries():
        return {}
    return feature_set.read(clip_id) or {}


def _floats(arrays: dict[str, Array], name: str) -> Floats | None:
    return arrays[name].astype(np.float32) if name in arrays else None
