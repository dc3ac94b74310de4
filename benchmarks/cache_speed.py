"""Speed and growth of the cache, at 10 thousand, 100 thousand and a million clips of small, synthetic tensors.

`make bench-cache` prints, all measured in this run: clips written a second through shards; reading a whole feature set of
flat vectors over reading the raw bytes of the same files; one word tensor by id, warm, over h5py's own cost; what is
missing out of all clips, with and without the index; memory; and how time grows. Shards are read as they were written,
and once more after `compact`.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
WIDTH = 64
SPEC = FeatureSetSpec("text", "synthetic", {"encoder": {"benchmark": 1}})
SOURCE = source_digest(benchmark=1)
BY_ID = 500


def clip_id(number: int) -> str:
    """Name a clip as MOSI and MOSEI do."""
    return f"video{number // 20:07d}$_${number % 20}"


def main() -> None:
    """Measure each size in a process of its own, so that memory is that size's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where to work; the temporary folder by default")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
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
    one = create_feature_set(cache.create_dataset("synthetic").path, SPEC)
    method = publishing_method(cache.path)
    write_seconds = seconds_of(lambda: write(one, size, method))
    found: dict[str, float] = {"clips": size, "write_clips_a_second": size / write_seconds}
    found |= {f"as_written_{name}": value for name, value in reading(one).items()}
    found |= missing(one, size)
    found["compact_seconds"] = seconds_of(lambda: compact(FeatureSet(one.path), method))
    found |= {f"compacted_{name}": value for name, value in reading(one).items()}
    found["shards_after"] = len(one.shards())
    return found


def write(one: FeatureSet, size: int, method: str) -> None:
    """Write that many clips: two words each, and a mean."""
    rng = np.random.default_rng(0)
    words, mean = rng.normal(size=(2, WIDTH)).astype(np.float16), rng.normal(size=WIDTH).astype(np.float16)
    with FeatureWriter(one, method) as writer:
        for number in range(size):
            writer.add(ClipRecord(clip_id(number), SOURCE, {"words": words, "mean": mean}))


def reading(one: FeatureSet) -> dict[str, float]:
    """Compare reading all vectors with reading all bytes, and one tensor by id with h5py's own cost."""
    paths = one.shards()
    size = sum(path.stat().st_size for path in paths)
    fresh = FeatureSet(one.path)
    fresh.entries()
    raw = min(seconds_of(lambda: [path.read_bytes() for path in paths]) for _ in range(3))
    before = peak_bytes()
    vectors = min(seconds_of(lambda: fresh.vectors("mean")) for _ in range(3))
    grown = peak_bytes() - before
    count = len(fresh.entries())
    ids = [clip_id(number) for number in np.random.default_rng(1).integers(0, count, BY_ID).tolist()]
    near = [clip_id(number) for number in range(min(200, count))]
    [fresh.read(one_id) for one_id in near]
    entry = fresh.entries()[near[0]]
    with h5py.File(one.path / entry.shard, "r", locking=False) as file:
        own = seconds_of(lambda: [file[f"clips/{name}/words"][()] for name in near]) / len(near)
    return {
        "bytes": size,
        "raw_seconds": raw,
        "vectors_seconds": vectors,
        "vectors_over_raw": raw / vectors,
        "vectors_grown_bytes": grown,
        "one_id_warm_ms": 1e3 * seconds_of(lambda: [fresh.read(one_id, ("words",)) for one_id in near]) / len(near),
        "h5py_own_ms": 1e3 * own,
        "one_id_anywhere_ms": 1e3 * seconds_of(lambda: [fresh.read(one_id, ("words",)) for one_id in ids]) / len(ids),
    }


def missing(one: FeatureSet, size: int) -> dict[str, float]:
    """Ask what is missing out of all clips, one in a thousand of which is, without and with the index."""
    wanted = {clip_id(number): SOURCE for number in range(size + max(1, size // 1000))}
    (one.path / INDEX_FILE).unlink(missing_ok=True)
    answers = []
    without = seconds_of(lambda: answers.append(FeatureSet(one.path).missing(wanted)))
    before = peak_bytes()
    warm = seconds_of(lambda: answers.append(FeatureSet(one.path).missing(wanted)))
    if not all(len(answer) == max(1, size // 1000) for answer in answers):
        sys.exit("what is missing was counted wrongly")
    index = (one.path / INDEX_FILE).stat().st_size if (one.path / INDEX_FILE).exists() else 0
    return {
        "missing_without_index_seconds": without,
        "missing_warm_seconds": warm,
        "missing_warm_grown_bytes": peak_bytes() - before,
        "index_bytes": index,
    }


def seconds_of(work: Callable[[], object]) -> float:
    """Return what the work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def peak_bytes() -> int:
    """Return the most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(rows: list[dict[str, float]]) -> str:
    """One line a measure, a column a size; growth is seconds a clip over those of the size before."""
    lines = [
        f"{'synthetic clips, ' + str(WIDTH) + ' wide, two words':42}" + "".join(f"{row['clips']:>14,}" for row in rows)
    ]
    lines += [f"{name:42}" + "".join(f"{row[name]:>14.4g}" for row in rows) for name in rows[0] if name != "clips"]
    for name in ("as_written_vectors_seconds", "missing_without_index_seconds"):
        growth = [
            row[name] / row["clips"] / (last[name] / last["clips"]) for last, row in zip(rows, rows[1:], strict=False)
        ]
        lines.append(f"{'growth a clip: ' + name:42}" + " " * 14 + "".join(f"{value:>14.2f}" for value in growth))
    growth = [
        last["write_clips_a_second"] / row["write_clips_a_second"] for last, row in zip(rows, rows[1:], strict=False)
    ]
    lines.append(f"{'growth a clip: writing':42}" + " " * 14 + "".join(f"{value:>14.2f}" for value in growth))
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    return "\n".join([*lines, f"({free:.0f} GB free; files were in the page cache)"])


if __name__ == "__main__":
    main()
