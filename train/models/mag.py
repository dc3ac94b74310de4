"""MAG-BERT: a gate adapts BERT's words to what is heard and seen while they are said.

Reference: Rahman, Hasan, Lee, Zadeh, Mao, Morency and Hoque, "Integrating Multimodal Information in Large Pretrained
Transformers" (ACL 2020); beta and dropout are the defaults of the authors' program.

There the gate stands inside BERT, whose layers above it are tuned. Here BERT is not tuned and its last layer is what the
cache holds: the gate adapts those words, and one transformer layer, learned from nothing and narrower than BERT's, takes the
place of the layers above. The words know their places already, so that no positions are added; a clip's vector is the mean of
its words, followed by a map and tanh as in BERT's pooler, instead of [CLS]. Frames come to words as `parts.at_words` says.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.parts import at_words
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.raven import shifted
from sadgr.train.models.stacked import Pairing
from sadgr.train.models.transformer import TransformerLayer, require_divides


@dataclass(frozen=True)
class MAGConfig:
    """How long a shift may be, beta; dropout after the gate; width, heads and dropout of the layer above."""

    beta: float = 1.0
    gate_dropout: float = 0.5
    d_model: int = 256
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse heads that do not divide the width."""
        require_divides(self.heads, self.d_model, "d_model")


class AdaptationGate(nn.Module):
    """Multimodal Adaptation Gate: words Z, sound A and sight V, word by word.

    g_v = relu(W_gv [Z; V] + b_v), g_a = relu(W_ga [Z; A] + b_a), H = g_a (W_a A) + g_v (W_v V) + b_H, and Z moves by H as far
    as in `raven.shifted`; then a norm and dropout. Maps of the same rows are computed in one product, so that a gate's matrix
    stands in two parts.
    """

    def __init__(self, d_text: int, d_audio: int, d_video: int, beta: float, dropout: float) -> None:
        super().__init__()
        self.beta = beta
        self.text = nn.Linear(d_text, 2 * d_text)  # the words' part of both gates, and b_a and b_v
        self.audio = nn.Linear(d_audio, 2 * d_text, bias=False)  # the sound's part of its gate, and W_a
        self.video = nn.Linear(d_video, 2 * d_text, bias=False)
        self.bias = nn.Parameter(torch.zeros(d_text))
        self.norm = nn.LayerNorm(d_text)
        self.dropout = Dropout(dropout)

    def shift(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        """Give H, (W, Dt), of words (W, Dt), (W, Da) and (W, Dv)."""
        for_audio, for_video = self.text(text).chunk(2, dim=1)
        audio_gate, audio = self.audio(audio).chunk(2, dim=1)
        video_gate, video = self.video(video).chunk(2, dim=1)
        heard: Tensor = (for_audio + audio_gate).relu() * audio
        seen: Tensor = (for_video + video_gate).relu() * video
        return heard + seen + self.bias

    def forward(self, text: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        """Give the adapted words, (W, Dt)."""
        moved = shifted(text, self.shift(text, audio, video), self.beta)
        return self.dropout(self.norm(moved))  # type: ignore[no-any-return]  # torch: __call__ is Any


class MAG(nn.Module):
    """The gate, one transformer layer and a pooler on cached features."""

    def __init__(self, widths: Widths, config: MAGConfig = MAGConfig()) -> None:
        super().__init__()
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.gate = AdaptationGate(widths.d_text, widths.d_audio, widths.d_video, config.beta, config.gate_dropout)
        self.project = nn.Linear(widths.d_text, config.d_model)
        self.layer = TransformerLayer(config.d_model, config.heads, config.dropout)
        self.pooler = nn.Linear(config.d_model, config.d_model)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(config.d_model, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        adapted = self.project(self.gate(text, audio, at_words(video, frames, words)))  # (W, M)
        above = self.layer(adapted, adapted, Pairing(words, words))
        pooled = self.pooler(words.mean(above)).tanh()  # (B, M)
        return Output(self.head(self.dropout(pooled)))
