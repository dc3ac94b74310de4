"""What every frozen encoder is: weights loaded whole, evaluated without gradients, clip by clip prepared."""

import warnings
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import torch

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.convolutions import mend
from sadgr.extract.errors import ModelUnavailableError
from sadgr.extract.layers import LAST, Layer

Raw = TypeVar("Raw", contravariant=True)
Prepared = TypeVar("Prepared")
Features = TypeVar("Features")

# Layers that the features do not pass through, so that a checkpoint may lack them.
_UNUSED_LAYERS = ("pooler.", "masked_spec_embed", "encoder.masked_spec_embed", "mask_token", "embeddings.mask_token")


class Encoder(Protocol[Raw, Prepared, Features]):
    """A frozen encoder of one modality.

    `prepare` works on one clip, needs no device and says what is wrong with that clip; `encode` works on many. A clip's
    features do not depend on what else is in the batch, beyond rounding.
    """

    @property
    def width(self) -> int:
        """D, the width of a feature vector."""
        ...

    @property
    def at_once(self) -> int:
        """How many clips are worth computing together on its device."""
        ...

    def prepare(self, raw: Raw) -> Prepared:
        """Turn one clip's input into tensors.

        Raises:
            ClipError: this clip cannot be encoded.
        """
        ...

    def encode(self, batch: Sequence[Prepared]) -> list[Features]:
        """Return the features of each clip of the batch."""
        ...


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What an encoder may compute in; features leave it as float32."""


def encoder_settings(
    checkpoint: Checkpoint, layer: Layer = LAST, dtype: str = "float32", **more: Any
) -> dict[str, Any]:
    """Return what decides an encoder's features, its part of the fingerprint; known before any weight is loaded.

    Args:
        checkpoint: its files are hashed.
        layer: which layer the features come from.
        dtype: what it computes in, a name in `DTYPES`.
        more: what the modality adds, such as windowing.

    Raises:
        ModelUnavailableError: the checkpoint is not whole, or has no such layer.
    """
    name = str(layer.of(checkpoint.config()))
    return {**checkpoint.identity(), "layer": name, "compute_dtype": dtype, **more}


def load_model(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """Load a checkpoint through transformers' AutoModel: frozen, evaluating.

    Raises:
        ModelUnavailableError: it cannot be loaded, or lacks weights that the features depend on.
    """
    from transformers import AutoModel, logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is judged here, instead of scrolling by
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model, report = AutoModel.from_pretrained(
                checkpoint.folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelUnavailableError(f"{checkpoint.folder} cannot be loaded as a model: {error}") from error
    finally:
        logging.set_verbosity(verbosity)
    lacking = sorted(key for key in report["missing_keys"] if not key.startswith(_UNUSED_LAYERS))
    lacking += sorted(str(key) for key in report["mismatched_keys"])
    if lacking:
        raise ModelUnavailableError(
            f"{checkpoint.folder} lacks weights of {len(lacking)} layers ({lacking[0]}, ...); its features would be random"
        )
    hold(model)
    # A GPU would otherwise round convolutions to 10 bits of mantissa.
    torch.backends.cudnn.allow_tf32 = False
    return placed(model.eval().requires_grad_(False), device, dtype)


def placed(model: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Bring a model to where, and to what, it computes in; see `convolutions`."""
    model = model.to(device, dtype)
    if device.type == "cpu":
        mend(model)
    return model


def hold(model: Any) -> None:
    """Compute weights that are made of others, such as HuBERT's weight norm, once; and hold all in memory.

    They come as a mapped file, which a first pass reads page by page (1.5 s of BERT-base's first clip, where 0.1 is its own),
    and which memory pressure may drop, to be fetched again over a network amid a run.
    """
    from torch.nn.utils import parametrize

    for module in model.modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    for weights in (*model.parameters(), *model.buffers()):
        weights.data = weights.data.clone()


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is the GPU where there is one.

    Raises:
        ModelUnavailableError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelUnavailableError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device
