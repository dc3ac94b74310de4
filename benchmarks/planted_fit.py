"""One model on planted clips: how well it does, and what became of its gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sadgr.train.batch import Batch
from sadgr.train.config import FitConfig, Gate, ModelConfig
from sadgr.train.data import Clips
from sadgr.train.fit import fit
from sadgr.train.gather import FitData
from sadgr.train.models.sadgr import SADGR

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Variant:
    """The full model, but for what is named here.

    Attributes:
        pretrained: whether the heads begin pretrained.
        contrastive: whether L_con is part of the loss.
        gate: what guides the video.
        sees: which of text, audio and video there is, in training and after; a learned vector stands in for the others.
    """

    pretrained: bool = True
    contrastive: bool = True
    gate: Gate = "audio"
    sees: tuple[bool, bool, bool] = (True, True, True)


class Seen(Clips):
    """The same clips as if none had more than these modalities."""

    def __init__(self, clips: Clips, sees: tuple[bool, bool, bool]) -> None:
        vars(self).update(vars(clips))
        self._sees = torch.tensor(sees)

    def batch(self, chosen: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Give some clips, as `Clips` does."""
        batch = super().batch(chosen)
        return batch.with_present(batch.present & self._sees)


def fitted(
    variant: Variant,
    data: FitData,
    honest: Array,
    model: ModelConfig,
    config: FitConfig,
    heads: Mapping[str, Tensor],
    folder: Path,
) -> dict[str, float]:
    """Fit one model with one seed and look at the test split.

    Args:
        variant: What differs from the full model.
        data: Labelled clips.
        honest: (n,) 1 where a test clip's face is honest, 0 where it is not.
        model: The full model's settings; widths of features and outputs are filled in.
        config: The full model's training, and the seed.
        heads: Pretrained heads, for variants that have them.
        folder: For its weights.

    Returns:
        `MAE`; `gate` and `passed`, where there is a gate on video: correlations of `honest` with the gate's mean over
        dimensions, and with the share of the video's norm that it lets pass; `leak`, where there is video: how far predictions
        move when the face is turned into its opposite, on average over lying clips, divided by the same over honest ones.
    """
    d_text, d_audio, d_video = data.widths
    filled = replace(model, d_text=d_text, d_audio=d_audio, d_video=d_video, n_outputs=1, gate=variant.gate)
    if not variant.contrastive:
        config = replace(config, contrastive_weight=0.0)
    built: list[SADGR] = []

    def build() -> SADGR:
        built.append(SADGR(filled))
        return built[0]

    seen = replace(data, splits={split: Seen(clips, variant.sees) for split, clips in data.splits.items()})
    result = fit(seen, build, config, folder, lambda: False, lambda line: None, heads if variant.pretrained else None)
    error = result.metrics["test"]["MAE"]
    if error is None:
        raise ValueError("no test clip to score: give the generator some")
    found = {"MAE": float(error)}
    if variant.sees[2]:
        found |= gate_figures(built[0], seen.splits["test"], honest)
    return found


@torch.no_grad()
def gate_figures(model: SADGR, clips: Clips, honest: Array) -> dict[str, float]:
    """Hold the gate of a fitted model, in evaluation mode, against honesty, (n,); see `fitted`."""
    batch = clips.batch(range(len(clips)))
    truth = honest[batch.numbers.numpy()]  # a batch has an order of its own
    output = model(batch)
    opposite = model(batch.with_rows(video=-batch.video))
    moved = (output.prediction - opposite.prediction)[:, 0].abs().numpy()
    found = {"leak": float(moved[truth == 0].mean() / moved[truth == 1].mean())}
    if output.gate is None:
        return found
    of_frames = len(output.gate) == len(batch.video)
    gate = output.gate if of_frames else batch.frames.spread(output.gate)  # (F, Dv)
    video = model.video_attention(batch.video, batch.frames)  # (F, Dv)
    passed = batch.frames.mean(video * gate).norm(dim=1) / batch.frames.mean(video).norm(dim=1)
    mean = batch.frames.mean(gate).mean(dim=1)
    return found | {"gate": _correlation(mean, truth), "passed": _correlation(passed, truth)}


def _correlation(values: Tensor, truth: Array) -> float:
    return float(np.corrcoef(values.double().numpy(), truth)[0, 1])
