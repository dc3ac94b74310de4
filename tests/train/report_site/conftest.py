"""Two small runs, and the report of one of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipFeatures,
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    publishing_method,
    source_digest,
)
from sadgr.train.calibration import write_report as write_numbers
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.jobs import run_fit
from sadgr.train.opened import Source
from sadgr.train.report import read_run
from sadgr.train.report_site.build import write_report
from sadgr.train.request import FitRequest
from tests.train.report_site.made import HOSTILE, HOSTILE_TEXT, Made, never, silent


def add_words(cache: Path, clips: list[ClipFeatures]) -> None:
    """Give every clip with audio words half a second a word, with a silence of three seconds before the last one."""
    data = FeatureCache(cache).dataset()
    made = create_feature_set(data.path, FeatureSetSpec("words", "planted", {"aligner": "planted"}))
    with FeatureWriter(made, publishing_method(data.path)) as writer:
        for clip in clips:
            if clip.audio_words is None:
                continue
            count = len(clip.audio_words)
            start = np.arange(count) * 0.5 + 3.0 * (np.arange(count) == count - 1)
            arrays = {
                "text": np.array([f"w{number}" for number in range(count)]),
                "start": start,
                "end": start + 0.5,
                "score": np.full(count, 0.5, np.float32),
                "flag": np.zeros(count, np.uint8),
            }
            writer.add(ClipRecord(clip.clip_id, source_digest(clip=clip.clip_id), arrays))


def labels_with_texts(labels: pd.DataFrame) -> pd.DataFrame:
    labels = labels.rename(index={labels.index[5]: HOSTILE})
    labels["text"] = [HOSTILE_TEXT if one == HOSTILE else f"text of {one}" for one in labels.index]
    return labels


@pytest.fixture(scope="session")
def request_of(small: ModelConfig) -> Callable[..., FitRequest]:
    """A short training of tiny widths."""

    def request(seeds: tuple[int, ...] = (1111, 1112), **other: object) -> FitRequest:
        return FitRequest(FitConfig(epochs=1, batch_size=8), small, seeds, **other)

    return request


def without_figures(patch: pytest.MonkeyPatch) -> None:
    """Figures take most of a small run's time; the numbers beside them are written."""
    patch.setattr("sadgr.train.jobs.write_figure", lambda *_: None)
    patch.setattr("sadgr.train.jobs.write_reports", lambda run: write_numbers(run, read_run(run)))


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    without_figures(monkeypatch)


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    make_clip: Callable[..., ClipFeatures],
    write_cache_into: Callable[..., Path],
    request_of: Callable[..., FitRequest],
) -> Made:
    folder = tmp_path_factory.mktemp("report")
    clips, labels = labelled(24)
    clips[5] = make_clip(HOSTILE, 5, n_words=6, n_frames=3, lean=-1.0)  # of the test split
    clips[11] = make_clip(clips[11].clip_id, 11, without="audio")  # of it, too
    cache = write_cache_into(folder, clips, labels_with_texts(labels))
    add_words(cache, clips)
    run, other = folder / "run", folder / "other"
    with pytest.MonkeyPatch.context() as patch:
        without_figures(patch)
        run_fit(cache, run, request_of(), never, silent)
        run_fit(cache, other, request_of((1113,)), never, silent)
    write_report(run, Source(cache), folder / "site", others=[other])
    return Made(run, other, cache, folder / "site")
