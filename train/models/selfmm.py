"""Self-MM: a multimodal task, and one of each modality whose labels the model makes itself.

Reference: Yu, Xu, Yuan and Wu, "Learning Modality-Specific Representations with Self-Supervised Multi-Task Learning for
Multimodal Sentiment Analysis" (AAAI 2021); widths and dropout are the authors' for MOSI. Two things differ: BERT is not
tuned, so that the text's vector is the mean of cached words instead of a tuned [CLS]; and all parts learn at one rate.
"""

from dataclasses import dataclass

import torch
from torch import nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.errors import TrainError
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import final_state
from sadgr.train.models.unimodal import UNIMODAL, LabelGeneration, Task, unimodal_loss


@dataclass(frozen=True)
class SelfMMConfig:
    """Widths, and dropout of the vectors that the tasks begin with. Text keeps its encoder's width."""

    audio_hidden: int = 16
    video_hidden: int = 32
    d_audio: int = 16
    d_video: int = 32
    fused_hidden: int = 128
    text_task_hidden: int = 32
    audio_task_hidden: int = 16
    video_task_hidden: int = 32
    fused_dropout: float = 0.0
    text_dropout: float = 0.1
    audio_dropout: float = 0.1
    video_dropout: float = 0.0


class SelfMM(nn.Module):
    """Self-MM on cached features, for regression alone: labels are moved along a scale, which classes do not have.

    Raises:
        TrainError: Another task.
    """

    def __init__(self, widths: Widths, config: SelfMMConfig = SelfMMConfig()) -> None:
        super().__init__()
        if widths.task != "regression":
            raise TrainError(
                f"selfmm moves labels along a scale and learns regression alone, not {widths.task}: choose a target that is "
                "a number, with --task regression, or another model"
            )
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.audio_lstm = nn.LSTM(widths.d_audio, config.audio_hidden)
        self.video_lstm = nn.LSTM(widths.d_video, config.video_hidden)
        self.audio_map = nn.Linear(config.audio_hidden, config.d_audio)
        self.video_map = nn.Linear(config.video_hidden, config.d_video)
        d_fused = widths.d_text + config.d_audio + config.d_video
        hidden = (config.fused_hidden, config.text_task_hidden, config.audio_task_hidden, config.video_task_hidden)
        dropout = (config.fused_dropout, config.text_dropout, config.audio_dropout, config.video_dropout)
        inputs = (d_fused, widths.d_text, config.d_audio, config.d_video)
        self.tasks = nn.ModuleList(
            Task(d_in, one, widths.n_outputs, rate) for d_in, one, rate in zip(inputs, hidden, dropout, strict=True)
        )
        self.generation = LabelGeneration(widths.n_train, *hidden)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips; in training mode, make its clips' labels, too."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        singles = (
            words.mean(text),
            self.audio_map(final_state(self.audio_lstm, audio, words)),
            self.video_map(final_state(self.video_lstm, video, frames)),
        )
        fused, *tasks = self.tasks
        if not self.training:
            return Output(fused(torch.cat(singles, dim=1))[1])
        found = [fused(torch.cat(singles, dim=1)), *(task(one) for task, one in zip(tasks, singles, strict=True))]
        vectors, predictions = zip(*found, strict=True)
        labels = self.generation(batch.numbers, batch.target)  # (B, 4)
        losses = {UNIMODAL: unimodal_loss(torch.cat(predictions[1:], dim=1), labels, batch.present)}
        self.generation.update(batch.numbers, batch.target, batch.present, vectors)
        return Output(predictions[0], losses)
