"""TETFN, Text Enhanced Transformer Fusion Network: sound and sight ask each other through what text makes of them.

Reference: Wang, Guo, Tian, Liu, He and Luo, "TETFN: A text enhanced transformer fusion network for multimodal sentiment
analysis" (Pattern Recognition 136, 2023); widths, layers and dropout are those that MMSA publishes for MOSI. The labels of
single modalities are Self-MM's (`unimodal.py`), as in the paper.

BERT is not tuned: text is the cached words. As in `mult.py`, whose transformers these are, no step is hidden from another,
positions are added once to what enters them, and all layers of a transformer read their source through one norm; one rate
of dropout serves what attention and feed-forward give. All parts learn at one rate.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.errors import TrainError
from sadgr.train.models.mult import CrossModal, Memory, MulTConfig
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import all_states
from sadgr.train.models.sadgr import WordConv
from sadgr.train.models.stacked import Pairing
from sadgr.train.models.transformer import highest, placed
from sadgr.train.models.unimodal import UNIMODAL, LabelGeneration, Task, unimodal_loss


@dataclass(frozen=True)
class TETFNConfig:
    """Widths, and dropout; `d_model` must be a multiple of `heads`. `layers` are those of all transformers but the first one."""

    audio_hidden: int = 16
    video_hidden: int = 64
    d_model: int = 50
    heads: int = 5
    layers: int = 2
    conv_kernel: int = 1
    fused_hidden: int = 64
    text_task_hidden: int = 32
    audio_task_hidden: int = 32
    video_task_hidden: int = 16
    block_dropout: float = 0.1
    task_dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse heads that do not divide the width, and a kernel that would change a sequence's length."""
        self.transformers(self.layers)

    def transformers(self, layers: int) -> MulTConfig:
        """Say what transformers of so many layers are like."""
        return MulTConfig(
            self.d_model, self.heads, layers, conv_kernel=self.conv_kernel, block_dropout=self.block_dropout
        )


class TextEnhanced(nn.Module):
    """The six pairs of modalities: text asks the others and they ask it; sound and sight ask each other through text.

    What sound asks of sight is not sight's rows but what these, one layer before, made of text by asking it; and the other way
    round (the paper's text-oriented attention). Transformers of one shape are computed side by side, as in MulT.
    """

    def __init__(self, config: TETFNConfig) -> None:
        super().__init__()
        first, upper = config.transformers(1), config.transformers(config.layers)
        width = config.d_model
        self.audio_asks_text = CrossModal(1, width, first)
        self.video_asks_text = CrossModal(1, width, first)
        self.words_ask_words = CrossModal(2, width, upper)  # text asks audio, audio asks text
        self.words_ask_frames = CrossModal(2, width, upper)  # text asks video; audio asks video that has asked text
        self.frames_ask_words = CrossModal(2, width, upper)  # video asks text, and audio that has asked text
        self.word_memory = Memory(2, 2 * width, upper)
        self.frame_memory = Memory(1, 2 * width, upper)

    def forward(self, text: Tensor, audio: Tensor, video: Tensor, batch: Batch) -> Tensor:
        """Map words (W, M), (W, M) and frames (F, M) to (B, 6 M): text's, audio's and video's last row, 2 M each."""
        words, frames = batch.words, batch.frames
        in_words, to_words, to_frames = Pairing(words, words), Pairing(frames, words), Pairing(words, frames)
        of_audio = self.audio_asks_text(audio[None], text[None], in_words)[0]  # (W, M)
        of_video = self.video_asks_text(video[None], text[None], to_words)[0]  # (F, M)
        spoken = torch.stack([text, audio])  # (2, W, M)
        with_words = self.words_ask_words(spoken, spoken.flip(0), in_words)
        with_frames = self.words_ask_frames(spoken, torch.stack([video, of_video]), to_frames)
        video_with = self.frames_ask_words(torch.stack([video, video]), torch.stack([text, of_audio]), to_words)
        last_word = self.word_memory(torch.cat([with_words, with_frames], dim=2), words)  # (2, B, 2 M)
        last_frame = self.frame_memory(torch.cat([*video_with], dim=1)[None], frames)  # (1, B, 2 M)
        return torch.cat([*last_word, *last_frame], dim=1)


class TETFN(nn.Module):
    """TETFN on cached features, for regression alone: labels are moved along a scale, which classes do not have.

    Raises:
        TrainError: Another task.
    """

    def __init__(self, widths: Widths, config: TETFNConfig = TETFNConfig()) -> None:
        super().__init__()
        if widths.task != "regression":
            raise TrainError(
                f"tetfn moves labels along a scale and learns regression alone, not {widths.task}: choose a target that is "
                "a number, with --task regression, or another model"
            )
        width, kernel = config.d_model, config.conv_kernel
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.audio_lstm = nn.LSTM(widths.d_audio, config.audio_hidden)
        self.video_lstm = nn.LSTM(widths.d_video, config.video_hidden)
        self.text_conv = WordConv(widths.d_text, width, kernel)
        self.audio_conv = WordConv(config.audio_hidden, width, kernel)
        self.video_conv = WordConv(config.video_hidden, width, kernel)
        self.enhanced = TextEnhanced(config)
        hidden = (config.fused_hidden, config.text_task_hidden, config.audio_task_hidden, config.video_task_hidden)
        inputs = (6 * width, width, width, width)
        self.tasks = nn.ModuleList(
            Task(d_in, one, widths.n_outputs, config.task_dropout) for d_in, one in zip(inputs, hidden, strict=True)
        )
        self.generation = LabelGeneration(widths.n_train, *hidden)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips; in training mode, make its clips' labels, too."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        text = self.text_conv(text, words)
        audio = self.audio_conv(all_states(self.audio_lstm, audio, words), words)
        video = self.video_conv(all_states(self.video_lstm, video, frames), frames)
        fused, *tasks = self.tasks
        joined = self.enhanced(placed(text, words), placed(audio, words), placed(video, frames), batch)
        found = [fused(joined)]
        if not self.training:
            return Output(found[0][1])
        for task, rows, spans in zip(tasks, (text, audio, video), (words, words, frames), strict=True):
            found.append(task(highest(spans.padded(rows), spans.mask)))
        vectors, predictions = zip(*found, strict=True)
        labels = self.generation(batch.numbers, batch.target)  # (B, 4)
        losses = {UNIMODAL: unimodal_loss(torch.cat(predictions[1:], dim=1), labels, batch.present)}
        self.generation.update(batch.numbers, batch.target, batch.present, vectors)
        return Output(predictions[0], losses)
