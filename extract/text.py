"""Text features: a layer of a BERT-like encoder, wordpiece by wordpiece, averaged into words (eq. 1) and over the clip (eq. 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import encoder_settings, load_model
from sadgr.extract.errors import ClipError, ModelUnavailableError
from sadgr.extract.layers import LAST, Layer
from sadgr.extract.parts import Budget, in_groups
from sadgr.extract.windows import Window, spread_words

OVERLAP_SHARE = 0.25
TOKENS_AT_ONCE, MOST_TOKENS = 4096, 32768
"""Wordpieces that share a pass, padding included: to begin with, and at most."""


@dataclass(frozen=True)
class TextInput:
    """One transcript in wordpieces.

    Attributes:
        input_ids: (Lt,) int64, special tokens included, each once however many windows there are.
        word_of_token: (Lt,) int64, index of the word that each wordpiece belongs to; -1 for special tokens.
        words: N, the number of words.
        windows: which wordpieces go through the model together, counted without the special tokens.
    """

    input_ids: torch.Tensor
    word_of_token: torch.Tensor
    words: int
    windows: tuple[Window, ...]

    @property
    def specials(self) -> tuple[int, int]:
        """How many special tokens stand before the first word, and after the last."""
        at = torch.nonzero(self.word_of_token >= 0)[:, 0]
        return int(at[0]), len(self.word_of_token) - 1 - int(at[-1])


@dataclass(frozen=True)
class TextFeatures:
    """Features of one transcript.

    Attributes:
        words: (N, D) float32, the mean of each word's wordpieces.
        mean: (D,) float32, the mean of all wordpieces with the special tokens.
        tokens: (Lt, D) float32, one row a wordpiece, special tokens included.
        input_ids: (Lt,) int32, the tokenizer's number of each.
        word_ids: (Lt,) int32, the word that each belongs to; -1 for special tokens.
    """

    words: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.float32]
    input_ids: npt.NDArray[np.int32]
    word_ids: npt.NDArray[np.int32]


def text_settings(checkpoint: Checkpoint, layer: Layer = LAST, dtype: str = "float32") -> dict[str, Any]:
    """Return what decides the features of a text checkpoint, its windowing included.

    Raises:
        ModelUnavailableError: it has no such layer.
    """
    windowing = {"version": 1, "window": "longest input", "overlap_share": OVERLAP_SHARE}
    return encoder_settings(checkpoint, layer, dtype, windowing=windowing)


class TextEncoder:
    """A frozen BERT- or RoBERTa-like encoder.

    Args:
        checkpoint: model and tokenizer.
        device: where it computes.
        layer: which layer the vectors come from.
        dtype: what it computes in.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        layer: Layer = LAST,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        from transformers import AutoTokenizer

        self._layer = layer.of(checkpoint.config())
        self._model = load_model(checkpoint, device, dtype)
        self._budget = Budget(device, TOKENS_AT_ONCE, MOST_TOKENS)
        self._device = device
        # Byte-level tokenizers see words as they stand in a sentence only with the space before them.
        self._tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, use_fast=True, add_prefix_space=True
        )
        if not self._tokenizer.is_fast:
            raise ModelUnavailableError(
                f"{checkpoint.folder} has no fast tokenizer (tokenizer.json), so wordpieces cannot be traced to words"
            )
        self._longest = _longest_input(self._model.config, self._tokenizer)
        self.width: int = self._model.config.hidden_size
        self.at_once = 8 if device.type == "cpu" else 64

    def prepare(self, raw: Sequence[str]) -> TextInput:
        """Cut a transcript's words into wordpieces, and those into windows that the model takes.

        Args:
            raw: N words, as split at white space.

        Raises:
            ClipError: no words, or none that the tokenizer knows how to keep.
        """
        if not raw:
            raise ClipError("the transcript is empty")
        words = list(raw)
        encoded = self._tokenizer(words, is_split_into_words=True, verbose=False)
        lost = set(range(len(words))) - set(encoded.word_ids())
        if lost:  # such as a zero-width space or an emoji that the tokenizer's clean-up removes
            words = [self._tokenizer.unk_token if index in lost else word for index, word in enumerate(words)]
            encoded = self._tokenizer(words, is_split_into_words=True, verbose=False)
        word_of_token = [-1 if word is None else word for word in encoded.word_ids()]
        if set(range(len(words))) - set(word_of_token):
            raise ClipError(
                f"the tokenizer drops {len(lost)} words of the transcript and has no token for unknown ones"
            )
        pieces = [word for word in word_of_token if word >= 0]
        longest = self._longest - (len(word_of_token) - len(pieces))
        windows = spread_words(pieces, longest, int(OVERLAP_SHARE * longest))
        return TextInput(torch.tensor(encoded["input_ids"]), torch.tensor(word_of_token), len(words), tuple(windows))

    def encode(self, batch: Sequence[TextInput]) -> list[TextFeatures]:
        """Return the features of each transcript; padding is masked.

        Transcripts that the model takes whole go through it together; the windows of a longer one after them.
        """
        short = [one for one in batch if len(one.windows) == 1]
        found = iter(self._hidden([one.input_ids for one in short]) if short else ())
        return [_pool(next(found) if len(one.windows) == 1 else self._long(one), one) for one in batch]

    def _long(self, one: TextInput) -> torch.Tensor:
        """Return (Lt, D) of a transcript in windows, each between special tokens of its own.

        Of these the first window's count before the words and the last one's after them.
        """
        before, after = one.specials
        count = len(one.input_ids) - before - after
        head, pieces, tail = torch.split(one.input_ids, [before, count, after])
        inputs = [torch.cat([head, pieces[window.start : window.stop], tail]) for window in one.windows]
        parts = []
        for window, hidden in zip(one.windows, self._hidden(inputs), strict=True):
            first = before + window.kept.start if window.first > 0 else 0
            last = before + window.kept.stop if window.last < count else len(hidden)
            parts.append(hidden[first:last])
        return torch.cat(parts)  # (Lt, D)

    def _hidden(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return (L, D) float32 for each input (L,); those of similar length go through the model together."""
        lengths = [len(one) for one in inputs]
        return in_groups(lambda places: self._padded([inputs[place] for place in places]), lengths, self._budget)

    @torch.inference_mode()
    def _padded(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return (L, D) float32 for each input (L,), padded to the longest and masked meanwhile."""
        lengths = [len(one) for one in inputs]
        padding = self._tokenizer.pad_token_id or 0
        ids = torch.nn.utils.rnn.pad_sequence(list(inputs), batch_first=True, padding_value=padding)
        mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]  # (B, L)
        output = self._model(
            input_ids=ids.to(self._device),
            attention_mask=mask.long().to(self._device),
            output_hidden_states=not self._layer.is_last,
        )
        hidden = self._layer.pick(output).float().cpu()  # (B, L, D)
        return [hidden[row, :length] for row, length in enumerate(lengths)]


def _pool(hidden: torch.Tensor, one: TextInput) -> TextFeatures:
    """Average (Lt, D) wordpieces into words and over everything, in float64."""
    exact = hidden.double()
    inside = one.word_of_token >= 0
    sums = torch.zeros(one.words, hidden.shape[1], dtype=torch.float64)
    sums.index_add_(0, one.word_of_token[inside], exact[inside])
    counts = torch.bincount(one.word_of_token[inside], minlength=one.words)
    words = sums / counts[:, None]  # every word has a wordpiece: `prepare` saw to it
    return TextFeatures(
        words.float().numpy(),
        exact.mean(dim=0).float().numpy(),
        hidden.numpy(),
        one.input_ids.numpy().astype(np.int32),
        one.word_of_token.numpy().astype(np.int32),
    )


def _longest_input(config: Any, tokenizer: Any) -> int:
    """RoBERTa counts positions from the padding's index on, so that it takes that many fewer."""
    positions = int(config.max_position_embeddings)
    if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= int(config.pad_token_id) + 1
    return min(positions, int(tokenizer.model_max_length))
