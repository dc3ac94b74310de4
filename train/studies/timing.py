"""How the time of the gate, of cross-attention in its place, and of the whole model grows with a clip's length."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import ModelConfig
from sadgr.train.data import ClipTensors, collate
from sadgr.train.gate import AudioGate, CrossAttention
from sadgr.train.loop import seed_epoch
from sadgr.train.models.sadgr import SADGR
from sadgr.train.ragged import Spans

LENGTHS = tuple(2**power for power in range(4, 13))
"""16 to 4,096 words, and as many video frames."""
LONG = 512
"""Lengths from which on what does not depend on length, such as the gate's own layers, weighs little."""
ROUNDS = 7
SHORTEST_SECONDS = 0.01
"""Work that takes less is done several times in one measurement."""
SEED = 1111

GATE, ATTENTION = "gate", "cross-attention"
WITH_GATE, WITH_ATTENTION = "model with gate", "model with cross-attention"


@dataclass(frozen=True)
class Times:
    """Seconds of each work at each length, for one clip of random features.

    Attributes:
        lengths: Words of the clip, and frames.
        seconds: Work -> (lengths, rounds) array; round i of all works was measured in one pass.
    """

    lengths: tuple[int, ...]
    seconds: Mapping[str, np.ndarray]

    def median(self, work: str) -> np.ndarray:
        """(lengths,) seconds."""
        return np.asarray(np.median(self.seconds[work], axis=1))

    def ratio(self, work: str, to: str) -> np.ndarray:
        """(lengths,) median over rounds of how many times as long a work takes as another."""
        return np.asarray(np.median(self.seconds[work] / self.seconds[to], axis=1))


@dataclass(frozen=True)
class Exponent:
    """A power law's exponent, fitted to medians: seconds ~ length ** value.

    Attributes:
        value: Least squares over logarithms; None where fewer than two lengths were measured.
        lengths: That it was fitted over.
    """

    value: float | None
    lengths: tuple[int, ...]


def fit_exponent(lengths: Sequence[int], seconds: Sequence[float] | np.ndarray, shortest: int = 1) -> Exponent:
    """Fit a power law by least squares over logarithms.

    Args:
        lengths: (n,).
        seconds: (n,), each above 0.
        shortest: Shorter lengths are left out.
    """
    used = [(length, value) for length, value in zip(lengths, seconds, strict=True) if length >= shortest]
    lengths_used = tuple(length for length, _ in used)
    if len(used) < 2:
        return Exponent(None, lengths_used)
    x, y = np.log(np.array(used, np.float64)).T
    x = x - x.mean()
    return Exponent(float(x @ y / (x @ x)), lengths_used)


def measure_times(
    config: ModelConfig, lengths: Sequence[int], rounds: int, device: torch.device, log: Callable[[str], None]
) -> Times:
    """Time forward passes on one clip of random features, without gradients, interleaved in rounds.

    Weights are random, too: they do not change how long a pass takes.

    Args:
        config: Widths; the gate is both `audio` and `attention`, whatever it says.
        lengths: Words, and as many frames.
        rounds: Measurements of each work at each length.
        device: Where it computes.
        log: Takes progress lines.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
        seed_epoch(SEED, 0)
        works = _works(config, device)
        clips = [_random_clip(config, length).to(device) for length in lengths]
        calls = {(name, place): _calls(work, clip) for name, work in works.items() for place, clip in enumerate(clips)}
        seconds = {name: np.empty((len(lengths), rounds)) for name in works}
        for number in range(rounds):
            for place, clip in enumerate(clips):
                for name, work in works.items():
                    seconds[name][place, number] = _seconds(work, clip, calls[name, place])
            log(f"times: round {number + 1} of {rounds}")
    return Times(tuple(lengths), seconds)


def _works(config: ModelConfig, device: torch.device) -> dict[str, Callable[[Batch], object]]:
    gate = AudioGate(config.d_audio, config.gate_hidden, config.d_video, config.gate_layers).to(device)
    attention = CrossAttention(config.d_video, config.d_audio, config.attention_heads).to(device)
    models: dict[str, nn.Module] = {
        WITH_GATE: SADGR(replace(config, gate="audio")).to(device).eval(),
        WITH_ATTENTION: SADGR(replace(config, gate="attention")).to(device).eval(),
    }

    def gated(batch: Batch) -> Tensor:
        """Eq. 15-18 as they are written, frame by frame; the model itself scales a clip's mean frame once."""
        return batch.video * batch.frames.spread(gate(batch.words.mean(batch.audio)))

    return {
        GATE: gated,
        ATTENTION: lambda batch: attention(batch.video, batch.audio, batch.frames, batch.words),
        **models,
    }


def _random_clip(config: ModelConfig, length: int) -> Batch:
    one = ClipTensors(
        clip_id=f"random-{length}",
        text=torch.randn(length, config.d_text),
        audio=torch.randn(length, config.d_audio),
        video=torch.randn(length, config.d_video),
        text_mean=torch.randn(config.d_text),
        audio_mean=torch.randn(config.d_audio),
        present=(True, True, True),
        paired=True,
    )
    return collate([one])


def _calls(work: Callable[[Batch], object], clip: Batch) -> int:
    _seconds(work, clip, 1)  # the first call of all also fills the spans' own caches
    return max(1, math.ceil(SHORTEST_SECONDS / min(_seconds(work, clip, 1) for _ in range(3))))


def _seconds(work: Callable[[Batch], object], clip: Batch, calls: int) -> float:
    _wait(clip.words)
    begin = time.perf_counter()
    for _ in range(calls):
        work(clip)
    _wait(clip.words)
    return (time.perf_counter() - begin) / calls


def _wait(spans: Spans) -> None:
    """Let a GPU finish: it computes while Python goes on."""
    if spans.device.type == "cuda":
        torch.cuda.synchronize(spans.device)
