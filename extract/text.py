"""Text features: the last layer of a BERT-like encoder, averaged into words (eq. 1) and over the clip (eq. 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.encoder import load_model
from sadgr.extract.errors import ClipError, ModelUnavailableError


@dataclass(frozen=True)
class TextInput:
    """One transcript in wordpieces.

    Attributes:
        input_ids: (Lt,) int64, special tokens included.
        word_of_token: (Lt,) int64, index of the word that each wordpiece belongs to; -1 for special tokens.
        words: N, the number of words.
    """

    input_ids: torch.Tensor
    word_of_token: torch.Tensor
    words: int


@dataclass(frozen=True)
class TextFeatures:
    """`words` (N, D) and `mean` (D,) over all wordpieces with the special tokens, float32."""

    words: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]


class TextEncoder:
    """A frozen BERT- or RoBERTa-like encoder.

    Args:
        checkpoint: model and tokenizer.
        device: where it computes.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        from transformers import AutoTokenizer

        self._model = load_model(checkpoint, device)
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

    def prepare(self, raw: Sequence[str]) -> TextInput:
        """Cut a transcript's words into wordpieces.

        Args:
            raw: N words, as split at white space.

        Raises:
            ClipError: no words, or more wordpieces than the model takes.
        """
        if not raw:
            raise ClipError("the transcript is empty")
        words = list(raw)
        encoded = self._tokenizer(words, is_split_into_words=True)
        lost = set(range(len(words))) - set(encoded.word_ids())
        if lost:  # such as a zero-width space or an emoji that the tokenizer's clean-up removes
            words = [self._tokenizer.unk_token if index in lost else word for index, word in enumerate(words)]
            encoded = self._tokenizer(words, is_split_into_words=True)
        word_of_token = [-1 if word is None else word for word in encoded.word_ids()]
        if set(range(len(words))) - set(word_of_token):
            raise ClipError(
                f"the tokenizer drops {len(lost)} words of the transcript and has no token for unknown ones"
            )
        if len(word_of_token) > self._longest:
            raise ClipError(
                f"the transcript has {len(word_of_token)} wordpieces, the model takes {self._longest}; "
                "cut the clip into shorter ones"
            )
        return TextInput(torch.tensor(encoded["input_ids"]), torch.tensor(word_of_token), len(words))

    @torch.inference_mode()
    def encode(self, batch: Sequence[TextInput]) -> list[TextFeatures]:
        """Return the features of each transcript; padding is masked."""
        lengths = [len(one.input_ids) for one in batch]
        padding = self._tokenizer.pad_token_id or 0
        ids = torch.nn.utils.rnn.pad_sequence([one.input_ids for one in batch], batch_first=True, padding_value=padding)
        mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]  # (B, Lt)
        output = self._model(input_ids=ids.to(self._device), attention_mask=mask.long().to(self._device))
        hidden = output.last_hidden_state.float().cpu()  # (B, Lt, D)
        return [_pool(hidden[row, : lengths[row]], one) for row, one in enumerate(batch)]


def _pool(hidden: torch.Tensor, one: TextInput) -> TextFeatures:
    """Average (Lt, D) wordpieces into words and over everything, in float64."""
    exact = hidden.double()
    inside = one.word_of_token >= 0
    sums = torch.zeros(one.words, hidden.shape[1], dtype=torch.float64)
    sums.index_add_(0, one.word_of_token[inside], exact[inside])
    counts = torch.bincount(one.word_of_token[inside], minlength=one.words)
    words = sums / counts[:, None]  # every word has a wordpiece: `prepare` saw to it
    return TextFeatures(words.float().numpy(), exact.mean(dim=0).float().numpy())


def _longest_input(config: Any, tokenizer: Any) -> int:
    """RoBERTa counts positions from the padding's index on, so that it takes that many fewer."""
    positions = int(config.max_position_embeddings)
    if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= int(config.pad_token_id) + 1
    return min(positions, int(tokenizer.model_max_length))
