"""Made tests/cache/data/v1, once. Tests never run this: what version 1 is stands in those files, not in today's code.

python tests/cache/make_v1.py NEW_FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from sadgr.cache import ClipRecord, FeatureCache, FeatureSetSpec, create_feature_set, source_digest, write_labels
from sadgr.cache.shard import encode_shard

MOSI, ODD, GONE, LATE, NARROW = "03bSnISJMiM$_$1", "../-rf\u202e 情感 %41", "gone. ", "\U0001f642.h5", "-"
WORDS = {MOSI: ["It", "was", "Zoë’s,"], ODD: []}


def feature(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4096, 4096, shape).astype(np.float32) / 32


def record(clip_id: str, arrays: dict | None, version: int = 1) -> ClipRecord:
    return ClipRecord(clip_id, source_digest(clip=clip_id, version=version), arrays)


def word_times(clip_id: str) -> dict:
    n = len(WORDS[clip_id])
    start = np.arange(n) / 3
    flag = np.arange(n, dtype=np.uint8) % 2
    text = np.array(WORDS[clip_id], dtype=str)
    return {"text": text, "start": start, "end": start + 0.25, "score": np.full(n, 0.875, np.float32), "flag": flag}


def shards() -> dict:
    """Data set -> specification, name and records of each shard, in their order."""
    words = FeatureSetSpec("words", "planted", {"aligner": "planted", "beam": 1e-120}, {"made by": "make_v1.py"})
    encoder = {"weights": "0" * 64, "layer": -1, "ﬁ": None, "\U0001f642": 2.0}
    text = FeatureSetSpec("text", "tiny bert/ü", {"encoder": encoder, "word_splitting": 1})
    audio = FeatureSetSpec("audio", "tiny-hubert", {"encoder": encoder, "alignment": words.fingerprint})
    video = FeatureSetSpec("video", "tiny-vit", {"encoder": {**encoder, "size": [224, 224]}})
    tokens = {
        "tokens": feature(1, 5, 4),
        "input_ids": np.array([101, 2009, 2001, 2**31 - 1, 102]),
        "word_ids": np.array([-1, 0, 1, 2, -1]),
    }
    old = record(MOSI, {"words": feature(2, 3, 4), "mean": feature(3, 4)})
    kept = record(ODD, {"words": feature(4, 0, 4), "mean": feature(5, 4)})
    first, later = "20260102T030405.000006Z-node1-11-00000001", "20260102T030405.000007Z-node2-12-00000002"
    new = record(MOSI, {"words": feature(6, 3, 4), "mean": feature(7, 4), **tokens}, version=2)
    no_word = record(ODD, {"words": feature(9, 0, 3), "mean": feature(10, 3)})
    sound = {"words": feature(11, 3, 3), "frames": feature(12, 7, 3), "mean": feature(13, 3)}
    extremes = np.array([65504.0, -(2.0**-24), 0, 1, 2, 3])
    return {
        "demo": [
            (words, f"{first}.h5", [*(record(clip, word_times(clip)) for clip in WORDS), record(GONE, None)]),
            # The compaction of this one was killed before it was deleted.
            (text, f"{first}.h5", [old, kept]),
            (text, f"{first}~0000000a.h5", [old, kept, record(GONE, None), record(LATE, None)]),
            (text, f"{later}.h5", [new, record(LATE, {"mean": feature(8, 4)}, version=2)]),
            (
                audio,
                f"{first}.h5",
                [no_word, record(MOSI, {**sound, "mean_words": feature(14, 3)}), record(GONE, None)],
            ),
            (
                video,
                f"{first}~0000000b~0000000c.h5",
                [
                    record(MOSI, {"frames": feature(15, 2, 6), "seconds": np.array([0.25, 0.75])}),
                    record(ODD, {"words": feature(16, 0, 6), "mean": extremes}),
                ],
            ),
        ],
        "..Zoë/demo": [(text, f"{first}.h5", [record(NARROW, {"mean": feature(17, 4)})])],
    }


def labels() -> dict:
    demo = {
        "id": [MOSI, ODD, GONE, LATE, "no record"],
        "mode": ["train", "valid", "test", "", "train"],
        "text": ["It was Zoë’s,", "", "NA", 'a "quoted"\nline', "nan"],
        "speaker": ["007", "", "1e3", "NULL", "x"],
        "label": [-1.4, np.nan, 3.0, 1e-05, 0.1 + 0.2],
        "count": [1, 2, 3, -4, 5],
        "note": ["listened, twice", "", "7", "NA", ""],
    }
    return {"demo": demo, "..Zoë/demo": {"id": [NARROW], "mode": ["test"]}}


def digest(array: np.ndarray) -> dict:
    """Shape, type, and SHA-256 of the little-endian bytes in C order; of text, of its words each ended by NUL."""
    if array.dtype.kind == "U":
        return {"shape": [*array.shape], "dtype": "text", "sha256": _sha256("".join(f"{w}\0" for w in array).encode())}
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"shape": [*array.shape], "dtype": array.dtype.name, "sha256": _sha256(plain.tobytes())}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make(root: Path) -> dict:
    """Write the cache, and return what must be read from it, known from what was put in and not by reading."""
    cache = FeatureCache.create(root)
    expected: dict = {}
    for name, sets in shards().items():
        data = cache.create_dataset(name)
        rows = pd.DataFrame(labels()[name]).set_index("id")
        write_labels(data.path, rows)
        cells = rows.astype(object).where(rows.notna(), None).to_dict(orient="index")
        expected[name] = {"labels": cells, "features": {}}
        for spec, shard, records in sets:
            folder = create_feature_set(data.path, spec).path
            (folder / shard).write_bytes(encode_shard(spec, records))
            clips = expected[name]["features"].setdefault(spec.name, {})
            clips |= {one.clip_id: entry(spec.modality, one) for one in records}
    text = next((root / "demo").glob("text-*"))
    (text / "quarantine").mkdir()
    (text / "quarantine/20260102T030405.000009Z-node1-11-00000003.h5").write_bytes(b"SADGR shard 1\nbroken")
    (text / ".tmp-20260102T030405.000010Z-node1-11-00000004").write_bytes(b"half a sha")
    (root / "runs").mkdir()
    line = {"clip": GONE, "dataset": "demo", "reason": "no text", "seconds": 0.1, "stage": "text", "state": "absent"}
    lines = [{"run": {"command": "make_v1.py"}}, line]
    log = "".join(json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in lines)
    (root / "runs/20260102T030405.000006Z-node1-11-00000005.jsonl").write_text(log + '{"clip": "cut', "utf-8")
    return expected


def entry(modality: str, one: ClipRecord) -> dict:
    arrays = one.arrays and {key: digest(_as_stored(modality, key, array)) for key, array in one.arrays.items()}
    return {"source": one.source, "arrays": arrays}


def _as_stored(modality: str, name: str, array: np.ndarray) -> np.ndarray:
    """Types as docs/cache-format.md has them."""
    if modality == "words":
        return array
    kinds = {"input_ids": np.int32, "word_ids": np.int32, "seconds": np.float64}
    return np.asarray(array).astype(kinds.get(name, np.float16))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    known = json.dumps(make(target), indent=1, ensure_ascii=False, sort_keys=True)
    target.with_name(f"{target.name}.json").write_text(known + "\n", "utf-8")
