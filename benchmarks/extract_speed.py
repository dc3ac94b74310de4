"""How near extraction is to the bare forward passes, and how far from the script that everyone writes.

`make bench-extract` makes synthetic clips (360p, 6 s, 20 words) and base-size models with random weights (nothing is
fetched; a feature's values say nothing here), and measures in interleaved rounds of one run: (a) the pipeline's time over
the bare forward passes of the same tensors, in the same process and so with the same settings of malloc; (b)
`plain_loop.py`, in a process of its own, over the pipeline, in fp32 and in bfloat16, start-up left out of all; (c) each
encoder's FLOP/s over those of a matrix multiplication; (d) memory and time a clip from a hundred clips to ten thousand,
with tiny models; (e) the time from a raw clip to a score, stage by stage, with everything loaded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The processes that decode import the file that was started, this one: what is heavy is imported where it is used.

ROUNDS = 7
GROWTH = (100, 1_000, 10_000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8, help="clips a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", default="abcde", help="which of the parts to measure")
    parser.add_argument("--growth", type=int, nargs="+", default=list(GROWTH))
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("GPU: NOT RUN (no CUDA device)")
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.grow:
            from extract_parts import grow

            print(json.dumps(grow(folder, options.grow)))
            return
        results = measure(folder, options)
    print(json.dumps(results, indent=1) if options.json else table(results))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the parts that were asked for."""
    from extract_parts import flops, latency, paired
    from synthetic_clips import base_models, make_source

    from sadgr.cache.allocator import keep_freed_memory

    if options.device == "cpu":
        keep_freed_memory()  # as the pipeline does: all parts alike, whatever is measured before them
    results: dict[str, Any] = {"device": options.device, "threads": options.threads, "clips": options.clips}
    if set(options.parts) & set("abce"):
        print("making models and clips", file=sys.stderr)
        base = base_models(folder / "models")
        source = make_source(folder / "source", options.clips)
    if set(options.parts) & set("ab"):
        results |= paired(folder, base, source, options)
        print(table(results), file=sys.stderr)  # the rest takes minutes
    if "c" in options.parts:
        results["flops"] = flops(base, options)
    if "d" in options.parts:
        results["growth"] = [growth_of(size) for size in options.growth]
    if "e" in options.parts:
        results["latency"] = latency(base, source, options)
    return results


def growth_of(size: int) -> dict[str, float]:
    """Measure so many clips in a process of its own."""
    print(f"growth: {size:,} clips", file=sys.stderr)
    told = subprocess.run([sys.executable, __file__, "--grow", str(size)], stdout=subprocess.PIPE, check=True)
    return json.loads(told.stdout)


def table(results: dict[str, Any]) -> str:
    """One line a figure."""
    import numpy as np

    lines = [
        f"synthetic clips and random weights; {results['device']}, {results['threads']} threads, {results['clips']} clips a round"
    ]
    for name, values in results.get("ratios", {}).items():
        lines.append(f"{name:44} median {np.median(values):6.3f}  range {min(values):.3f} to {max(values):.3f}")
    lines += [
        f"difference from the plain loop: {name:20} {one:.2e}" for name, one in results.get("differences", {}).items()
    ]
    for name, one in results.get("flops", {}).items():
        lines.append(f"(c) {name:40} {one['gflops']:7.1f} GFLOP/s {100 * one['of_the_ceiling']:5.1f} % of the ceiling")
    before = {"clips": 0, "seconds": 0.0}
    for one in results.get("growth", []):
        marginal = (one["seconds"] - before["seconds"]) / (one["clips"] - before["clips"])
        lines.append(
            f"(d) {one['clips']:>6,} clips, tiny models: {one['seconds']:.1f} s, {1e3 * marginal:.2f} ms for each more than the "
            f"line above, peak {one['peak_bytes'] / 1e6:.0f} MB, {one['failed']} failed"
        )
        before = one
    for name, values in results.get("latency", {}).items():
        lines.append(f"(e) {name:14} p50 {np.percentile(values, 50):8.1f} ms, p95 {np.percentile(values, 95):8.1f} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
