"""Text-audio pretraining at LibriSpeech-960's size against its matrix products alone.

`make bench-pretrain` makes random vectors of that shape (281,241 pairs, 768 wide, float16) in memory and, in interleaved
rounds of one run, times steps of `sadgr-train pretrain` (batch 1,024) and the products that such a step cannot do without:
projections, their weights' gradients, similarities and their two gradients. `--whole` times all of `pretrain` (5 epochs, held-out
measures, checkpoints) and the products between epochs. Values are random: losses would say nothing, and none are printed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sadgr.cache.allocator import keep_freed_memory
from sadgr.train.config import PretrainConfig
from sadgr.train.heads import ProjectionHeads
from sadgr.train.loop import adamw, batches, seed_epoch, without_denormals
from sadgr.train.pairs import Pairs
from sadgr.train.pretrain import pretrain, train_step

PAIRS, HELD_OUT, WIDTH = 281_241, 5_567, 768
"""Utterances of LibriSpeech's train and dev splits; width of base models."""


@without_denormals()  # the products, too
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12, help="of the subset (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="steps of each in a round (default: %(default)s)")
    parser.add_argument("--whole", action="store_true", help="all of pretraining instead of a subset of steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mask-duplicates", action="store_true", help="with random transcripts, every tenth the same")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    keep_freed_memory()  # as sadgr-train does
    torch.set_num_threads(options.threads)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("GPU: NOT RUN (no CUDA device)")
    device = torch.device(options.device)
    config = PretrainConfig(mask_duplicates=options.mask_duplicates)
    pairs = random_pairs(PAIRS, device, config.mask_duplicates)
    part = whole if options.whole else subset
    found = part(pairs, config, options)
    found |= {
        "random": True,
        "device": options.device,
        "threads": options.threads,
        "mask_duplicates": config.mask_duplicates,
    }
    print(json.dumps(found, indent=1) if options.json else table(found))


def random_pairs(count: int, device: torch.device, with_transcripts: bool) -> Pairs:
    """Pairs of normal values."""
    generator = torch.Generator().manual_seed(0)
    sides = []
    for _ in range(2):
        side = torch.empty(count, WIDTH, dtype=torch.float16)
        for part in side.split(16_384):
            part.copy_(torch.randn(part.shape, generator=generator))
        sides.append(side)
    numbers = torch.randint(10 * count, (count,), generator=generator)
    numbers[::10] = numbers[1]
    return Pairs(*sides, numbers if with_transcripts else None).to(device)


class Floor:
    """The products of one step, forward and backward, into memory that is there already.

    Args:
        batch: B.
        device: Where they are computed.
    """

    def __init__(self, batch: int, device: torch.device) -> None:
        def random(*shape: int) -> Tensor:
            return torch.randn(shape, device=device)

        self._features, self._weights = random(batch, WIDTH), random(WIDTH, WIDTH)
        self._embeddings, self._similarity = random(batch, WIDTH), random(batch, batch)
        self._wide, self._square, self._own = random(batch, WIDTH), random(WIDTH, WIDTH), random(batch, batch)
        self.flops = 2 * batch * WIDTH * (4 * WIDTH + 3 * batch)

    def step(self) -> None:
        """Compute them: text and audio take turns, with the same shapes."""
        for _ in range(2):
            torch.mm(self._features, self._weights.T, out=self._wide)  # projection
            torch.mm(self._embeddings.T, self._features, out=self._square)  # its weights' gradient
        torch.mm(self._embeddings, self._features.T, out=self._own)  # similarities
        torch.mm(self._similarity, self._features, out=self._wide)  # gradient of the one side
        torch.mm(self._similarity.T, self._embeddings, out=self._wide)  # and of the other


def subset(pairs: Pairs, config: PretrainConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Some steps of an epoch and as many times their products, in turn."""
    heads = ProjectionHeads(WIDTH, WIDTH, config.d_shared).to(pairs.text.device)
    optimizer = adamw(heads, config.learning_rate, config.weight_decay)
    floor = Floor(config.batch_size, pairs.text.device)
    parts = iter(batches(len(pairs), config.batch_size, seed_epoch(config.seed, 1)))

    def ours() -> None:
        for _ in range(options.steps):
            train_step(heads, optimizer, pairs[next(parts)], config.learning_rate)

    def products() -> None:
        for _ in range(options.steps):
            floor.step()

    if (options.rounds + 1) * options.steps > len(pairs) // config.batch_size:
        sys.exit("an epoch has fewer steps than that: lower --rounds or --steps, or take --whole")
    ours()  # warms up
    products()
    times: dict[str, list[float]] = {"ours": [], "products": []}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        times["ours"].append(seconds_of(ours) / options.steps)
        times["products"].append(seconds_of(products) / options.steps)
    ratios = [one / least for one, least in zip(times["ours"], times["products"], strict=True)]
    return {
        "kind": "subset",
        "steps": options.steps,
        "seconds_a_step": times,
        "ratios": ratios,
        "flops_a_step": floor.flops,
    }


def whole(pairs: Pairs, config: PretrainConfig, options: argparse.Namespace) -> dict[str, Any]:
    """All of `pretrain`, an epoch with what follows it at a time, and the products of some steps after each."""
    held_out = random_pairs(HELD_OUT, pairs.text.device, config.mask_duplicates)
    floor = Floor(config.batch_size, pairs.text.device)
    n_steps = config.epochs * len(pairs) / config.batch_size
    times: dict[str, list[float]] = {"products": []}
    pauses: list[float] = []

    def products() -> None:
        for _ in range(options.steps):
            floor.step()

    def pause() -> bool:
        spent = seconds_of(lambda: times["products"].append(seconds_of(products) / options.steps))
        pauses.append(spent)
        return False

    products()  # warms up
    with tempfile.TemporaryDirectory() as folder:
        seconds = seconds_of(
            lambda: pretrain(
                pairs,
                held_out,
                config,
                {},
                Path(folder) / "heads",
                pause,
                lambda line: print(line.split(":")[0], file=sys.stderr),
            )
        )
    seconds -= sum(pauses)
    return {
        "kind": "whole",
        "seconds": seconds,
        "seconds_a_step": times,
        "ratios": [seconds / (n_steps * one) for one in times["products"]],
        "flops_a_step": floor.flops,
        "tflop": floor.flops * n_steps / 1e12,
    }


def seconds_of(work: Callable[[], object]) -> float:
    """What the work takes."""
    begun = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def table(found: dict[str, Any]) -> str:
    """One line a figure."""
    masked = ", duplicates masked" if found["mask_duplicates"] else ""
    lines = [
        f"random vectors of LibriSpeech-960's size ({PAIRS:,} pairs, {WIDTH} wide){masked}; {found['device']}, "
        f"{found['threads']} threads"
    ]
    names = {"ours": "a step of pretraining", "products": "its matrix products alone"}
    for name, values in found["seconds_a_step"].items():
        reached = found["flops_a_step"] / np.median(values) / 1e9
        lines.append(
            f"{names[name]}: {1e3 * np.median(values):.1f} ms (range {1e3 * min(values):.1f} to {1e3 * max(values):.1f}), "
            f"{reached:.0f} GFLOP/s"
        )
    if found["kind"] == "whole":
        lines.append(f"all of pretraining: {found['seconds']:.1f} s for {found['tflop']:.1f} TFLOP of products")
    ratios = found["ratios"]
    lines.append(
        f"{found['kind']} over its products: {np.median(ratios):.2f} (range {min(ratios):.2f} to {max(ratios):.2f}); at most 1.5"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
