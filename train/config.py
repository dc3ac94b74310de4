"""Settings of model and training, free of torch so that ``--help`` stays quick.

METHOD.md section 3 is the table these defaults come from.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

AudioMean = Literal["mean", "mean_words"]
Gate = Literal["audio", "none", "attention", "frames"]
TaskName = Literal["regression", "classification", "multilabel"]
ModelName = Literal[
    "sadgr", "ridge", "text", "concat", "late", "tfn", "lmf", "mfn", "mult", "misa", "selfmm", "mag", "raven", "iccn", "tetfn",
    "tchfn", "tmbl",
]  # fmt: skip
MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        _require(value > 0, f"{name} must be above 0, got {value}")


@dataclass(frozen=True)
class Widths:
    """What the data decides of a model.

    Attributes:
        d_text: Dt.
        d_audio: Da.
        d_video: Dv.
        n_outputs: O.
        task: regression, classification or multilabel.
        n_train: Clips of the train split, for what keeps something of each.
    """

    d_text: int
    d_audio: int
    d_video: int
    n_outputs: int
    task: TaskName
    n_train: int


@dataclass(frozen=True)
class ModelConfig:
    """SADGR's settings. Widths of every layer. D_text, D_audio and D_video are the encoders' widths and may differ.

    `gate` is the paper's (`audio`) or what ablations put in its place: `none`; `attention`, multi-head cross-attention;
    `frames`, a gate for each frame instead of one for the clip.
    """

    d_text: int = 768
    d_audio: int = 768
    d_video: int = 768
    d_shared: int = 768
    d_model: int = 256
    d_key: int = 64
    gate: Gate = "audio"
    gate_layers: int = 2
    gate_hidden: int = 256
    attention_heads: int = 4
    fusion_hidden: int = 256
    n_outputs: int = 1
    conv_kernel: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse widths that no layer can have."""
        widths = {name: value for name, value in vars(self).items() if name not in ("dropout", "gate")}
        _require(self.gate in get_args(Gate), f"gate is one of {', '.join(get_args(Gate))}, got {self.gate}")
        divides = self.gate != "attention" or self.d_video % self.attention_heads == 0
        _require(divides, f"attention_heads must divide d_video {self.d_video}, got {self.attention_heads}")
        _require_positive(**widths)
        _require(self.conv_kernel % 2 == 1, f"conv_kernel must be odd to keep the word count, got {self.conv_kernel}")
        _require(0 <= self.dropout < 1, f"dropout must lie in [0, 1), got {self.dropout}")


@dataclass(frozen=True)
class FitConfig:
    """Settings of one fine-tuning run; `contrastive_weight` is the lambda of eq. 21."""

    seed: int = 1111
    epochs: int = 100
    patience: int = 15
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    contrastive_weight: float = 0.1
    freeze_heads: bool = False
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be learned."""
        _require_positive(
            epochs=self.epochs, patience=self.patience, batch_size=self.batch_size, learning_rate=self.learning_rate
        )
        _require(self.seed >= 0, f"seed must not be negative, got {self.seed}")
        _require(0 <= self.modality_dropout < 1, f"modality_dropout must lie in [0, 1), got {self.modality_dropout}")
        _require(self.weight_decay >= 0, f"weight_decay must not be negative, got {self.weight_decay}")
        _require(
            self.contrastive_weight >= 0, f"contrastive_weight must not be negative, got {self.contrastive_weight}"
        )


# The paper names optimiser, learning rate, batch size and the best lambda (section IV-B, Fig. 6), but no number of
# epochs: at 1e-5 small heads move slowly, hence more epochs and more patience.
FIT_PRESETS = MappingProxyType(
    {
        "default": FitConfig(),
        "paper": FitConfig(learning_rate=1e-5, batch_size=32, contrastive_weight=0.1, epochs=200, patience=20),
    }
)


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of text-audio pretraining (STA-CA); `valid_fraction` counts where the data set has no valid split.

    With `mask_duplicates` an utterance of the same transcript is no negative.
    """

    seed: int = 1111
    epochs: int = 5
    patience: int = 5
    batch_size: int = 1024
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_fraction: float = 0.1
    valid_fraction: float = 0.05
    d_shared: int = 768
    audio_mean: AudioMean = "mean"
    mask_duplicates: bool = False

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be learned."""
        _require_positive(
            epochs=self.epochs, patience=self.patience, learning_rate=self.learning_rate, d_shared=self.d_shared
        )
        _require(self.seed >= 0, f"seed must not be negative, got {self.seed}")
        _require(
            self.batch_size >= 2, f"batch_size must be at least 2 (a pair needs a negative), got {self.batch_size}"
        )
        _require(self.weight_decay >= 0, f"weight_decay must not be negative, got {self.weight_decay}")
        _require(0 <= self.warmup_fraction < 1, f"warmup_fraction must lie in [0, 1), got {self.warmup_fraction}")
        _require(0 < self.valid_fraction < 1, f"valid_fraction must lie in (0, 1), got {self.valid_fraction}")
        _require(self.audio_mean in ("mean", "mean_words"), f"audio_mean is mean or mean_words, got {self.audio_mean}")
