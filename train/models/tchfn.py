"""TCHFN, Text-Centric Hierarchical Fusion Network, as far as it is known without its text.

Reference: Hou, Omar, Tiun, Saad and He, "TCHFN: Multimodal sentiment analysis based on text-centric hierarchical fusion
network" (Knowledge-Based Systems 300, 2024). Neither its text nor a program of its authors was to be had: what is followed is
its title and what SADGR's paper says of it, which is text at the centre, enhanced by the other modalities; a hierarchy of
fusions; text-centric contrastive learning (TCCL in Table 5); and knowledge distillation. All else was chosen here, sizes
included, so that a result of it says little about the published model:

- low level: text's words ask sound's, and frames, in a transformer layer each;
- middle level: words and both enhanced ones, joined word by word, ask one another in a transformer layer;
- high level: the means of what came out, of sound and of frames, joined, in a small network;
- contrast: InfoNCE of a clip's text with its sound, and with its sight, against the other clips of the batch;
- distillation: heads on the two low-level vectors learn the high level's logits, which learn nothing from them (mean squared
  error of logits: Ba and Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014).

BERT is not tuned: text is the cached words.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.losses import info_nce
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.stacked import Pairing
from sadgr.train.models.transformer import TransformerLayer, placed, require_divides

CONTRAST, DISTILLATION = "contrast", "distillation"


@dataclass(frozen=True)
class TCHFNConfig:
    """Width, heads and dropout of all levels; the contrast's temperature; weights of both losses."""

    d_model: int = 128
    heads: int = 4
    dropout: float = 0.1
    temperature: float = 0.07
    contrast_weight: float = 0.1
    distillation_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuse heads that do not divide the width."""
        require_divides(self.heads, self.d_model, "d_model")


class TCHFN(nn.Module):
    """Three levels of fusion around text, on cached features."""

    def __init__(self, widths: Widths, config: TCHFNConfig = TCHFNConfig()) -> None:
        super().__init__()
        width = config.d_model
        self.config = config
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.project = nn.ModuleList(nn.Linear(d_in, width) for d_in in (widths.d_text, widths.d_audio, widths.d_video))
        self.text_asks_audio = TransformerLayer(width, config.heads, config.dropout)
        self.text_asks_video = TransformerLayer(width, config.heads, config.dropout)
        self.join = nn.Linear(3 * width, width)
        self.middle = TransformerLayer(width, config.heads, config.dropout)
        self.hidden = nn.Linear(3 * width, width)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(width, widths.n_outputs)
        self.students = nn.ModuleList(nn.Linear(width, widths.n_outputs) for _ in range(2))

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        rows = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        text, audio, video = (project(one) for project, one in zip(self.project, rows, strict=True))
        singles = words.mean(text), words.mean(audio), frames.mean(video)  # (B, M) each
        text, audio, video = placed(text, words), placed(audio, words), placed(video, frames)
        in_words = Pairing(words, words)
        heard = self.text_asks_audio(text, audio, in_words)  # (W, M)
        seen = self.text_asks_video(text, video, Pairing(words, frames))
        joined = self.join(torch.cat([text, heard, seen], dim=1))
        around = words.mean(self.middle(joined, joined, in_words))  # (B, M)
        hidden = self.hidden(torch.cat([around, *singles[1:]], dim=1)).relu()
        prediction = self.head(self.dropout(hidden))
        if not self.training:
            return Output(prediction)
        students = [
            student(words.mean(one)) for student, one in zip(self.students, (heard, seen), strict=True)
        ]  # (B, O) each
        losses = {
            CONTRAST: self.config.contrast_weight * contrast(singles, batch.present, self.config.temperature),
            DISTILLATION: self.config.distillation_weight * distillation(students, prediction),
        }
        return Output(prediction, losses)


def contrast(singles: tuple[Tensor, Tensor, Tensor], present: Tensor, temperature: float) -> Tensor:
    """Contrast text (B, M) with audio and with video, each over the clips that have both; (B, 3) bool says which."""
    text, *others = singles
    scale = text.new_tensor(1 / temperature)
    both = [present[:, 0] & present[:, number] for number in (1, 2)]
    return torch.stack([info_nce(text[has], one[has], scale) for has, one in zip(both, others, strict=True)]).sum()


def distillation(students: list[Tensor], teacher: Tensor) -> Tensor:
    """Mean squared distance of students' logits from the teacher's, (B, O) each; the teacher learns nothing from it."""
    return torch.stack([functional.mse_loss(student, teacher.detach()) for student in students]).mean()
