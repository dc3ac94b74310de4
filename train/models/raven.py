"""RAVEN, Recurrent Attended Variation Embedding Network: what is heard and seen while a word is said shifts its vector.

Reference: Wang, Shen, Liu, Liang, Zadeh and Morency, "Words Can Shift: Dynamically Adjusting Word Representations Using
Nonverbal Behaviors" (AAAI 2019). Widths, dropout and beta are those of the authors' program for MOSI, and so is the linear
map in front of the sub-networks.

Where the cache or the paper is open: a word's frames are those of an equal share of the clip (`parts.frames_of_words`). Of a
word's sound the cache keeps one vector, the mean of its audio frames, so that the acoustic LSTM takes a single step, from a
state of zeros; its forget gate and its recurrent weights would count for nothing there and are left out. Word vectors are
BERT's where the paper has GloVe's. Where the authors' program normalises the shift otherwise, and cuts the gradient on its
way to the sub-networks, this is the paper's equation, and all parts learn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.parts import frames_of_words
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import final_state
from sadgr.train.ragged import Spans

TINY = 1e-12
"""Least length of a shift that is divided by: a shift of nothing stays one, and so does its gradient."""


@dataclass(frozen=True)
class RAVENConfig:
    """Widths of the nonverbal maps, of their LSTMs and of the words' LSTM; beta, how long a shift may be; dropout."""

    d_nonverbal: int = 150
    nonverbal_hidden: int = 150
    word_hidden: int = 300
    beta: float = 0.2
    dropout: float = 0.2


class OneStep(nn.Module):
    """An LSTM's state after one step from zeros."""

    def __init__(self, d_in: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Linear(d_in, 3 * hidden)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (R, d_in) to (R, hidden)."""
        into, cell, out = self.gates(rows).chunk(3, dim=1)
        return out.sigmoid() * torch.tanh(into.sigmoid() * cell.tanh())  # type: ignore[no-any-return]


class ModalityMixing(nn.Module):
    """How sound and sight shift a word: each as far as a gate, which hears the word too, lets it."""

    def __init__(self, d_word: int, d_nonverbal: int) -> None:
        super().__init__()
        self.video_gate = nn.Linear(d_nonverbal + d_word, 1)
        self.audio_gate = nn.Linear(d_nonverbal + d_word, 1)
        self.mix = nn.Linear(2 * d_nonverbal, d_word)  # W_v and W_a side by side, and b_h

    def forward(self, words: Tensor, audio: Tensor, video: Tensor) -> Tensor:
        """Give h_m = w_v W_v h_v + w_a W_a h_a + b_h, (W, D), where w = sigmoid(W_h [h; e] + b), a number a word.

        Args:
            words: (W, D) e.
            audio: (W, H) h_a.
            video: (W, H) h_v.
        """
        of_video = self.video_gate(torch.cat([video, words], dim=1)).sigmoid()  # (W, 1)
        of_audio = self.audio_gate(torch.cat([audio, words], dim=1)).sigmoid()
        return self.mix(torch.cat([of_video * video, of_audio * audio], dim=1))  # type: ignore[no-any-return]


class RAVEN(nn.Module):
    """Words shifted by what is heard and seen, read by an LSTM."""

    def __init__(self, widths: Widths, config: RAVENConfig = RAVENConfig()) -> None:
        super().__init__()
        self.beta = config.beta
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.dropout = Dropout(config.dropout)
        self.audio_map = nn.Linear(widths.d_audio, config.d_nonverbal)
        self.video_map = nn.Linear(widths.d_video, config.d_nonverbal)
        self.audio_step = OneStep(config.d_nonverbal, config.nonverbal_hidden)
        self.video_lstm = nn.LSTM(config.d_nonverbal, config.nonverbal_hidden)
        self.mixing = ModalityMixing(widths.d_text, config.nonverbal_hidden)
        self.word_lstm = nn.LSTM(widths.d_text, config.word_hidden)
        self.head = nn.Linear(config.word_hidden, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        audio = self.audio_step(self.audio_map(self.dropout(audio)))  # (W, H)
        places, counts = frames_of_words(frames, words)
        seen = self.video_map(self.dropout(video)).index_select(0, places)  # frames, word after word
        video = final_state(self.video_lstm, seen, Spans(counts, frames.device))  # (W, H)
        moved = shifted(text, self.mixing(text, audio, video), self.beta)
        return Output(self.head(final_state(self.word_lstm, self.dropout(moved), words)))


def shifted(words: Tensor, shift: Tensor, beta: float) -> Tensor:
    """Add to words e (W, D) their shifts h (W, D), no longer than beta words: e + alpha h, alpha = min(beta |e| / |h|, 1)."""
    lengths, limits = (torch.linalg.vector_norm(one, dim=1, keepdim=True) for one in (shift, words))
    alpha = (beta * limits / lengths.clamp(min=TINY)).clamp(max=1.0)  # (W, 1)
    moved: Tensor = words + alpha * shift
    return moved
