"""Noise on features and modalities taken away, drawn for each clip from its id alone: the same for every model and seed.

A clip that loses a modality in 10 % of clips loses it in 20 %, too, and noise of 20 % is that of 10 % doubled, so that a
curve over shares shows the share and not the draw.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sadgr.train.batch import Batch
from sadgr.train.data import Clips, ClipTensors
from sadgr.train.modalities import MODALITIES

SEED = 0
CHUNK_CLIPS = 512
Change = Callable[[Batch], Batch]


@dataclass(frozen=True)
class Disturbance:
    """What is done to clips.

    Attributes:
        kind: `noise` adds a share of each feature's own deviation; `missing` takes the modality from a share of the clips.
        modalities: Whose features.
    """

    kind: str
    modalities: tuple[str, ...]

    @property
    def name(self) -> str:
        """For tables."""
        whose = "all" if self.modalities == MODALITIES else ", ".join(self.modalities)
        return f"{self.kind} {whose}"


DISTURBANCES = (
    *(Disturbance("noise", chosen) for chosen in (MODALITIES, *((one,) for one in MODALITIES))),
    *(Disturbance("missing", (one,)) for one in MODALITIES),
)


def without_share(clips: Clips, modality: str, share: float) -> Tensor:
    """Take a modality from a share of clips, but for those that have no other.

    Returns:
        (n, 3) bool: what each clip still has.
    """
    order = torch.tensor([_number(modality, clip_id) / 2**64 for clip_id in clips.ids], dtype=torch.float64).argsort()
    chosen = torch.zeros(len(clips), dtype=torch.bool)
    chosen[order[: round(share * len(clips))]] = True
    stays = clips.present.clone()
    stays[chosen.to(stays.device) & (stays.sum(dim=1) > 1), MODALITIES.index(modality)] = False
    return stays


def draw_noise(clips: Clips) -> Clips:
    """Standard normal numbers in the place of each clip's words and frames, which follow from its id."""
    sample = clips.batch([0])
    widths = [rows.shape[1] for rows in (sample.text, sample.audio, sample.video)]
    drawn = []
    for clip_id, n_words, n_frames in zip(clips.ids, clips.words.tolist(), clips.frames.tolist(), strict=True):
        text, audio, video = (
            torch.randn(length, width, generator=torch.Generator().manual_seed(_number(f"noise {modality}", clip_id)))
            for modality, length, width in zip(MODALITIES, (n_words, n_words, n_frames), widths, strict=True)
        )
        present = (True, True, True)
        drawn.append(ClipTensors(clip_id, text, audio, video, text.mean(dim=0), audio.mean(dim=0), present, True))
    return Clips(drawn, clips.device)


def feature_deviations(clips: Clips) -> dict[str, Tensor]:
    """Standard deviation of each feature over all words or frames of the clips that have the modality, (D,) each."""
    sums: dict[str, Tensor] = {}
    for start in range(0, len(clips), CHUNK_CLIPS):
        batch = clips.batch(np.arange(start, min(start + CHUNK_CLIPS, len(clips))))
        for number, (modality, rows, spans) in enumerate(
            (
                ("text", batch.text, batch.words),
                ("audio", batch.audio, batch.words),
                ("video", batch.video, batch.frames),
            )
        ):
            own = rows[batch.present[spans.owners, number]].double()
            found = torch.stack([torch.ones_like(own).sum(dim=0), own.sum(dim=0), own.square().sum(dim=0)])  # (3, D)
            sums[modality] = sums.get(modality, torch.zeros_like(found)) + found
    deviations = {}
    for modality, (count, total, squares) in sums.items():
        count = count.clamp(min=1)
        deviations[modality] = (squares / count - (total / count).square()).clamp(min=0).sqrt().float()
    return deviations


def add_noise(drawn: Clips, deviations: dict[str, Tensor], modalities: tuple[str, ...], share: float) -> Change:
    """Give what adds a share of the deviation, times what was drawn, to a batch's features."""
    scale = {name: share * one if name in modalities else torch.zeros_like(one) for name, one in deviations.items()}

    def change(batch: Batch) -> Batch:
        noise = drawn.batch(batch.numbers.cpu().numpy())  # in the same order: it is sorted by the same lengths already
        rows = batch.with_rows(
            text=batch.text + scale["text"] * noise.text,
            audio=batch.audio + scale["audio"] * noise.audio,
            video=batch.video + scale["video"] * noise.video,
        )
        return replace(
            rows,
            text_mean=batch.text_mean + scale["text"] * noise.text_mean,
            audio_mean=batch.audio_mean + scale["audio"] * noise.audio_mean,
        )

    return change


def take_away(stays: Tensor) -> Change:
    """Give what leaves each clip of a batch the modalities that it still has, (n, 3) bool."""
    return lambda batch: batch.with_present(stays[batch.numbers])


def clips_with(clips: Clips, modalities: tuple[str, ...]) -> int:
    """Count clips that have one of these modalities."""
    return int(clips.present[:, [MODALITIES.index(one) for one in modalities]].any(dim=1).sum())


def _number(what: str, clip_id: str) -> int:
    """64 bits that follow from the clip alone."""
    return int.from_bytes(hashlib.sha256(f"{SEED}\0{what}\0{clip_id}".encode()).digest()[:8], "big")
