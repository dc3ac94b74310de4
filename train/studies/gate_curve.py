"""Fig. 5: the gate over time in one clip.

Equations 15 to 18 give one gate a clip. A curve is drawn by pooling the clip's audio words in a sliding window instead of
over the whole clip, and putting that through the same layers; in a window as long as the clip it is the model's own gate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sadgr.cache.store import WordTimes
from sadgr.train.data import collate
from sadgr.train.errors import TrainError
from sadgr.train.models.sadgr import SADGR
from sadgr.train.studies.defaults import WINDOW_SECONDS
from sadgr.train.studies.timed_clip import TimedClip

STEPS_PER_WINDOW = 20
"""Points of the curve in one width of the window: what lies between them shares most of its audio with its neighbours."""
CHUNK = 512
SHORTEST_WINDOW_SECONDS = 0.02
"""From one audio frame to the next: words are known no finer."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GateCurve:
    """The gate at T times of a clip; NaN where no word is in the window.

    Attributes:
        window_seconds: Width of the window.
        seconds: (T,) its middles. Near the clip's ends the window stays inside the clip.
        mean: (T,) mean over the gate's dimensions, and over seeds.
        low: (T,) lowest of the seeds' means.
        high: (T,) highest.
        lower_quartile: (T,) quarter of the gate's dimensions are below it; mean over seeds.
        upper_quartile: (T,) quarter are above.
        clip_gate: What the model itself uses: the mean over dimensions of the one gate of eq. 17; mean over seeds.
        clip_low: Lowest of the seeds.
        clip_high: Highest.
    """

    window_seconds: float
    seconds: Floats
    mean: Floats
    low: Floats
    high: Floats
    lower_quartile: Floats
    upper_quartile: Floats
    clip_gate: float
    clip_low: float
    clip_high: float


@torch.no_grad()
def gate_curve(models: Sequence[nn.Module], clip: TimedClip, window_seconds: float = WINDOW_SECONDS) -> GateCurve:
    """Compute the gate over time.

    Args:
        models: One of each seed, on the CPU, in evaluation mode.
        clip: With word times.
        window_seconds: Width of the window.

    Raises:
        TrainError: A model without audio gate, or a window shorter than an audio frame.
    """
    if not window_seconds >= SHORTEST_WINDOW_SECONDS:
        raise TrainError(f"a window holds at least one audio frame, {SHORTEST_WINDOW_SECONDS} s; got {window_seconds}")
    gated = [require_audio_gate(model) for model in models]
    steps = max(1, int(np.ceil(clip.seconds / window_seconds * STEPS_PER_WINDOW)))
    middles = np.linspace(0.0, clip.seconds, steps + 1)
    found = np.stack([_over_time(model, clip, middles, window_seconds) for model in gated])  # (seeds, 3, T)
    own = [float(model(collate([clip.tensors])).gate.mean()) for model in gated]
    means = found[:, 0]
    return GateCurve(
        window_seconds=window_seconds,
        seconds=middles,
        mean=means.mean(axis=0),
        low=means.min(axis=0),
        high=means.max(axis=0),
        lower_quartile=found[:, 1].mean(axis=0),
        upper_quartile=found[:, 2].mean(axis=0),
        clip_gate=float(np.mean(own)),
        clip_low=min(own),
        clip_high=max(own),
    )


def require_audio_gate(model: nn.Module) -> SADGR:
    """Refuse a model that has no one gate a clip from audio."""
    if not isinstance(model, SADGR) or model.config.gate != "audio":
        kind = f"--gate {model.config.gate}" if isinstance(model, SADGR) else type(model).__name__
        raise TrainError(
            f"the run's model has no audio gate a clip ({kind}): give a run of sadgr-train fit --gate audio"
        )
    return model


def window_shares(words: WordTimes, middles: Floats, window_seconds: float, clip_seconds: float) -> Floats:
    """Tell how much of each word is in each window.

    A word counts by the share of it that is inside, not by its length: in a window over the whole clip all words then count
    alike, as in eq. 15.

    Args:
        words: N words with times.
        middles: (T,) of the windows; near the clip's ends a window is moved inside.
        window_seconds: Their width.
        clip_seconds: The clip's length.

    Returns:
        (T, N) in [0, 1].
    """
    begin = np.clip(middles - window_seconds / 2, 0.0, max(clip_seconds - window_seconds, 0.0))[:, None]  # (T, 1)
    end = begin + window_seconds
    inside = np.minimum(words.end, end) - np.maximum(words.start, begin)  # (T, N)
    length = words.end - words.start
    touched = (words.start >= begin) & (words.start <= end)  # of a word without length, all or nothing
    return np.where(length > 0, np.clip(inside / np.where(length > 0, length, 1.0), 0.0, 1.0), touched)


def _over_time(model: SADGR, clip: TimedClip, middles: Floats, window_seconds: float) -> Floats:
    """Mean and quartiles over the gate's dimensions, (3, T); NaN where the window holds no word."""
    parts = []
    for start in range(0, len(middles), CHUNK):
        shares = window_shares(clip.words, middles[start : start + CHUNK], window_seconds, clip.seconds)
        total = shares.sum(axis=1, keepdims=True)  # (T, 1)
        weights = torch.from_numpy(shares / np.where(total > 0, total, 1.0)).to(clip.tensors.audio.dtype)
        gates: Tensor = model.gate(weights @ clip.tensors.audio)  # (T, Dv), eq. 16-17
        quartiles = torch.quantile(gates, torch.tensor([0.25, 0.75], dtype=gates.dtype), dim=1)  # (2, T)
        values = torch.cat([gates.mean(dim=1)[None], quartiles]).double().numpy()
        parts.append(np.where(total[:, 0] > 0, values, np.nan))
    return np.concatenate(parts, axis=1)
