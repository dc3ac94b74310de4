"""From a data set of the cache to the clips of each split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sadgr.cache import ClipFeatures, Dataset, Selection
from sadgr.train.config import AudioMean, ModelConfig
from sadgr.train.data import ClipTensors, clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.loop import Log
from sadgr.train.snapshot import snapshot

TARGET = "label"
NEEDED_SPLITS = ("train", "valid")
MODALITIES = ("text", "audio", "video")


@dataclass(frozen=True)
class FitData:
    """Labelled clips by split.

    Attributes:
        splits: `train`, `valid` and, where the data set has one, `test`.
        widths: The encoders' widths D_text, D_audio, D_video.
        digest: SHA-256 over ids, splits, labels and all features.
    """

    splits: Mapping[str, Sequence[ClipTensors]]
    widths: tuple[int, int, int]
    digest: str


def gather(dataset: Dataset, selection: Selection, audio_mean: AudioMean, log: Log) -> FitData:
    """Read all labelled clips of a data set.

    Raises:
        TrainError: No labels, no train or valid split, a modality that no clip has, or a clip that cannot be used.
    """
    rows = labelled_rows(dataset.labels(), dataset.name, log)
    clips = list(snapshot(dataset, list(rows.index), selection, log).clips())
    widths = encoder_widths(clips, dataset.name)
    report_absent(clips, log)
    config = ModelConfig(*widths)
    splits: dict[str, list[ClipTensors]] = {}
    digest = hashlib.sha256()
    for clip, split, target in zip(clips, rows["mode"], rows[TARGET], strict=True):
        tensors = clip_tensors(clip, config, audio_mean, float(target))
        splits.setdefault(split, []).append(tensors)
        _update(digest, tensors, split)
    return FitData(splits, widths, digest.hexdigest())


def labelled_rows(labels: pd.DataFrame, name: str, log: Log) -> pd.DataFrame:
    """Choose the rows that have a split and a label.

    Args:
        labels: As `Dataset.labels` gives: indexed by clip id, the split in `mode`.
        name: The data set's, for messages.
        log: Takes what was left out.

    Returns:
        Indexed by clip id; columns `mode` and `label`.

    Raises:
        TrainError: No numbers to learn, or none in the train or valid split.
    """
    if TARGET not in labels or labels[TARGET].isna().all():
        columns = ", ".join(map(str, labels.columns))
        raise TrainError(f"data set {name} has no labels: its labels.csv needs a column {TARGET!r} (it has {columns})")
    if not pd.api.types.is_numeric_dtype(labels[TARGET]):
        wrong = next(value for value in labels[TARGET] if not _is_number(value))
        raise TrainError(
            f"data set {name}: column {TARGET!r} must hold numbers only, and holds {wrong!r}; correct the source's table "
            "and run sadgr-extract again"
        )
    rows = labels[(split_of(labels) != "") & labels[TARGET].notna()].reindex(columns=["mode", TARGET])
    missing = [split for split in NEEDED_SPLITS if split not in set(rows["mode"])]
    if missing:
        found = ", ".join(f"{split} {n}" for split, n in rows["mode"].value_counts().items()) or "none"
        raise TrainError(
            f"data set {name} has no labelled clips in split {' and '.join(missing)} (found: {found}); training needs "
            "train and valid: set them in the `mode` column of its labels.csv"
        )
    if len(rows) < len(labels):
        log(f"{len(labels) - len(rows)} of {len(labels)} clips have no split or no label and are left out")
    if "test" not in set(rows["mode"]):
        log("no labelled clips in split test: only the valid split is scored")
    if rows[TARGET].nunique() == 1:
        log(f"every label is {rows[TARGET].iloc[0]}: correlation is undefined and there is nothing to tell apart")
    return rows


def _is_number(value: object) -> bool:
    try:
        float(str(value or "nan"))
    except ValueError:
        return False
    return True


def split_of(labels: pd.DataFrame) -> pd.Series:
    """Each clip's split, "" where it has none; indexed by clip id."""
    return labels["mode"] if "mode" in labels else pd.Series("", index=labels.index)


def encoder_widths(clips: Sequence[ClipFeatures], name: str) -> tuple[int, int, int]:
    """D_text, D_audio and D_video as the first clips that have them show.

    Raises:
        TrainError: No clip has one of the modalities.
    """
    held = {
        "text": (array for clip in clips for array in (clip.text_words, clip.text_mean)),
        "audio": (array for clip in clips for array in (clip.audio_words, clip.audio_mean)),
        "video": (clip.video_frames for clip in clips),
    }
    widths = {
        modality: next((array.shape[-1] for array in arrays if array is not None), 0)
        for modality, arrays in held.items()
    }
    absent = [modality for modality, width in widths.items() if not width]
    if absent:
        raise TrainError(
            f"no labelled clip of data set {name} has {' or '.join(absent)} features: run sadgr-extract on its source"
        )
    return widths["text"], widths["audio"], widths["video"]


def modalities_present(clip: ClipFeatures) -> tuple[bool, bool, bool]:
    """Whether a clip has text, audio and video."""
    return (
        clip.text_words is not None or clip.text_mean is not None,
        clip.audio_words is not None or clip.audio_mean is not None,
        clip.video_frames is not None,
    )


def report_absent(clips: Sequence[ClipFeatures], log: Log) -> None:
    """Say how many clips lack each modality and are trained or scored without it."""
    for index, modality in enumerate(MODALITIES):
        absent = [clip.clip_id for clip in clips if not modalities_present(clip)[index]]
        if absent:
            listed = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
            log(f"{modality} is absent in {len(absent)} of {len(clips)} clips ({listed}): the learned vector stands in")


def _update(digest: "hashlib._Hash", clip: ClipTensors, split: str) -> None:
    digest.update(f"{clip.clip_id}\0{split}\0{clip.target!r}\0{clip.present}\0{clip.paired}\0".encode())
    for tensor in (clip.text, clip.audio, clip.video, clip.text_mean, clip.audio_mean):
        digest.update(f"{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.numpy().tobytes())
