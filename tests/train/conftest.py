"""Synthetic clips, in memory and in a cache."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sadgr.cache import (
    ClipFeatures,
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    publishing_method,
    source_digest,
    write_labels,
)
from sadgr.train.batch import Batch
from sadgr.train.config import ModelConfig
from tests.train.models.checks import in_float64

D_TEXT, D_AUDIO, D_VIDEO = 10, 12, 14


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small() -> ModelConfig:
    """All widths differ, so that a mixed-up one cannot pass."""
    return ModelConfig(
        d_text=D_TEXT,
        d_audio=D_AUDIO,
        d_video=D_VIDEO,
        d_shared=9,
        d_model=8,
        d_key=5,
        gate_hidden=7,
        attention_heads=2,
        fusion_hidden=11,
    )


@contextmanager
def figures_off() -> Iterator[None]:
    """Draw no figures and reports of runs: they take most of so small a one's time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_figure", "write_reports"):
            patch.setattr(f"sadgr.train.jobs.{name}", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def without_figures() -> Iterator[None]:
    """For all tests of a file, and for the runs that they share."""
    with figures_off():
        yield


@pytest.fixture
def without_its_figures() -> Iterator[None]:
    """For one test."""
    with figures_off():
        yield


class StopAfter:
    """Asks for a stop when it was asked for the n-th time."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.fixture(scope="session")
def stop_after() -> Callable[[int], Callable[[], bool]]:
    return StopAfter


def synthetic_clip(
    clip_id: str, seed: int, n_words: int = 4, n_frames: int = 3, lean: float = 0.0, without: str = ""
) -> ClipFeatures:
    """Random features that lean by `lean` along their first dimensions."""
    rng = np.random.default_rng(seed)

    def rows(length: int, width: int) -> np.ndarray:
        values = rng.standard_normal((length, width)).astype(np.float32)
        values[:, :3] += np.float32(lean)
        return values

    text, audio, video = rows(n_words, D_TEXT), rows(n_words, D_AUDIO), rows(n_frames, D_VIDEO)
    has_text, has_audio, has_video = ("text" not in without), ("audio" not in without), ("video" not in without)
    return ClipFeatures(
        clip_id,
        text_words=text if has_text else None,
        text_mean=text.mean(axis=0) if has_text else None,
        audio_words=audio if has_audio else None,
        audio_mean=audio.mean(axis=0) if has_audio else None,
        audio_mean_words=audio.mean(axis=0) if has_audio else None,
        video_frames=video if has_video else None,
        video_seconds=np.arange(n_frames, dtype=np.float64) if has_video else None,
    )


@pytest.fixture(scope="session")
def double() -> Callable[[Batch], Batch]:
    return in_float64


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., ClipFeatures]:
    return synthetic_clip


def _arrays(clip: ClipFeatures, modality: str) -> dict[str, np.ndarray] | None:
    fields = {
        "text": {"words": clip.text_words, "mean": clip.text_mean},
        "audio": {"words": clip.audio_words, "mean": clip.audio_mean, "mean_words": clip.audio_mean_words},
        "video": {"frames": clip.video_frames, "seconds": clip.video_seconds},
    }[modality]
    found = {name: array for name, array in fields.items() if array is not None}
    return found or None


@pytest.fixture
def write_cache(tmp_path: Path, write_cache_into: Callable[..., Path]) -> Callable[..., Path]:
    """Write clips and labels with the cache's own writer."""
    return partial(write_cache_into, tmp_path)


@pytest.fixture(scope="session")
def write_cache_into() -> Callable[..., Path]:
    """The same for a cache that several tests read: into a folder of theirs."""

    def write(
        parent: Path,
        clips: list[ClipFeatures],
        labels: pd.DataFrame,
        dataset: str = "synthetic",
        layer: int = 12,
        name: str = "cache",
    ) -> Path:
        folder = parent / name
        data = FeatureCache.create(folder).create_dataset(dataset)
        labels.index.name = "id"
        write_labels(data.path, labels)
        for modality in ("text", "audio", "video"):
            spec = FeatureSetSpec(
                modality, "random", {"encoder": {"weights": "none", "layer": layer}, "store": "float16"}
            )
            with FeatureWriter(create_feature_set(data.path, spec), publishing_method(data.path)) as writer:
                for clip in clips:
                    source = source_digest(clip=clip.clip_id)
                    writer.add(ClipRecord(clip.clip_id, source, _arrays(clip, modality)))
        return folder

    return write


def synthetic_labels(n_clips: int) -> pd.DataFrame:
    """Two thirds train, one sixth valid, one sixth test; labels evenly over [-3, 3]."""
    ids = [f"v{i // 3}$_${i}" for i in range(n_clips)]
    modes = [("train", "train", "valid", "train", "train", "test")[i % 6] for i in range(n_clips)]
    return pd.DataFrame({"mode": modes, "label": np.linspace(-3, 3, n_clips).round(2)}, index=pd.Index(ids, name="id"))


@pytest.fixture(scope="session")
def labelled() -> Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]:
    """Clips whose features lean towards their label, and the labels."""

    def make(n_clips: int) -> tuple[list[ClipFeatures], pd.DataFrame]:
        labels = synthetic_labels(n_clips)
        clips = [
            synthetic_clip(str(clip_id), i, n_words=1 + i % 5, n_frames=1 + i % 3, lean=float(label))
            for i, (clip_id, label) in enumerate(labels["label"].items())
        ]
        return clips, labels

    return make
