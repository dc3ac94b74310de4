"""A small cache whose every number is known, with ids and transcripts that no page may take for anything but text."""

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    RunLog,
    create_feature_set,
    source_digest,
    write_labels,
)

SCRIPT = "<script>window.hacked = 1</script>"
IMAGE = '"><img src=x onerror="window.hacked = 1">'
RIGHT_TO_LEFT = "שלום‮עולם"
LONG = "x" * 10_000
IDS = ("video$_$1", SCRIPT, RIGHT_TO_LEFT, "ends late", "without words", "fails")


def planted_words() -> dict[str, tuple[list[tuple[float, float, float, int]], str]]:
    """Clip -> its words (start, end, score, flag), and what stands in for its transcript."""
    return {
        IDS[0]: ([(0.5, 1.0, 0.8, 0), (1.0, 2.5, 0.6, 0)], "good film"),
        IDS[1]: ([(0.0, 0.5, 0.9, 0), (0.5, 1.0, 0.0, 1), (1.0, 2.0, 0.3, 0), (2.0, 4.0, 0.3, 0)], IMAGE),
        IDS[2]: ([(1.0, 2.0, 1.0, 0)], RIGHT_TO_LEFT),
        IDS[3]: ([(0.0, 3600.0, 0.0, 1)], LONG),
        IDS[4]: ([], ""),
    }


@pytest.fixture(scope="module")
def planted_cache(tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    """Six clips: five with word times (one of no words), text features of the first two, one that failed."""
    cache = FeatureCache.create(tmp_path_factory.mktemp("planted") / "cache")
    data = cache.create_dataset("planted & <b>")
    words = create_feature_set(data.path, FeatureSetSpec("words", "planted", {"aligner": {"name": "<i>planted</i>"}}))
    text = create_feature_set(data.path, FeatureSetSpec("text", "tiny", {"encoder": {"weights": "t", "layer": 3}}))
    source = source_digest(transcript="1")
    with FeatureWriter(words, "link") as writer:
        for clip_id, (spans, _) in planted_words().items():
            columns = np.array(spans, float).reshape(-1, 4)
            arrays = {
                "text": np.array([f"word{place}" for place in range(len(spans))], dtype=str),
                "start": columns[:, 0],
                "end": columns[:, 1],
                "score": columns[:, 2].astype(np.float32),
                "flag": columns[:, 3].astype(np.uint8),
            }
            writer.add(ClipRecord(clip_id, source, arrays))
    with FeatureWriter(text, "link") as writer:
        for clip_id in IDS[:2]:
            writer.add(ClipRecord(clip_id, source, {"mean": np.ones(4), "words": np.ones((2, 4))}))
        writer.add(ClipRecord(IDS[4], source, None))
    labels = pd.DataFrame(
        {
            "text": [*(said for _, said in planted_words().values()), "lost"],
            "mode": ["train", "train", "valid", "test", "train", ""],
            "speaker": ["ann", "ann", "bob", "", "bob", "ann"],
            "label": [1.0, -1.0, 1.0, 2.5, np.nan, 1.0],
        },
        index=pd.Index(IDS, name="id"),
    )
    write_labels(data.path, labels)
    with RunLog(cache.path, {"feature_sets": {"words": {"name": words.name}, "text": {"name": text.name}}}) as log:
        log.clip(data.name, IDS[2], "failed", "text", f"/media/{IDS[2]}.mp4: no such file, 3 times tried")
        log.clip(data.name, IDS[5], "failed", "text", "/media/fails.mp4: no such file, 12 times tried")
        log.clip(data.name, IDS[5], "failed", "words", SCRIPT)
        log.clip(data.name, IDS[3], "flagged", "words", "1 of 1 words interpolated")
    return cache


@pytest.fixture(scope="session")
def hostile() -> dict[str, str]:
    """The ids and texts above by name: importlib mode lets no test import another file."""
    return {"script": SCRIPT, "image": IMAGE, "right to left": RIGHT_TO_LEFT, "long": LONG}
