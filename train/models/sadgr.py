"""SADGR: the fine-tuned model of METHOD.md section 3, row by row."""

import torch
from torch import Tensor, nn

from sadgr.train.attention import MaskedMultimodalAttention, VideoSelfAttention
from sadgr.train.batch import Batch
from sadgr.train.config import ModelConfig
from sadgr.train.fusion import Fusion
from sadgr.train.gate import AudioGate, CrossAttention, at_frames
from sadgr.train.heads import ProjectionHeads
from sadgr.train.losses import info_nce
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.ragged import Spans

CONTRASTIVE = "contrastive"
"""L_con of eq. 21, whose weight is lambda."""


class WordConv(nn.Module):
    """Convolution along a clip's words that sees zeros beyond both of its ends (eq. 12-13).

    Attributes:
        weight: (kernel, d_out, d_in), in the order in which it is multiplied: torch's own would be copied at each step.
        bias: (d_out,).
    """

    def __init__(self, d_in: int, d_out: int, kernel: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(kernel, d_out, d_in)), nn.Parameter(torch.empty(d_out))
        for one in (self.weight, self.bias):  # as torch's convolutions begin
            nn.init.uniform_(one, -((kernel * d_in) ** -0.5), (kernel * d_in) ** -0.5)

    def forward(self, rows: Tensor, words: Spans) -> Tensor:
        """Map words (W, d_in) to (W, d_out): one product, whose parts then move to where they are seen from."""
        parts = nn.functional.linear(rows, self.weight.flatten(0, 1)).chunk(len(self.weight), dim=1)  # (W, d_out) each
        middle = len(parts) // 2
        seen = parts[middle] + self.bias
        for place, part in enumerate(parts):
            if place != middle:
                seen = seen + words.shifted(part, middle - place)
        return seen


class SADGR(nn.Module):
    """Heads, convolution, attention, gate and fusion on cached features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.missing = MissingVectors(config.d_text, config.d_audio, config.d_video)
        self.heads = ProjectionHeads(config.d_text, config.d_audio, config.d_shared)
        self.text_conv = WordConv(config.d_shared, config.d_model, config.conv_kernel)
        self.audio_conv = WordConv(config.d_shared, config.d_model, config.conv_kernel)
        self.word_attention = MaskedMultimodalAttention(config.d_model)
        self.video_attention = VideoSelfAttention(config.d_video, config.d_key)
        if config.gate in ("audio", "frames"):
            self.gate = AudioGate(config.d_audio, config.gate_hidden, config.d_video, config.gate_layers)
        elif config.gate == "attention":
            self.cross_attention = CrossAttention(config.d_video, config.d_audio, config.attention_heads)
        self.fusion = Fusion(config.d_model, config.d_model, config.d_video, config.fusion_hidden, config.dropout)
        self.head = nn.Linear(config.fusion_hidden, config.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text_words, audio_words, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        losses: dict[str, Tensor] = {}
        if self.training:
            text, audio, shared = self._with_means(text_words, audio_words, batch)
            losses[CONTRASTIVE] = info_nce(*shared, self.heads.logit_scale())
        else:
            text, audio = self.heads(text_words, audio_words)  # (W, S) each
        text, audio = self.text_conv(text, words), self.audio_conv(audio, words)  # (W, M) each
        text = self.word_attention(text, audio, words)  # (W, M)
        guided, gate = self._guided(video, frames, audio_words, words)  # (B, Dv)
        fused = self.fusion(words.mean(text), words.mean(audio), guided)  # (B, fusion_hidden)
        return Output(self.head(fused), losses, gate)  # head: eq. 20

    def _with_means(self, text: Tensor, audio: Tensor, batch: Batch) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Project words, (W, S) each, and, for L_con, the means of the P clips that have both, (P, S) each.

        Each head takes both in one product: a second one over so few rows costs a quarter of the first, and its gradient as much.
        """
        means = batch.text_mean[batch.paired], batch.audio_mean[batch.paired]
        rows = [torch.cat([words, mean]) for words, mean in zip((text, audio), means, strict=True)]
        (text, text_mean), (audio, audio_mean) = (one.split([len(text), len(means[0])]) for one in self.heads(*rows))
        return text, audio, (text_mean, audio_mean)

    def _guided(self, video: Tensor, frames: Spans, audio: Tensor, words: Spans) -> tuple[Tensor, Tensor | None]:
        """Return each clip's video as its audio lets it pass, averaged over frames, (B, Dv), and the gate."""
        if self.config.gate == "audio":
            gate = self.gate(words.mean(audio))  # (B, Dv), eq. 15-17
            # One gate for all frames of a clip: the mean of modulated frames (eq. 18) is the modulated mean.
            return self.video_attention.mean(video, frames) * gate, gate
        if self.config.gate == "none":
            return self.video_attention.mean(video, frames), None
        enriched = self.video_attention(video, frames)  # (F, Dv)
        if self.config.gate == "attention":
            return frames.mean(self.cross_attention(enriched, audio, frames, words)), None
        gate = self.gate(at_frames(audio, words, frames))  # (F, Dv)
        return frames.mean(enriched * gate), gate
