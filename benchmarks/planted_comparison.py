"""Every model on data whose truth is planted (`planted.py`), by the commands that a user would type, which are printed.

`python benchmarks/planted_comparison.py` writes a cache, pretrained heads and a comparison for each held-out generator seed into
build/comparison, and their tables into docs/comparison.md. Stopped and started again, it goes on.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from comparison_table import into_page
from planted import HELD_OUT_SEEDS, LABELLED, PAIRS, Planted, write_planted

FOLDER = Path("build/comparison")
SADGR_TRAIN = Path(sys.executable).with_name("sadgr-train")
SEEDS, EPOCHS, PATIENCE = 5, 20, 5
"""Fewer epochs than `compare`'s default: MulT's and TMBL's take minutes on such small features, too. Nothing else is set."""


def main() -> None:
    """Do all worlds, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="trainings at a time; numbers do not depend on it"
    )
    parser.add_argument(
        "--worlds", type=int, default=len(HELD_OUT_SEEDS), help="so many of the held-out generator seeds"
    )
    options = parser.parse_args()
    for seed in HELD_OUT_SEEDS[: options.worlds]:
        into_page(f"planted-{seed}", compared(seed, options.jobs))


def compared(seed: int, jobs: int) -> Path:
    """Write a world and compare all models on it; gives the comparison's folder."""
    cache, heads, run = (FOLDER / f"{what}-{seed}" for what in ("cache", "heads", "run"))
    if not cache.exists():  # written whole or not at all: it is renamed at the end
        aside = FOLDER / f".cache-{seed}-{os.getpid()}"
        write_planted(aside, Planted(seed)).rename(cache)
    _run("pretrain", cache, heads, "--dataset", PAIRS)
    limits = ("--seeds", SEEDS, "--epochs", EPOCHS, "--patience", PATIENCE)
    _run("compare", cache, run, "--dataset", LABELLED, "--heads", heads, *limits, "--jobs", jobs)
    return run


def _run(*arguments: object) -> None:
    command = [str(one) for one in arguments]
    print(f"$ sadgr-train {shlex.join(command)}", file=sys.stderr, flush=True)
    ended = subprocess.run([SADGR_TRAIN, *command], stdout=subprocess.DEVNULL, check=False).returncode
    if ended:
        sys.exit(ended)


if __name__ == "__main__":
    main()
