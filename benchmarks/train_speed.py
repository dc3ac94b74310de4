"""Seconds of a training epoch: ours, without arithmetic on padding, against the same model on batches padded to 50 words.

`make bench-train` makes a random cache's worth of clips in memory (MOSI's size: 1,284 clips to learn from; words of mean 12 and
at most 50, 16 frames, 768 wide), and measures in interleaved rounds of one run: an epoch of each; the ratio beside the one
that counting FLOPs allows; FLOP/s over those of a matrix multiplication; memory; and how an epoch grows from MOSI's size to
MOSEI's. Values are random: scores would say nothing, and none are printed.
"""

import argparse
import copy
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from sadgr.cache.allocator import keep_freed_memory
from sadgr.train.batch import Batch
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.data import Clips, ClipTensors
from sadgr.train.loop import adamw, batches, without_denormals
from sadgr.train.losses import info_nce, total_loss
from sadgr.train.models.protocol import Output
from sadgr.train.models.sadgr import CONTRASTIVE, SADGR

WIDTH, FRAMES, LONGEST, MEAN = 768, 16, 50, 12
MOSI, MOSEI = 1_284, 16_326
"""Clips of their train splits."""


@without_denormals()  # both ways alike
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    keep_freed_memory()  # as sadgr-train does
    torch.set_num_threads(options.threads)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("GPU: NOT RUN (no CUDA device)")
    device = torch.device(options.device)
    if options.grow:
        print(json.dumps(grown(options.grow, device)))
        return
    found = measure(options)
    print(json.dumps(found, indent=1) if options.json else table(found))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure epochs, interleaved; FLOPs; growth."""
    device = torch.device(options.device)
    clips = random_clips(MOSI, device)
    ours, padded = SADGR(ModelConfig()).to(device), SADGR(ModelConfig()).to(device)
    padded.load_state_dict(ours.state_dict())
    steps = {"ours": Trainer(ours, ours), "padded": Trainer(padded, Padded(padded))}
    apart = difference(ours, clips)
    as_written = Trainer(ours, frame_by_frame(ours))
    flops = {name: counted(one, clips) for name, one in {**steps, "eq. 14 as written": as_written}.items()}
    left, right = torch.randn(2048, 2048, device=device), torch.randn(2048, 2048, device=device)
    times: dict[str, list[float]] = {name: [] for name in (*steps, "matmul")}
    for one in steps.values():
        one.epoch(clips, 0)  # warms up
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for name, one in steps.items():
            times[name].append(seconds_of(lambda one=one, number=number: one.epoch(clips, number + 1)))
        times["matmul"].append(min(seconds_of(lambda: left @ right) for _ in range(5)))
    side_by_side = seconds_side_by_side(options) if options.device == "cpu" else None
    growth = []
    for size in (MOSI, MOSEI):
        command = [sys.executable, __file__, "--grow", str(size), "--device", options.device]
        growth.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return {
        "device": options.device,
        "threads": options.threads,
        "seconds": times,
        "ratios": [slow / fast for slow, fast in zip(times["padded"], times["ours"], strict=True)],
        "flops": flops,
        "ceiling_gflops": 2 * 2048**3 / np.median(times["matmul"]) / 1e9,
        "apart": apart,
        "side_by_side": side_by_side,
        "growth": growth,
    }


def random_clips(count: int, device: torch.device) -> Clips:
    """Clips of random features; the number of words falls off geometrically."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.geometric(1 / MEAN, count), 1, LONGEST)
    values = torch.randn(LONGEST, WIDTH)

    def clip(number: int, length: int) -> ClipTensors:
        words = values[:length]
        return ClipTensors(str(number), words, words, values[:FRAMES], values[0], values[1], (True,) * 3, True, (0.5,))

    return Clips([clip(number, int(length)) for number, length in enumerate(lengths)], device)


class Trainer:
    """Trains, epoch by epoch, as `fit` does.

    Args:
        model: Whose parameters learn.
        forward: Computes its outputs.
    """

    def __init__(self, model: SADGR, forward: Callable[[Batch], Any]) -> None:
        self._model, self._forward = model, forward
        self._config = FitConfig()
        self._optimizer = adamw(model, self._config.learning_rate, self._config.weight_decay)

    def epoch(self, clips: Clips, number: int) -> None:
        """Train once over all clips."""
        for rows in batches(len(clips), self._config.batch_size, torch.Generator().manual_seed(number)):
            self.step(clips, rows.numpy())

    def step(self, clips: Clips, rows: np.ndarray) -> None:
        """Train on one batch."""
        batch = clips.batch(rows)
        output = self._forward(batch)
        task = functional.l1_loss(output.prediction, batch.target)
        self._optimizer.zero_grad()
        total_loss(task, output.losses, {CONTRASTIVE: self._config.contrastive_weight}).backward()
        self._optimizer.step()
        self._model.heads.limit_scale()


class Padded(nn.Module):
    """The same model, as it is usually written: every batch padded to 50 words, every step on (B, 50, width)."""

    def __init__(self, model: SADGR) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Any:
        """Predict a batch."""
        model = self.model
        mask = functional.pad(batch.words.mask, (0, LONGEST - batch.words.mask.shape[1]))  # (B, 50)
        text, audio, video = (
            functional.pad(spans.padded(rows), (0, 0, 0, longest - int(spans.lengths.max())))
            for rows, spans, longest in (
                (batch.text, batch.words, LONGEST),
                (batch.audio, batch.words, LONGEST),
                (batch.video, batch.frames, FRAMES),
            )
        )
        words = audio
        text, audio = model.heads(text, audio)
        text, audio = (
            functional.conv1d(
                rows.masked_fill(~mask[..., None], 0.0).mT, conv.weight.permute(1, 2, 0), conv.bias, padding="same"
            ).mT
            for conv, rows in ((model.text_conv, text), (model.audio_conv, audio))
        )
        text = self._attend(text, audio, mask)
        guiding = model.video_attention
        scores = guiding.query(video) @ guiding.key(video).mT / math.sqrt(guiding.key.out_features)
        video = scores.softmax(dim=-1) @ guiding.value(video)
        video = video * model.gate(mean(words, mask))[:, None, :]
        fused = model.fusion(mean(text, mask), mean(audio, mask), video.mean(dim=1))
        losses = {}
        if model.training:
            shared = model.heads(batch.text_mean, batch.audio_mean)
            losses = {CONTRASTIVE: info_nce(*shared, model.heads.logit_scale())}
        return Output(model.head(fused), losses)

    def _attend(self, text: Tensor, audio: Tensor, mask: Tensor) -> Tensor:
        one = self.model.word_attention
        scale = 1 / math.sqrt(text.shape[-1])
        of_text = (one.text_query(text) @ one.text_key(text).mT * scale).relu()
        of_audio = (one.audio_query(audio) @ one.audio_key(audio).mT * scale).relu()
        scores = one.text_weight * of_text + one.audio_weight * of_audio + one.bias
        weights = scores.masked_fill(~mask[:, None, :], -math.inf).softmax(dim=-1)
        return one.norm(text + one.out(weights @ one.text_value(text)))


def frame_by_frame(model: SADGR) -> SADGR:
    """Share a model's weights, with eq. 14's value map on each frame instead of on the clip's mean: what padding alone costs."""
    other = copy.copy(model)
    other._modules = {**model._modules, "video_attention": copy.copy(model.video_attention)}
    attention = other.video_attention
    attention.mean = lambda video, frames: frames.mean(attention(video, frames))
    return other


def mean(rows: Tensor, mask: Tensor) -> Tensor:
    """Average (B, L, D) over valid places."""
    return (rows * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


@torch.no_grad()
def difference(model: SADGR, clips: Clips) -> float:
    """Largest difference of the two ways' predictions: they are one model."""
    model.eval()
    batch = clips.batch(np.arange(64))
    apart = float((model(batch).prediction - Padded(model)(batch).prediction).abs().max())
    model.train()
    return apart


def counted(trainer: Trainer, clips: Clips) -> float:
    """FLOPs of an epoch, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        trainer.epoch(clips, 0)
    return float(counter.get_total_flops())


def grown(size: int, device: torch.device) -> dict[str, float]:
    """Seconds of an epoch over so many clips, the mean over as many as MOSEI's size has steps, and the most memory held."""
    clips = random_clips(size, device)
    model = SADGR(ModelConfig()).to(device)
    trainer = Trainer(model, model)
    trainer.step(clips, np.arange(32))
    epochs = range(round(MOSEI / size))  # as long for each size: a processor is faster for the first seconds
    seconds = seconds_of(lambda: [trainer.epoch(clips, number) for number in epochs]) / len(epochs)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    return {"clips": size, "seconds": seconds, "peak_bytes": peak}


def seconds_side_by_side(options: argparse.Namespace) -> float:
    """Train as many seeds as there are threads at a time, a process and a thread each, as `fit --jobs` does.

    Returns:
        Seconds of an epoch, divided by the number of seeds.
    """
    command = [sys.executable, __file__, "--grow", str(MOSI), "--threads", "1"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(options.threads)]
    told = [json.loads(one.communicate()[0]) for one in running]
    return float(np.mean([one["seconds"] for one in told])) / options.threads


def seconds_of(work: Callable[[], object]) -> float:
    """What the work takes."""
    begun = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def table(found: dict[str, Any]) -> str:
    """One line a figure."""
    seconds, flops = found["seconds"], found["flops"]
    allowed, by_padding = (flops["padded"] / flops[name] for name in ("ours", "eq. 14 as written"))
    ratio = float(np.median(found["ratios"]))
    lines = [f"random features of MOSI's size; {found['device']}, {found['threads']} threads"]
    for name in ("ours", "padded"):
        reached = flops[name] / np.median(seconds[name]) / 1e9
        lines.append(
            f"{name:7} {np.median(seconds[name]):6.2f} s an epoch (range {min(seconds[name]):.2f} to {max(seconds[name]):.2f}), "
            f"{flops[name] / 1e9:.0f} GFLOP, {reached:.0f} GFLOP/s, {100 * reached / found['ceiling_gflops']:.0f} % of the ceiling"
        )
    lines.append(
        f"padded over ours {ratio:.2f} (range {min(found['ratios']):.2f} to {max(found['ratios']):.2f}); counting FLOPs allows "
        f"{allowed:.2f}: {100 * ratio / allowed:.0f} % of that; without padding alone, eq. 14 as it is written, {by_padding:.2f}: "
        f"{100 * ratio / by_padding:.0f} %; predictions differ by {found['apart']:.1e}"
    )
    small, large = found["growth"]
    if found["side_by_side"]:
        faster = small["seconds"] / found["side_by_side"]
        over = np.median(seconds["padded"]) / found["side_by_side"]
        lines.append(
            f"seeds side by side, a thread each: {found['side_by_side']:.2f} s an epoch and seed, {faster:.2f} times as fast as one "
            f"after the other; padded over that {over:.2f}: {100 * over / allowed:.0f} % of what counting FLOPs allows"
        )
    growth = (large["seconds"] / large["clips"]) / (small["seconds"] / small["clips"])
    lines.append(
        f"MOSI {small['seconds']:.2f} s, {small['peak_bytes'] / 1e9:.2f} GB; MOSEI's size {large['seconds']:.2f} s, "
        f"{large['peak_bytes'] / 1e9:.2f} GB: {growth:.2f} times as much for each clip"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
