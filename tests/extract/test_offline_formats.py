"""The converters' parts against oracles: hand-made files, PyTorch's bicubic, transformers' own Whisper."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from transformers import WhisperConfig, WhisperForConditionalGeneration

from sadgr.extract.offline import OfflineModelError
from sadgr.extract.offline.bicubic import resize_bicubic
from sadgr.extract.offline.ctranslate2 import read_ctranslate2
from sadgr.extract.offline.formats import json_bytes, safetensors_bytes
from sadgr.extract.offline.vision import vit_weights
from sadgr.extract.offline.whisper import whisper_weights

Array = npt.NDArray[Any]
CODES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def ctranslate2_file(variables: dict[str, Array], aliases: dict[str, str], version: int = 6) -> bytes:
    blocks = [struct.pack("<I", version), string("TestSpec"), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        blocks += [string(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)]
        blocks += [struct.pack("<BI", CODES[array.dtype.name], array.nbytes), array.tobytes()]
    blocks.append(struct.pack("<I", len(aliases)))
    blocks += [string(alias) + string(name) for alias, name in aliases.items()]
    return b"".join(blocks)


VARIABLES = {
    "a/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a/bias": np.array([0.5, -1.5], dtype=np.float32),
    "flag": np.array(1, dtype=np.int8),
    "heads": np.array(6, dtype=np.int16),
}


def test_ctranslate2_gives_back_what_was_written() -> None:
    found = read_ctranslate2(ctranslate2_file(VARIABLES, {"b/weight": "a/weight"}), "TestSpec")
    assert list(found) == [*VARIABLES, "b/weight"]
    for name, array in (VARIABLES | {"b/weight": VARIABLES["a/weight"]}).items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_ctranslate2_cut_short_anywhere_is_refused() -> None:
    whole = ctranslate2_file(VARIABLES, {"b/weight": "a/weight"})
    for length in range(len(whole)):
        with pytest.raises(OfflineModelError, match="too early"):
            read_ctranslate2(whole[:length], "TestSpec")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ctranslate2_file(VARIABLES, {}, version=3), "version 3; expected 4 to 6"),
        (ctranslate2_file(VARIABLES, {}).replace(b"TestSpec", b"RestSpec"), "holds a RestSpec; expected a TestSpec"),
        (
            ctranslate2_file({"flag": VARIABLES["flag"]}, {}).replace(b"flag\0\0\1", b"flag\0\0\7"),
            "flag has the type 7",
        ),
    ],
)
def test_ctranslate2_of_another_kind_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(OfflineModelError, match=message):
        read_ctranslate2(content, "TestSpec")


def stacked(state: dict[str, Array]) -> dict[str, Array]:
    """A transformers Whisper under CTranslate2's names: the way there, of which the converter is the way back."""
    model = {name.removeprefix("model."): array for name, array in state.items()}
    found = {"decoder/embeddings/weight": model["decoder.embed_tokens.weight"]}
    pairs = {f"encoder/conv{i}": f"encoder.conv{i}" for i in (1, 2)}
    norms = {}
    for side in ("encoder", "decoder"):
        found[f"{side}/position_encodings/encodings"] = model[f"{side}.embed_positions.weight"]
        norms[f"{side}/layer_norm"] = f"{side}.layer_norm"
        for i in range(2):
            old, new = f"{side}/layer_{i}", f"{side}.layers.{i}"
            stacks = [("self_attention/linear_0", "self_attn", "qkv")]
            pairs |= {f"{old}/self_attention/linear_1": f"{new}.self_attn.out_proj"}
            pairs |= {f"{old}/ffn/linear_{j}": f"{new}.fc{j + 1}" for j in (0, 1)}
            norms |= {f"{old}/self_attention/layer_norm": f"{new}.self_attn_layer_norm"}
            norms |= {f"{old}/ffn/layer_norm": f"{new}.final_layer_norm"}
            if side == "decoder":
                stacks.append(("attention/linear_1", "encoder_attn", "kv"))
                pairs |= {f"{old}/attention/linear_0": f"{new}.encoder_attn.q_proj"}
                pairs |= {f"{old}/attention/linear_2": f"{new}.encoder_attn.out_proj"}
                norms |= {f"{old}/attention/layer_norm": f"{new}.encoder_attn_layer_norm"}
            for where, attention, letters in stacks:
                for part in ("weight", "bias"):
                    zeros = np.zeros_like(model[f"{new}.{attention}.v_proj.{part}"])
                    shares = [model.get(f"{new}.{attention}.{x}_proj.{part}", zeros) for x in letters]
                    found[f"{old}/{where}/{part}"] = np.concatenate(shares)
    found |= {f"{old}/{part}": model[f"{new}.{part}"] for old, new in pairs.items() for part in ("weight", "bias")}
    found |= {f"{old}/gamma": model[f"{new}.weight"] for old, new in norms.items()}
    return found | {f"{old}/beta": model[f"{new}.bias"] for old, new in norms.items()}


@pytest.fixture(scope="module")
def whisper_state() -> dict[str, Array]:
    sizes = {"d_model": 8, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "vocab_size": 20, "max_target_positions": 7}
    ids = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 1}
    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = WhisperForConditionalGeneration(WhisperConfig(**sizes, **ids, **layers, max_source_positions=9))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    # The output projection is the token embedding.
    return {name: tensor.numpy() for name, tensor in model.state_dict().items() if name != "proj_out.weight"}


def test_whisper_comes_back_parameter_by_parameter(whisper_state: dict[str, Array]) -> None:
    found = whisper_weights(stacked(whisper_state))
    assert sorted(found) == sorted(whisper_state)
    for name, array in whisper_state.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_whisper_with_a_bias_on_its_keys_is_refused(whisper_state: dict[str, Array]) -> None:
    variables = stacked(whisper_state)
    variables["decoder/layer_1/attention/linear_1/bias"][3] = 0.1
    with pytest.raises(OfflineModelError, match="decoder/layer_1/attention/linear_1/bias is not zero"):
        whisper_weights(variables)


def test_a_backbone_that_lacks_a_parameter_is_refused() -> None:
    with pytest.raises(OfflineModelError, match=r"no 'embeddings\.cls_token'"):
        vit_weights({}, layer_count=1)


SIZES = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(old=st.tuples(SIZES, SIZES), new=st.tuples(SIZES, SIZES), seed=st.integers(0, 2**32 - 1))
def test_bicubic_is_pytorchs(old: tuple[int, int], new: tuple[int, int], seed: int) -> None:
    table = np.random.default_rng(seed).standard_normal((*old, 3)).astype(np.float32)
    planes = torch.from_numpy(table).double().permute(2, 0, 1)[None]
    wanted = torch.nn.functional.interpolate(planes, size=new, mode="bicubic", align_corners=False)
    found = resize_bicubic(table, *new)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted[0].permute(1, 2, 0).numpy(), atol=1e-6)


@given(shapes=st.dictionaries(st.text(min_size=1, max_size=8), st.lists(st.integers(0, 4), max_size=3), max_size=5))
def test_safetensors_reads_what_is_written_and_order_does_not_matter(shapes: dict[str, list[int]]) -> None:
    shapes.pop("__metadata__", None)
    generator = np.random.default_rng(0)
    tensors = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    content = safetensors_bytes(tensors)
    assert content == safetensors_bytes(dict(reversed(tensors.items())))
    found = load(content)
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)


def test_arrays_that_lie_transposed_in_memory_are_written_in_order() -> None:
    table = np.arange(6, dtype=np.float32).reshape(2, 3).T
    np.testing.assert_array_equal(load(safetensors_bytes({"t": table}))["t"], table)


def test_json_does_not_depend_on_order() -> None:
    assert (
        json_bytes({"b": 1, "a": [2]}) == json_bytes({"a": [2], "b": 1}) == b'{\n  "a": [\n    2\n  ],\n  "b": 1\n}\n'
    )
