"""Seconds of a training epoch: our models over cached features against MMSA's own of the same name.

`make bench-rivals` draws features of MOSI's size (1,284 clips to learn from; words of mean 12 and at most 50, 16 frames, 768
wide) and gives the same clips to both: ours as the cache holds them, MMSA's (2.2.1) padded to 50 words by its own data
loader. Each of MMSA's models is trained by MMSA's own trainer with its settings for MOSI, in batches of 32, in a process of
its own; ours by the steps that `fit` takes, with what `fit` sets: denormals are 0 and freed memory is kept (MMSA sets neither, and has neither
here). Ours has MMSA's widths where it has the same layers; MISA, whose LSTMs in MMSA are
as wide as the features, has a row with its own widths and one with those. Rounds are interleaved; a round takes the first
batches of an epoch alone, and is scaled up to all 41. Values are random: scores would say nothing, and none are printed.

MMSA's Self-MM and MISA have a BERT inside, here frozen and base-sized with random weights; ours read cached features of
words, so that BERT's passes are what they save; so has its MAG-BERT, which trains it, and reads words and frames inside. RAVEN,
ICCN, TETFN, TCHFN and TMBL are not in MMSA 2.2.1.
"""

import argparse
import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from elsewhere import Elsewhere
from rivals_mmsa import Theirs, write_bert
from torch import nn

from sadgr.cache.allocator import keep_freed_memory
from sadgr.train.config import Widths
from sadgr.train.data import Clips, ClipTensors
from sadgr.train.loop import adamw, batches, without_denormals
from sadgr.train.losses import total_loss
from sadgr.train.models.late import Late
from sadgr.train.models.lmf import LMF, LMFConfig
from sadgr.train.models.mag import MAG
from sadgr.train.models.mfn import MFN
from sadgr.train.models.misa import MISA, MISAConfig
from sadgr.train.models.mult import MulT, MulTConfig
from sadgr.train.models.selfmm import SelfMM
from sadgr.train.models.tfn import TFN, TFNConfig
from sadgr.train.tasks import TASKS

WIDTH, FRAMES, LONGEST, MEAN = 768, 16, 50, 12
MOSI, BATCH = 1_284, 32
BATCHES = math.ceil(MOSI / BATCH)
WIDTHS = Widths(WIDTH, WIDTH, WIDTH, 1, "regression", MOSI)
FASTER = 3.0
"""What is asked of models with attention, recurrence or BERT; of the others, not to be slower."""


@dataclass(frozen=True)
class Pair:
    """Two models of one name.

    Attributes:
        theirs: MMSA's name.
        build: Makes ours.
        batches: Of a round.
        goal: How many times as fast ours is to be.
    """

    theirs: str
    build: Callable[[], nn.Module]
    batches: int = 8
    goal: float = FASTER
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "mmsa": []})


PAIRS = {
    "late, against LF-DNN": Pair("lf_dnn", lambda: Late(WIDTHS), batches=40, goal=1.0),
    "LMF": Pair("lmf", lambda: LMF(WIDTHS, LMFConfig(128, 64, 16, 128, 3)), batches=40),
    "TFN": Pair("tfn", lambda: TFN(WIDTHS, TFNConfig(128, 32, 32, 128, 64))),
    "MFN": Pair("mfn", lambda: MFN(WIDTHS)),
    "MulT": Pair("mult", lambda: MulT(WIDTHS, MulTConfig(d_model=50, heads=10, conv_kernel=5)), batches=20),
    "Self-MM": Pair("self_mm", lambda: SelfMM(WIDTHS), batches=2),
    "MAG-BERT": Pair("bert_mag", lambda: MAG(WIDTHS), batches=2),
    "MISA": Pair("misa", lambda: MISA(WIDTHS), batches=2),
    "MISA, LSTMs as wide as MMSA's": Pair("misa", lambda: MISA(WIDTHS, MISAConfig(d_recurrent=WIDTH)), batches=2),
}


@without_denormals()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=list(PAIRS), choices=list(PAIRS), metavar="MODEL")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    keep_freed_memory()  # as sadgr-train does
    torch.set_num_threads(options.threads)
    pairs = {name: PAIRS[name] for name in options.models}
    found = measure(pairs, options.rounds)
    told = {"threads": options.threads, "rounds": options.rounds, "data": "random features", "models": found}
    print(json.dumps(told, indent=1) if options.json else table(told))


def measure(pairs: dict[str, Pair], rounds: int) -> dict[str, Any]:
    """Measure pairs one after the other, in each both models in turn; one round warms up."""
    clips, found = random_clips(), {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_bert(Path(folder))  # which MMSA finds by its name in the working directory
        for name, pair in pairs.items():
            ours = Ours(pair.build(), clips)
            with Elsewhere(theirs_on, pair.theirs, pair.batches * BATCH, Path(folder)) as theirs:
                for number in range(rounds + 1):
                    print(f"{name}: {f'round {number} of {rounds}' if number else 'warming up'}", file=sys.stderr)
                    begin = time.perf_counter()
                    ours.epoch(pair.batches)
                    seconds = {"ours": time.perf_counter() - begin, "mmsa": theirs.seconds("epoch")}
                    for whose, one in seconds.items() if number else ():
                        pair.seconds[whose].append(one * BATCHES / pair.batches)
                found[name] = _found(pair, ours.model, theirs)
    return found


def random_clips() -> list[ClipTensors]:
    """Clips of random features and labels; the number of words falls off geometrically."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def rows(length: int) -> torch.Tensor:
        return torch.randn(length, WIDTH, generator=generator).half().float()

    made = []
    for number, length in enumerate(np.clip(rng.geometric(1 / MEAN, MOSI), 1, LONGEST)):
        text, audio, video = rows(int(length)), rows(int(length)), rows(FRAMES)
        label = float(rng.uniform(-3, 3))
        means = text.mean(dim=0), audio.mean(dim=0)
        made.append(ClipTensors(str(number), text, audio, video, *means, (True,) * 3, True, (label,)))
    return made


class Ours:
    """Trains one of our models, as `fit` does."""

    def __init__(self, model: nn.Module, clips: Sequence[ClipTensors]) -> None:
        self.model, self._clips = model, Clips(clips)
        self._optimizer = adamw(model, 1e-3, 0.01)

    def epoch(self, n_batches: int) -> None:
        """Train on so many batches."""
        self.model.train()
        for rows in batches(n_batches * BATCH, BATCH, torch.Generator().manual_seed(0)):
            batch = self._clips.batch(rows.numpy())
            output = self.model(batch)
            self._optimizer.zero_grad()
            total_loss(TASKS["regression"].loss(output.prediction, batch.target), output.losses, {}).backward()
            self._optimizer.step()


def theirs_on(name: str, n_clips: int, folder: Path) -> Theirs:
    """Make one of MMSA's models, with the first of the clips that ours has."""
    return Theirs(name, random_clips()[:n_clips], folder)


def _found(pair: Pair, ours: nn.Module, theirs: Elsewhere) -> dict[str, Any]:
    ratios = [slow / fast for slow, fast in zip(pair.seconds["mmsa"], pair.seconds["ours"], strict=True)]
    return {
        "batches": pair.batches,
        "seconds_an_epoch": pair.seconds,
        "ratios": ratios,
        "goal": pair.goal,
        "parameters": {"ours": sum(one.numel() for one in ours.parameters()), "mmsa": theirs.value("parameters")},
        "of_mmsas_in_bert": theirs.value("parameters_in_bert"),
    }


def table(told: dict[str, Any]) -> str:
    """One line a pair."""
    lines = [
        f"random features of MOSI's size, batches of {BATCH}, {told['threads']} threads, median of {told['rounds']} rounds of the "
        f"batches named, times {BATCHES} / batches"
    ]
    for name, one in told["models"].items():
        ours, mmsa = (float(np.median(one["seconds_an_epoch"][whose])) for whose in ("ours", "mmsa"))
        ratio, parameters, bert = float(np.median(one["ratios"])), one["parameters"], one["of_mmsas_in_bert"]
        lines.append(
            f"{name:30} {ours:7.2f} s an epoch, MMSA {mmsa:7.2f} s: {ratio:.1f} times as fast (range {min(one['ratios']):.1f} to "
            f"{max(one['ratios']):.1f}, goal {one['goal']:g}: {'reached' if ratio >= one['goal'] else 'NOT REACHED'}); parameters "
            f"{parameters['ours']:,}, MMSA {parameters['mmsa']:,}"
            f"{f' ({bert:,} of them in BERT)' if bert else ''}; {one['batches']} batches"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
