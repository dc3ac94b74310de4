from pathlib import Path

import numpy as np
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    source_digest,
    write_labels,
)
from tests.cache.tools import labels

SPECS = {
    "text": FeatureSetSpec("text", "tiny-bert", {"encoder": {"weights": "t"}, "word_splitting": 1}),
    "audio": FeatureSetSpec("audio", "tiny-hubert", {"encoder": {"weights": "a"}, "alignment": "w"}),
    "video": FeatureSetSpec("video", "tiny-vit", {"encoder": {"weights": "v"}}),
    "words": FeatureSetSpec("words", "planted", {"aligner": "planted"}),
}


def make_arrays(modality: str, words: int = 3, seed: int = 0) -> dict:
    """Small arrays that float16 holds exactly, so that what is read can be compared with what was written."""
    rng = np.random.default_rng([seed, words])
    feature = lambda *shape: rng.integers(-50, 50, shape).astype(np.float32) / 4  # noqa: E731
    return {
        "text": lambda: {"words": feature(words, 5), "mean": feature(5)},
        "audio": lambda: {"words": feature(words, 4), "mean": feature(4), "mean_words": feature(4)},
        "video": lambda: {"frames": feature(2, 6), "seconds": np.array([0.25, 0.75])},
        "words": lambda: {
            "text": np.array([f"wört{n}" for n in range(words)], dtype=str),
            "start": np.arange(words) / 2.0,
            "end": np.arange(words) / 2.0 + 0.5,
            "score": np.full(words, 0.5, np.float32),
            "flag": np.zeros(words, np.uint8),
        },
    }[modality]()


def record(clip_id: str, modality: str = "text", words: int = 3, seed: int = 0, version: str = "1") -> ClipRecord:
    return ClipRecord(clip_id, source_digest(transcript=version), make_arrays(modality, words, seed))


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache.create(tmp_path / "cache")


@pytest.fixture
def text_set(cache):
    return create_feature_set(cache.create_dataset("demo").path, SPECS["text"])


def write(feature_set, *records: ClipRecord) -> None:
    with FeatureWriter(feature_set, "link") as writer:
        for one in records:
            writer.add(one)


@pytest.fixture
def planted():
    """The helpers above, for test files: importlib mode lets no test import another file."""

    class Planted:
        specs = SPECS
        arrays = staticmethod(make_arrays)
        record = staticmethod(record)
        write = staticmethod(write)

    return Planted


@pytest.fixture
def data(cache, text_set):
    write_labels(text_set.path.parent, labels("abc"))
    return cache["demo"]


@pytest.fixture
def written(data, text_set, planted):
    """Four shards: a, b and c; then a and an absent clip; then b; then c's transcript was corrected."""
    planted.write(text_set, *(planted.record(clip, seed=1) for clip in "abc"))
    planted.write(text_set, planted.record("a", seed=2), ClipRecord("absent", source_digest(), None))
    planted.write(text_set, planted.record("b", seed=3, words=0))
    planted.write(text_set, planted.record("c", seed=4, version="2"))
    return text_set
