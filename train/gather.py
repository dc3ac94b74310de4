"""From a data set of the cache to the clips of each split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from sadgr.cache import ClipFeatures, Dataset, Selection
from sadgr.train.config import AudioMean, ModelConfig, TaskName
from sadgr.train.data import Clips, ClipTensors, clip_tensors
from sadgr.train.errors import TrainError
from sadgr.train.logs import Log
from sadgr.train.modalities import MODALITIES
from sadgr.train.snapshot import snapshot
from sadgr.train.tasks import Target, choose_target, labelled

NEEDED_SPLITS = ("train", "valid")


@dataclass(frozen=True)
class FitData:
    """Labelled clips by split, on the device where they are used.

    Attributes:
        splits: `train`, `valid` and, where the data set has one, `test`.
        target: What is learned.
        widths: The encoders' widths D_text, D_audio, D_video.
        digest: SHA-256 over ids, splits, labels and all features.
    """

    splits: Mapping[str, Clips]
    target: Target
    widths: tuple[int, int, int]
    digest: str


def gather(
    dataset: Dataset,
    selection: Selection,
    audio_mean: AudioMean,
    wanted: str,
    task: TaskName | None,
    device: torch.device,
    log: Log,
) -> FitData:
    """Read all labelled clips of a data set.

    Args:
        dataset: The data set.
        selection: Which feature sets.
        audio_mean: Which mean of the audio L_con reads.
        wanted: `sentiment`, `emotions` or a column, see `choose_target`.
        task: How it is learned; None for what suits.
        device: Where the clips go.
        log: Takes what is worth knowing.

    Raises:
        TrainError: No labels, no train or valid split, a modality that no clip has, or a clip that cannot be used.
    """
    labels = dataset.labels()
    target = choose_target(labels, wanted, task, dataset.name)
    rows = labelled_rows(labels, target, dataset.name, log)
    clips = list(snapshot(dataset, list(rows.index), selection, log).clips())
    widths = encoder_widths(clips, dataset.name)
    report_absent(clips, log)
    config = ModelConfig(*widths)
    splits: dict[str, list[ClipTensors]] = {}
    digest = hashlib.sha256()
    for clip, split, values in zip(clips, rows["mode"], target.values(rows), strict=True):
        tensors = clip_tensors(clip, config, audio_mean, values)
        splits.setdefault(split, []).append(tensors)
        _update(digest, tensors, split)
    return FitData({split: Clips(one, device) for split, one in splits.items()}, target, widths, digest.hexdigest())


def labelled_rows(labels: pd.DataFrame, target: Target, name: str, log: Log) -> pd.DataFrame:
    """Choose the rows that have a split and a label.

    Args:
        labels: As `Dataset.labels` gives: indexed by clip id, the split in `mode`.
        target: What is learned.
        name: The data set's, for messages.
        log: Takes what was left out.

    Returns:
        Indexed by clip id; `mode` and the target's columns.

    Raises:
        TrainError: None in the train or valid split.
    """
    columns = list(target.columns)
    rows = labels[(split_of(labels) != "") & labelled(labels, columns)].reindex(columns=["mode", *columns])
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
    for column in columns:
        if rows[column].nunique() == 1:
            log(
                f"every {column} is {rows[column].iloc[0]}: there is nothing to tell apart, and correlation is undefined"
            )
    return rows


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
