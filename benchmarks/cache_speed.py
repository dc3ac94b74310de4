"""Speed and growth of the cache, at 10 thousand, 100 thousand and a million clips of small, synthetic tensors.

`make bench-cache` prints, all measured in this run: clips written a second through shards; reading a whole feature set of
flat vectors, in their stored type, over reading the raw bytes of the same shards: out of the shards, as the first reader
does, and from the file beside them that it leaves for all later ones, every element summed; one word tensor by id, warm,
beside h5py's own cost; what is missing out of all clips, with and without the index; memory; and how time grows with clips.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import h5py
import numpy as np

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    FeatureSet,
    FeatureSetSpec,
    FeatureWriter,
    create_feature_set,
    publishing_method,
    source_digest,
)
from sadgr.cache.compact import compact
from sadgr.cache.index import INDEX_FILE

SIZES = (10_000, 100_000, 1_000_000)
FLAT_WIDTH, WORD_WIDTH = 768, 64
FLAT = FeatureSetSpec("text", "flat", {"encoder": {"benchmark": "means alone"}})
WORDS = FeatureSetSpec("text", "words", {"encoder": {"benchmark": "two words"}})
SOURCE = source_digest(benchmark=1)
BY_ID = 500
STREAMED = 50_000


def clip_id(number: int) -> str:
    """Name a clip as MOSI and MOSEI do."""
    return f"video{number // 20:07d}$_${number % 20}"


def main() -> None:
    """Measure each size in a process of its own, so that memory is that size's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--missing", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to work; the temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.missing:
        print(missing_grown_bytes(options.missing, options.one))
        return
    if options.one:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            print(json.dumps(measure(options.one, Path(folder))))
        return
    rows = []
    for size in options.sizes:
        print(f"measuring {size:,} clips", file=sys.stderr)
        more = ["--folder", str(options.folder)] if options.folder else []
        told = subprocess.run([sys.executable, __file__, "--one", str(size), *more], stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(told.stdout))
    print(json.dumps(rows, indent=1) if options.json else table(rows))


def measure(size: int, folder: Path) -> dict[str, float]:
    """Write, read, compact and read again; gives seconds, bytes and ratios."""
    cache = FeatureCache.create(folder / "cache")
    data = cache.create_dataset("synthetic")
    method = publishing_method(cache.path)
    rng = np.random.default_rng(0)
    mean = {"mean": rng.normal(size=FLAT_WIDTH).astype(np.float16)}
    words = {"words": rng.normal(size=(2, WORD_WIDTH)).astype(np.float16)}
    flat, worded = create_feature_set(data.path, FLAT), create_feature_set(data.path, WORDS)
    found: dict[str, float] = {"clips": size}
    found["vectors_written_a_second"] = size / seconds_of(lambda: write(flat, size, mean, method))
    found |= {f"as_written_{name}": value for name, value in reading(flat).items()}
    found |= missing(flat, size)
    found["compact_seconds"] = seconds_of(lambda: compact(FeatureSet(flat.path), method))
    found |= {f"compacted_{name}": value for name, value in reading(flat).items()}
    print(json.dumps(found), file=sys.stderr, flush=True)  # the rest takes minutes at a million
    found["word_clips_written_a_second"] = size / seconds_of(lambda: write(worded, size, words, method))
    return {**found, **by_id(worded, size)}


def write(one: FeatureSet, size: int, arrays: dict[str, np.ndarray], method: str) -> None:
    """Write that many clips."""
    with FeatureWriter(one, method) as writer:
        for number in range(size):
            writer.add(ClipRecord(clip_id(number), SOURCE, arrays))


def reading(one: FeatureSet) -> dict[str, float]:
    """Compare reading all vectors with reading all bytes of the same files."""
    paths = one.shards()
    one.entries()
    triples = []
    for _ in range(5):
        raw = seconds_of(lambda: [path.read_bytes() for path in paths])
        for path in one.path.glob(".vectors-*"):
            path.unlink()
        first = seconds_of(lambda: FeatureSet(one.path).vectors("mean", np.float16))
        later = seconds_of(lambda: touch(FeatureSet(one.path).vectors("mean", np.float16)[1]))
        triples.append((raw, first, later))
    return {
        "shards": len(paths),
        "bytes": sum(path.stat().st_size for path in paths),
        "vectors_first_seconds": float(np.median([first for _, first, _ in triples])),
        "vectors_first_over_raw": float(np.median([raw / first for raw, first, _ in triples])),
        "vectors_seconds": float(np.median([later for *_, later in triples])),
        "vectors_over_raw": float(np.median([raw / later for raw, _, later in triples])),
        "peak_bytes": peak_bytes(),
    }


def touch(vectors: np.ndarray) -> int:
    """Read every byte, so that a mapped array is no way to measure nothing."""
    return int(vectors.view(np.uint16).view(np.uint64).sum())


def by_id(one: FeatureSet, size: int) -> dict[str, float]:
    """Compare one word tensor by id with h5py's own cost of the same, and read some from anywhere."""
    fresh = FeatureSet(one.path)
    near = [clip_id(number) for number in range(200)]
    anywhere = [clip_id(number) for number in np.random.default_rng(1).integers(0, size, BY_ID).tolist()]
    [fresh.read(name, ("words",)) for name in near]
    with h5py.File(one.path / fresh.entries()[near[0]].shard, "r", locking=False) as file:
        own = [seconds_of(lambda: [file[f"clips/{name}/words"][()] for name in near]) for _ in range(5)]
    ours = [seconds_of(lambda: [fresh.read(name, ("words",)) for name in near]) for _ in range(5)]
    streamed = iter(fresh.entries())
    grown = []
    for count in (STREAMED // 10, STREAMED):  # memory is to stay where it is after the first tenth
        for name in islice(streamed, min(count, size // 2)):
            fresh.read(name, ("words",))
        grown.append(peak_bytes())
    return {
        "streaming_grown_bytes": grown[1] - grown[0],
        "word_tensor_by_id_warm_ms": 1e3 * float(np.median(ours)) / len(near),
        "word_tensor_h5py_own_ms": 1e3 * float(np.median(own)) / len(near),
        "word_tensor_from_anywhere_ms": 1e3 * seconds_of(lambda: [fresh.read(n, ("words",)) for n in anywhere]) / BY_ID,
        "peak_bytes_at_the_end": peak_bytes(),
    }


def missing(one: FeatureSet, size: int) -> dict[str, float]:
    """Ask what is missing out of all clips, one in a thousand of which is, without and with the index."""
    wanted = {clip_id(number): SOURCE for number in range(size + max(1, size // 1000))}
    (one.path / INDEX_FILE).unlink(missing_ok=True)
    answers = []
    without = seconds_of(lambda: answers.append(FeatureSet(one.path).missing(wanted)))
    warm = seconds_of(lambda: answers.append(FeatureSet(one.path).missing(wanted)))
    if not all(len(answer) == max(1, size // 1000) for answer in answers):
        sys.exit("what is missing was counted wrongly")
    told = subprocess.run(
        [sys.executable, __file__, "--missing", str(one.path), "--one", str(size)], stdout=subprocess.PIPE, check=True
    )
    index = (one.path / INDEX_FILE).stat().st_size if (one.path / INDEX_FILE).exists() else 0
    return {
        "missing_without_index_seconds": without,
        "missing_warm_seconds": warm,
        "missing_warm_grown_bytes": int(told.stdout),
        "index_bytes": index,
    }


def missing_grown_bytes(folder: Path, size: int) -> int:
    """What the question adds to the memory of a process that holds nothing but what it asks for."""
    wanted = {clip_id(number): SOURCE for number in range(size + max(1, size // 1000))}
    before = peak_bytes()
    FeatureSet(folder).missing(wanted)
    return peak_bytes() - before


def seconds_of(work: Callable[[], object]) -> float:
    """Return what the work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def peak_bytes() -> int:
    """Return the most memory that this process ever held; `getrusage` would count what its parent held, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def table(rows: list[dict[str, float]]) -> str:
    """One line a measure, a column a size; growth is seconds a clip over those of the size before."""
    title = f"synthetic; {FLAT_WIDTH} wide, words {WORD_WIDTH}"
    lines = [f"{title:38}" + "".join(f"{row['clips']:>14,}" for row in rows)]
    lines += [f"{name:38}" + "".join(f"{row[name]:>14.4g}" for row in rows) for name in rows[0] if name != "clips"]
    seconds = {
        "writing vectors": [1 / row["vectors_written_a_second"] for row in rows],
        "writing words": [1 / row["word_clips_written_a_second"] for row in rows],
        "reading vectors first": [row["as_written_vectors_first_seconds"] / row["clips"] for row in rows],
        "reading vectors": [row["as_written_vectors_seconds"] / row["clips"] for row in rows],
        "missing, without index": [row["missing_without_index_seconds"] / row["clips"] for row in rows],
    }
    for name, each in seconds.items():
        growth = [later / earlier for earlier, later in pairwise(each)]
        lines.append(f"{'growth a clip: ' + name:38}" + " " * 14 + "".join(f"{value:>14.2f}" for value in growth))
    return "\n".join([*lines, "(all files were in the page cache)"])


if __name__ == "__main__":
    main()
