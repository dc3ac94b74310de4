"""SADGR: the fine-tuned model of METHOD.md section 3, row by row."""

import torch
from torch import Tensor, nn

from sadgr.train.attention import MaskedMultimodalAttention, VideoSelfAttention
from sadgr.train.config import ModelConfig
from sadgr.train.data import Batch
from sadgr.train.fusion import Fusion
from sadgr.train.gate import AudioGate, CrossAttention, at_frames
from sadgr.train.heads import ProjectionHeads
from sadgr.train.losses import info_nce
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.ragged import Spans

CONTRASTIVE = "contrastive"
"""L_con of eq. 21, whose weight is lambda."""


class WordConv(nn.Module):
    """Convolution along a clip's words that sees zeros beyond both of its ends (eq. 12-13)."""

    def __init__(self, d_in: int, d_out: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(d_in, d_out, kernel, padding=kernel // 2)

    def forward(self, rows: Tensor, words: Spans) -> Tensor:
        """Map words (W, d_in) to (W, d_out): one product, whose parts then move to where they are seen from."""
        weight = self.conv.weight.permute(2, 0, 1).flatten(0, 1)  # (kernel * d_out, d_in)
        parts = nn.functional.linear(rows, weight).chunk(self.conv.kernel_size[0], dim=1)  # (W, d_out) each
        middle = len(parts) // 2
        moved = [words.shifted(part, middle - place) for place, part in enumerate(parts)]
        return torch.stack(moved).sum(dim=0) + self.conv.bias  # type: ignore[operator]  # it has a bias


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
        text, audio = self.heads(text_words, audio_words)  # (W, S) each
        text, audio = self.text_conv(text, words), self.audio_conv(audio, words)  # (W, M) each
        text = self.word_attention(text, audio, words)  # (W, M)
        guided, gate = self._guided(video, frames, audio_words, words)  # (B, Dv)
        fused = self.fusion(words.mean(text), words.mean(audio), guided)  # (B, fusion_hidden)
        losses = {CONTRASTIVE: info_nce(*self.shared(batch), self.heads.logit_scale())} if self.training else {}
        return Output(self.head(fused), losses, gate)  # head: eq. 20

    def shared(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Project the means of the P clips that have both, for L_con: text and audio, (P, S) each."""
        return self.heads(batch.text_mean[batch.paired], batch.audio_mean[batch.paired])  # type: ignore[no-any-return]

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
