"""TFN, Tensor Fusion Network, over cached features.

Reference: Zadeh, Chen, Poria, Cambria and Morency, "Tensor Fusion Network for Multimodal Sentiment Analysis" (EMNLP 2017).

Three networks embed the modalities; the outer product of the embeddings, each with a 1 put in front, holds every product of
one, two or three of their entries; a network of two layers reads it.

Where the paper is open or another choice was made: the text network is one LSTM over the words whose last output goes
through two ReLU layers; dropout acts on what enters each network, and between the reader's two layers; the
prediction is plain linear, where the paper squeezes regression into [-3, 3] by a sigmoid, so that one output layer serves
regression, classes and labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.modalities import AUDIO, VIDEO
from sadgr.train.models.parts import Layers, row_a_clip
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import final_state


@dataclass(frozen=True)
class TFNConfig:
    """Settings: units of the LSTM, of the three embeddings and of the reader's two layers; defaults are the paper's."""

    lstm_hidden: int = 128
    text_hidden: int = 128
    audio_hidden: int = 32
    video_hidden: int = 32
    fusion_hidden: int = 128
    dropout: float = 0.15


class Embeddings(nn.Module):
    """Modality embedding subnetworks (section 4.1): a clip's words, audio mean and video mean to one vector each."""

    def __init__(
        self, widths: Widths, lstm_hidden: int, text_hidden: int, audio_hidden: int, video_hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.lstm = nn.LSTM(widths.d_text, lstm_hidden)
        self.text = Layers(lstm_hidden, text_hidden, text_hidden, dropout=dropout)
        self.audio = Layers(widths.d_audio, audio_hidden, audio_hidden, audio_hidden, dropout=dropout)
        self.video = Layers(widths.d_video, video_hidden, video_hidden, video_hidden, dropout=dropout)

    def forward(self, batch: Batch) -> list[Tensor]:
        """Give z_text, z_audio and z_video, (B, 1 + units) each: a 1, then the embedding."""
        clips, audio, video = row_a_clip(batch), batch.features.mean(AUDIO), batch.features.mean(VIDEO)
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, batch.words), (audio, clips), (video, clips)
        )
        last = final_state(self.lstm, text, batch.words)  # (B, lstm_hidden)
        embedded = self.text(last), self.audio(audio), self.video(video)
        return [functional.pad(one, (1, 0), value=1.0) for one in embedded]


class TensorFusion(nn.Module):
    """A linear map of the outer product of three vectors (section 4.2).

    The product has as many entries as the three have together, multiplied. Each is a text entry times an entry of the outer
    product of audio and video alone; so that product meets the weights first, and text what comes of it: the same numbers,
    without a tensor of T * A * V entries a clip, which would be the largest thing here and is needed for nothing else.

    Args:
        widths: T, A and V, of the vectors.
        n_outputs: O.
    """

    def __init__(self, widths: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__()
        text, audio, video = widths
        self.weight = nn.Parameter(torch.empty(audio * video, n_outputs, text))
        self.bias = nn.Parameter(torch.empty(n_outputs))
        for one in (self.weight, self.bias):  # as torch's linear maps begin
            nn.init.uniform_(one, -((text * audio * video) ** -0.5), (text * audio * video) ** -0.5)

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        """Map (B, T), (B, A) and (B, V) to (B, O)."""
        pairs = (audio[:, :, None] * video[:, None, :]).flatten(1)  # (B, A * V)
        of_text = (pairs @ self.weight.flatten(1)).view(len(text), *self.weight.shape[1:])  # (B, O, T)
        return (of_text @ text[:, :, None])[:, :, 0] + self.bias


class TFN(nn.Module):
    """Tensor fusion of three embeddings."""

    def __init__(self, widths: Widths, config: TFNConfig = TFNConfig()) -> None:
        super().__init__()
        c = config
        self.embeddings = Embeddings(
            widths, c.lstm_hidden, c.text_hidden, c.audio_hidden, c.video_hidden, dropout=c.dropout
        )
        units = (c.text_hidden + 1, c.audio_hidden + 1, c.video_hidden + 1)
        self.fusion = TensorFusion(units, c.fusion_hidden)
        self.inference = Layers(c.fusion_hidden, c.fusion_hidden, dropout=c.dropout)
        self.head = nn.Linear(c.fusion_hidden, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        fused = self.fusion(*self.embeddings(batch)).relu()  # (B, fusion_hidden)
        return Output(self.head(self.inference(fused)))  # section 4.3
