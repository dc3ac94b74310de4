"""SADGR: the fine-tuned model of METHOD.md section 3, row by row."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.attention import MaskedMultimodalAttention, VideoSelfAttention
from sadgr.train.config import ModelConfig
from sadgr.train.data import Batch
from sadgr.train.fusion import Fusion, masked_mean
from sadgr.train.gate import AudioGate, modulate
from sadgr.train.heads import ProjectionHeads


@dataclass(frozen=True)
class Output:
    """What the model says about a batch.

    Attributes:
        prediction: (B, n_outputs).
        gate: (B, Dv) in [0, 1].
        text_shared: (P, S) projected text means of the P clips that have both means, for L_con.
        audio_shared: (P, S) projected audio means of the same clips.
        logit_scale: Scalar 1 / tau.
    """

    prediction: Tensor
    gate: Tensor
    text_shared: Tensor
    audio_shared: Tensor
    logit_scale: Tensor


class WordConv(nn.Module):
    """Convolution along the words that sees zeros at padding, as it does beyond both ends (eq. 12-13)."""

    def __init__(self, d_in: int, d_out: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(d_in, d_out, kernel, padding=kernel // 2)

    def forward(self, words: Tensor, word_mask: Tensor) -> Tensor:
        """Map (B, N, d_in) to (B, N, d_out); word_mask (B, N) bool, True = valid."""
        visible = words.masked_fill(~word_mask[..., None], 0.0)
        return self.conv(visible.mT).mT  # type: ignore[no-any-return]  # Conv1d wants (B, d_in, N)


class MissingVectors(nn.Module):
    """Learned stand-ins, one of each encoder's width, for modalities that a clip does not have."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.vectors = nn.ParameterList(nn.Parameter(0.02 * torch.randn(width)) for width in widths)

    def forward(self, present: Tensor, *sequences: Tensor) -> list[Tensor]:
        """Replace rows of absent modalities.

        Args:
            present: (B, len(sequences)) bool.
            sequences: (B, L, D) each.

        Returns:
            The sequences with the learned vector at each position of a clip that lacks the modality.
        """
        pairs = zip(sequences, self.vectors, strict=True)
        return [torch.where(present[:, i, None, None], rows, vector) for i, (rows, vector) in enumerate(pairs)]


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
        self.gate = AudioGate(config.d_audio, config.gate_hidden, config.d_video)
        self.fusion = Fusion(config.d_model, config.d_model, config.d_video, config.fusion_hidden, config.dropout)
        self.head = nn.Linear(config.fusion_hidden, config.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips; padding has no influence on any clip's row."""
        text_words, audio_words, frames = self.missing(batch.present, batch.text, batch.audio, batch.video)
        text, audio = self.heads(text_words, audio_words)  # (B, N, S) each
        text, audio = self.text_conv(text, batch.word_mask), self.audio_conv(audio, batch.word_mask)  # (B, N, M)
        text = self.word_attention(text, audio, batch.word_mask)  # (B, N, M)
        gate = self.gate(audio_words, batch.word_mask)  # (B, Dv)
        video = modulate(self.video_attention(frames, batch.frame_mask), gate)  # (B, Lv, Dv)
        fused = self.fusion(
            masked_mean(text, batch.word_mask),
            masked_mean(audio, batch.word_mask),
            masked_mean(video, batch.frame_mask),
        )  # (B, fusion_hidden)
        text_shared, audio_shared = self.heads(batch.text_mean[batch.paired], batch.audio_mean[batch.paired])
        return Output(self.head(fused), gate, text_shared, audio_shared, self.heads.logit_scale())  # head: eq. 20
