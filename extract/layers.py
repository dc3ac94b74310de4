"""Which layer of an encoder the features come from: the last one, one by number, or the mean of the last few."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sadgr.extract.errors import ModelUnavailableError

# By these names configurations say how many layers an encoder has; Whisper's `num_hidden_layers` is that of its encoder.
_COUNTS = ("encoder_layers", "num_hidden_layers", "n_layers", "num_layers")


@dataclass(frozen=True)
class Layer:
    """A layer, or a mean of layers. Without arguments the last layer.

    Layers are counted as transformers' documentation does: 0 is what goes into the first layer (embeddings), n the output
    of layer n. The last one is the model's output, after a final norm where the model has one.

    Attributes:
        number: which layer; None for the last.
        mean_of: how many layers, the last among them, are averaged.
    """

    number: int | None = None
    mean_of: int = 1

    def __post_init__(self) -> None:
        if self.mean_of < 1 or (self.number is not None and (self.number < 0 or self.mean_of > 1)):
            raise ValueError(f"{self!r} is no layer; a number is not below 0, and a mean is one of the last 1 or more")

    @classmethod
    def parse(cls, text: str) -> "Layer":
        """Read `last`, a layer's number, or `last:K` for the mean of the last K.

        Raises:
            ValueError: it is none of these.
        """
        found = re.fullmatch(r"last(?::0*([1-9][0-9]*))?|([0-9]+)", text.strip(), re.ASCII)
        if found is None:
            raise ValueError(
                f"{text!r} names no layer; expected `last`, a number such as `9` (0 = the embeddings), or `last:4` for "
                "the mean of the last four"
            )
        last, number = found.groups()
        return cls(int(number)) if number else cls(mean_of=int(last or 1))

    def __str__(self) -> str:
        if self.number is not None:
            return str(self.number)
        return "last" if self.mean_of == 1 else f"last:{self.mean_of}"

    @property
    def is_last(self) -> bool:
        """Whether the model's output alone is enough."""
        return self.number is None and self.mean_of == 1

    def of(self, config: Mapping[str, Any]) -> "Layer":
        """Hold the layer against a model, and call its last layer the last.

        Args:
            config: the model's `config.json`.

        Returns:
            The same layer; one and the same layer of a model has one name.

        Raises:
            ModelUnavailableError: the model has no such layer.
        """
        if self.is_last:
            return self
        count = next((int(config[name]) for name in _COUNTS if config.get(name) is not None), None)
        if count is None:
            raise ModelUnavailableError(
                f"config.json does not say how many layers there are, so layer {self} is unknown"
            )
        if max(self.number or 0, self.mean_of) > count:
            wanted = f"a mean of {self.mean_of}" if self.number is None else f"layer {self.number}"
            raise ModelUnavailableError(
                f"{wanted} was asked for, and this {config.get('model_type', '')} encoder has {count} layers; "
                f"expected `last`, 0 to {count}, or `last:K` with K up to {count}"
            )
        return LAST if self.number == count else self

    def pick(self, output: Any) -> torch.Tensor:
        """Return the layer's vectors.

        Args:
            output: a transformers output, with `last_hidden_state` (B, L, D) and, unless `is_last`, `hidden_states`.

        Returns:
            (B, L, D). The last layer is always `last_hidden_state`: `hidden_states[-1]` may lack the final norm.
        """
        last: torch.Tensor = output.last_hidden_state
        if self.is_last:
            return last
        layers = [*output.hidden_states[:-1], last]  # 0 to L
        return layers[self.number] if self.number is not None else torch.stack(layers[-self.mean_of :]).mean(dim=0)


LAST = Layer()
