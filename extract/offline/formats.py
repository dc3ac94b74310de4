"""Files written so that equal content is equal bytes, on every machine and with every version of every library."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys, indented, and with a newline at its end."""
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def safetensors_bytes(tensors: Mapping[str, FloatArray]) -> bytes:
    """A safetensors file, tensors in the order of their names.

    Written here rather than by the library, which promises a readable file but not the same bytes from one version
    to the next; the converted folders are recognised by their hashes.

    Args:
        tensors: Name -> float32 array of any shape.

    Returns:
        The file: header length (u64, little endian), JSON header padded to 8 bytes, then the arrays' own bytes.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blocks: list[bytes] = []
    end = 0
    for name, array in sorted(tensors.items()):
        blocks.append(array.astype("<f4", order="C").tobytes())
        start, end = end, end + len(blocks[-1])
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *blocks])
