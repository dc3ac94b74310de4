"""MFN, Memory Fusion Network, over cached features on the words' axis.

Reference: Zadeh, Liang, Mazumder, Poria, Cambria and Morency, "Memory Fusion Network for Multi-view Sequential Learning"
(AAAI 2018).

One LSTM a view (System of LSTMs); at each word, attention over the entries of all their memories before and after it
(Delta-memory Attention Network); and a memory of its own that keeps what that found (Multi-view Gated Memory).

Only two things go step by step: the LSTMs and the gated memory. Attention is over two steps at a time, whose memories are all
known once the LSTMs are through, so it is computed for all words of all clips at once, as are the LSTMs' maps of their
inputs, the memory's proposals, and what its gates see of them.

Where the paper is open or another choice was made: the third view has frames, not words, which are averaged within words
spread evenly over the clip (`parts.at_words`); the gates see the memory besides what attention found, as in the authors'
code; sizes, for which the paper names a search but no result, are MMSA's for MOSI, with one dropout for all hidden layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.parts import at_words
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import Steps, recurrence


@dataclass(frozen=True)
class MFNConfig:
    """Settings: units of the three LSTMs and of the memory, and hidden units of attention, proposal, gates and output."""

    text_hidden: int = 256
    audio_hidden: int = 32
    video_hidden: int = 256
    memory: int = 400
    attention_hidden: int = 32
    proposal_hidden: int = 64
    retain_hidden: int = 256
    update_hidden: int = 32
    output_hidden: int = 128
    dropout: float = 0.2


class MemoryLSTM(nn.Module):
    """An LSTM that also tells its memories c, which torch's keeps to itself."""

    def __init__(self, d_in: int, hidden: int) -> None:
        super().__init__()
        self.input = nn.Linear(d_in, 4 * hidden)
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as torch's LSTM begins

    def forward(self, rows: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
        """Run over rows (R, d_in), step by step; give outputs and memories, (R, hidden) each, in the same order."""
        return recurrence(rows, steps, self.input.weight, self.recurrent.weight, self.input.bias)


class DeltaMemoryAttention(nn.Module):
    """Weigh each entry of all views' memories, before a word and after it, against one another."""

    def __init__(self, entries: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(entries, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, entries))

    def forward(self, memories: Tensor) -> Tensor:
        """Give memories c^[t-1, t] (R, entries) times their weights, which sum to 1 in a row."""
        return self.score(memories).softmax(dim=1) * memories  # type: ignore[no-any-return]


class GatedMemory(nn.Module):
    """Keep what attention found through time: u^t = gamma_1 u^(t-1) + gamma_2 tanh(D_u(c))."""

    def __init__(self, entries: int, config: MFNConfig) -> None:
        super().__init__()
        c = config
        self.proposal = nn.Sequential(
            nn.Linear(entries, c.proposal_hidden),
            nn.ReLU(),
            Dropout(c.dropout),
            nn.Linear(c.proposal_hidden, c.memory),
            nn.Tanh(),
        )
        self.gates_hidden = [c.retain_hidden, c.update_hidden]
        self.gates = nn.Linear(entries + c.memory, c.retain_hidden + c.update_hidden)  # both gates' first layers
        self.dropout = Dropout(c.dropout)
        self.retain = nn.Linear(c.retain_hidden, c.memory)  # gamma_1's second
        self.update = nn.Linear(c.update_hidden, c.memory)  # gamma_2's

    def forward(self, attended: Tensor, steps: Steps) -> Tensor:
        """Run over what attention found, (R, entries) step by step; give the memory after each, (R, memory)."""
        counts = steps.counts.tolist()
        of_attended, of_memory = torch.split(self.gates.weight, [attended.shape[1], self.retain.out_features], dim=1)
        seen = functional.linear(attended, of_attended, self.gates.bias)  # (R, hidden of both gates)
        memory, memories = attended.new_zeros(counts[0], self.retain.out_features), []
        for proposal, part in zip(torch.split(self.proposal(attended), counts), torch.split(seen, counts), strict=True):
            memory = memory[: len(part)]
            hidden = self.dropout(torch.addmm(part, memory, of_memory.T).relu())
            retain, update = torch.split(hidden, self.gates_hidden, dim=1)
            kept = self.retain(retain).sigmoid() * memory
            memory = torch.addcmul(kept, self.update(update).sigmoid(), proposal)
            memories.append(memory)
        return torch.cat(memories)


class MFN(nn.Module):
    """Three LSTMs and a memory that watches theirs."""

    def __init__(self, widths: Widths, config: MFNConfig = MFNConfig()) -> None:
        super().__init__()
        c = config
        views = ((widths.d_text, c.text_hidden), (widths.d_audio, c.audio_hidden), (widths.d_video, c.video_hidden))
        units = sum(hidden for _, hidden in views)
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.lstms = nn.ModuleList(MemoryLSTM(*view) for view in views)
        self.attention = DeltaMemoryAttention(2 * units, c.attention_hidden, c.dropout)
        self.memory = GatedMemory(2 * units, c)
        self.head = nn.Sequential(
            nn.Linear(units + c.memory, c.output_hidden),
            nn.ReLU(),
            Dropout(c.dropout),
            nn.Linear(c.output_hidden, widths.n_outputs),
        )

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, steps = batch.words, Steps.of(batch.words)
        video = at_words(batch.video, batch.frames, words)  # (W, Dv)
        views = self.missing(batch.present, batch.complete, (batch.text, words), (batch.audio, words), (video, words))
        told = [lstm(view.index_select(0, steps.places), steps) for lstm, view in zip(self.lstms, views, strict=True)]
        memories = torch.cat([memory for _, memory in told], dim=1)  # (W, units)
        attended = self.attention(torch.cat([steps.before(memories), memories], dim=1))  # (W, 2 units)
        kept = self.memory(attended, steps)  # (W, memory)
        final = torch.cat([output for output, _ in told] + [kept], dim=1)[steps.last]  # (B, units + memory)
        return Output(self.head(final))
