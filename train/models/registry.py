"""All models by name, and how they are made anew from what a run's config.json says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from torch import nn

from sadgr.train.config import MODEL_NAMES, ModelConfig, ModelName, Widths
from sadgr.train.errors import TrainError

_CLASSES: Mapping[ModelName, tuple[str, str]] = {
    "sadgr": ("SADGR", "ModelConfig"),
    "ridge": ("Ridge", "RidgeConfig"),
    "text": ("TextOnly", "TextConfig"),
    "concat": ("Concat", "ConcatConfig"),
    "late": ("Late", "LateConfig"),
    "tfn": ("TFN", "TFNConfig"),
    "lmf": ("LMF", "LMFConfig"),
    "mfn": ("MFN", "MFNConfig"),
    "mult": ("MulT", "MulTConfig"),
    "misa": ("MISA", "MISAConfig"),
    "selfmm": ("SelfMM", "SelfMMConfig"),
    "mag": ("MAG", "MAGConfig"),
    "raven": ("RAVEN", "RAVENConfig"),
    "iccn": ("ICCN", "ICCNConfig"),
    "tetfn": ("TETFN", "TETFNConfig"),
    "tchfn": ("TCHFN", "TCHFNConfig"),
    "tmbl": ("TMBL", "TMBLConfig"),
}
"""Name, which is its module's, too -> its class and the one of its settings."""


@dataclass(frozen=True)
class Described:
    """A model without its weights.

    Attributes:
        name: Its name.
        widths: What the data decides.
        settings: An instance of its settings' dataclass.
    """

    name: ModelName
    widths: Widths
    settings: Any

    def build(self) -> nn.Module:
        """Make it, with weights at random."""
        model, _ = _classes(self.name)
        if self.name == "sadgr":
            return model(self.settings)
        return model(self.widths, self.settings)

    def as_json(self) -> dict[str, Any]:
        """Give what `from_json` takes."""
        return {"name": self.name, "widths": asdict(self.widths), "settings": asdict(self.settings)}


def describe(name: ModelName, widths: Widths, sadgr: ModelConfig) -> Described:
    """Describe a model with its own defaults; SADGR with the settings that were asked for.

    Args:
        name: Its name.
        widths: What the data decides.
        sadgr: SADGR's settings, whose encoder widths and number of outputs are the data's already.
    """
    if name == "sadgr":
        return Described(name, widths, sadgr)
    _, settings = _classes(name)
    return Described(name, widths, settings())


def from_json(value: object, where: str) -> Described:
    """Read what `as_json` gave.

    Args:
        value: It.
        where: It stands, for the message.

    Raises:
        TrainError: It is no model of this version.
    """
    try:
        name, widths, settings = (value[key] for key in ("name", "widths", "settings"))  # type: ignore[index]
        if name not in MODEL_NAMES:
            raise TrainError(f"{where} names the model {name!r}; this version has {', '.join(MODEL_NAMES)}")
        _, kind = _classes(name)
        return Described(name, Widths(**widths), kind(**settings))
    except (TypeError, KeyError, ValueError) as error:
        raise TrainError(f"{where} does not describe a model of this version: {error}") from error


def _classes(name: ModelName) -> tuple[type[nn.Module], type[Any]]:
    module = import_module(f"sadgr.train.models.{name}")
    model, settings = _CLASSES[name]
    return getattr(module, model), getattr(module, settings)
