"""MulT: each modality attends to the two others, layer by layer, without any alignment of their time steps.

Reference: Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences" (ACL 2019), with the settings of
its Table 5 for MOSI. Steps are words for text and audio, frames for video. Left open there, or read in one of two ways:
no attention mask beyond what a clip has (the authors' program hides later steps, by lengths that depend on padding; the
equations hide none); sinusoidal positions are added as eq. 2 says; "block dropout" falls on what attention and feed-forward
give, not on attention's weights. As in the authors' program, what a layer adds to is the sum before its norm, and one norm
follows the last layer; unlike there, all layers of a transformer read their source through one norm.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.sadgr import WordConv
from sadgr.train.models.stacked import FeedForward, Pairing, StackedLinear, StackedNorm
from sadgr.train.models.transformer import placed, require_divides
from sadgr.train.ragged import Spans


@dataclass(frozen=True)
class MulTConfig:
    """Widths and dropout; `d_model` must be a multiple of `heads`."""

    d_model: int = 40
    heads: int = 10
    layers: int = 4
    conv_kernel: int = 3
    text_dropout: float = 0.2
    block_dropout: float = 0.2
    output_dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse heads that do not divide the width, and a kernel that would change a sequence's length."""
        require_divides(self.heads, self.d_model, "d_model")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd to keep a sequence's length, got {self.conv_kernel}")


class Block(nn.Module):
    """Attention, then a feed-forward map of each row; both are added to what comes in (eq. 4)."""

    def __init__(self, stack: int, width: int, config: MulTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.feed_norm = StackedNorm(stack, width)
        self.query, self.out = StackedLinear(stack, width, width), StackedLinear(stack, width, width)
        self.feed_forward = FeedForward(stack, width)
        self.dropout = Dropout(config.block_dropout)

    def forward(
        self, rows: Tensor, normal: Tensor, pairing: Pairing, keys: list[Tensor], values: list[Tensor]
    ) -> Tensor:
        """Map rows (S, R, width), whose norm is `normal`, to rows of the same shape; keys and values as `attend` reads them."""
        attended = self.out(pairing.attend(self.query(normal), keys, values, self.heads))
        rows = self.dropout.added(rows, attended)
        return self.dropout.added(rows, self.feed_forward(self.feed_norm(rows)))


class CrossModal(nn.Module):
    """S transformers, in which rows of one modality ask another's low-level features in each layer (eq. 3, 4).

    Those features stay as they are: one norm serves all layers, whose keys and values are computed at once.
    """

    def __init__(self, stack: int, width: int, config: MulTConfig) -> None:
        super().__init__()
        self.width = width
        self.source_norm = StackedNorm(stack, width)
        self.key_value = StackedLinear(stack, width, width, maps=2 * config.layers)
        self.norms = nn.ModuleList(StackedNorm(stack, width) for _ in range(config.layers))
        self.blocks = nn.ModuleList(Block(stack, width, config) for _ in range(config.layers))
        self.last_norm = StackedNorm(stack, width)

    def forward(self, rows: Tensor, source: Tensor, pairing: Pairing) -> Tensor:
        """Map target rows (S, R, width), which ask source rows (S, Rs, width), to (S, R, width)."""
        known = pairing.gathered(self.key_value(self.source_norm(source)), self.width)
        for norm, block, keys, values in zip(self.norms, self.blocks, known[::2], known[1::2], strict=True):
            rows = block(rows, norm(rows), pairing, keys, values)
        return self.last_norm(rows)  # type: ignore[no-any-return]


class Memory(nn.Module):
    """S transformers over a modality's own rows, of which each clip's last one is asked for."""

    def __init__(self, stack: int, width: int, config: MulTConfig) -> None:
        super().__init__()
        self.width = width
        self.key_value = nn.ModuleList(StackedLinear(stack, width, width, maps=2) for _ in range(config.layers))
        self.norms = nn.ModuleList(StackedNorm(stack, width) for _ in range(config.layers))
        self.blocks = nn.ModuleList(Block(stack, width, config) for _ in range(config.layers))
        self.last_norm = StackedNorm(stack, width)

    def forward(self, rows: Tensor, spans: Spans) -> Tensor:
        """Map rows (S, R, width) to (S, B, width); the last layer computes no other row, since none is read."""
        last = (spans.lengths.cumsum(0) - 1).to(rows.device)
        everywhere, at_last = Pairing(spans, spans), Pairing(Spans.of([1] * len(spans), spans.device), spans)
        left = len(self.blocks)
        for norm, block, key_value in zip(self.norms, self.blocks, self.key_value, strict=True):
            normal, pairing, left = norm(rows), everywhere, left - 1
            known = key_value(normal)
            if not left:
                rows, normal, pairing = rows.index_select(1, last), normal.index_select(1, last), at_last
            keys, values = pairing.gathered(known, self.width)
            rows = block(rows, normal, pairing, keys, values)
        return self.last_norm(rows)  # type: ignore[no-any-return]


class MulT(nn.Module):
    """MulT on cached features. Transformers of one shape are computed side by side: text and audio share their steps."""

    def __init__(self, widths: Widths, config: MulTConfig = MulTConfig()) -> None:
        super().__init__()
        width, kernel = config.d_model, config.conv_kernel
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.text_dropout = Dropout(config.text_dropout)
        self.text_conv = WordConv(widths.d_text, width, kernel)
        self.audio_conv = WordConv(widths.d_audio, width, kernel)
        self.video_conv = WordConv(widths.d_video, width, kernel)
        self.words_ask_words = CrossModal(2, width, config)  # text asks audio, audio asks text
        self.words_ask_frames = CrossModal(2, width, config)  # text and audio ask video
        self.frames_ask_words = CrossModal(2, width, config)  # video asks text and audio
        self.word_memory = Memory(2, 2 * width, config)
        self.frame_memory = Memory(1, 2 * width, config)
        self.hidden, self.residual = nn.Linear(6 * width, 6 * width), nn.Linear(6 * width, 6 * width)
        self.output_dropout = Dropout(config.output_dropout)
        self.head = nn.Linear(6 * width, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        text = placed(self.text_conv(self.text_dropout(text), words), words)  # eq. 1, 2
        audio, video = placed(self.audio_conv(audio, words), words), placed(self.video_conv(video, frames), frames)
        spoken, seen = torch.stack([text, audio]), torch.stack([video, video])  # (2, W, M), (2, F, M)
        of_words = self.words_ask_words(spoken, spoken.flip(0), Pairing(words, words))
        of_frames = self.words_ask_frames(spoken, seen, Pairing(words, frames))
        video_of_words = self.frames_ask_words(seen, spoken, Pairing(frames, words))
        last_word = self.word_memory(torch.cat([of_words, of_frames], dim=2), words)  # (2, B, 2 M)
        last_frame = self.frame_memory(torch.cat([*video_of_words], dim=1)[None], frames)  # (1, B, 2 M)
        joined = torch.cat([*last_word, *last_frame], dim=1)  # (B, 6 M)
        hidden = self.output_dropout(self.hidden(joined).relu())
        return Output(self.head(joined + self.residual(hidden)))
