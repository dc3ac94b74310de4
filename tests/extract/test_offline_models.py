"""The three converted folders: the same bytes every time, whole, and loadable; and what the text model knows."""

from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from sadgr.cache.home import default_home
from sadgr.extract.offline import _CONVERTERS, OFFLINE_MODELS, offline_model
from sadgr.extract.offline.folders import _check
from sadgr.extract.offline.registry import Kind
from sadgr.extract.offline.wheels import fetch_wheel

Vectors = npt.NDArray[np.float32]


def cosines(vectors: npt.ArrayLike) -> Vectors:
    """(n, C) -> (n, n), the diagonal at -2, so that nothing is its own neighbour."""
    unit = np.asarray(vectors, dtype=np.float32)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    likeness: Vectors = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    return likeness


@pytest.mark.parametrize("kind", ["text", "audio", "video"])
def test_conversion_gives_the_same_bytes_again(kind: Kind) -> None:
    path = fetch_wheel(OFFLINE_MODELS[kind], default_home() / "offline" / "wheels", print)
    with ZipFile(path) as wheel:
        _check(OFFLINE_MODELS[kind], _CONVERTERS[kind](wheel))


@pytest.mark.parametrize(
    ("kind", "architecture", "options"),
    [
        ("text", "BertModel", {}),
        ("audio", "WhisperModel", {}),
        ("video", "ViTModel", {"add_pooling_layer": False}),
    ],
)
def test_every_weight_is_there_and_none_is_left_over(kind: Kind, architecture: str, options: dict[str, Any]) -> None:
    model, info = AutoModel.from_pretrained(offline_model(kind), output_loading_info=True, **options)
    assert type(model).__name__ == architecture
    assert model.dtype == torch.float32
    assert model.config.hidden_size == 384
    assert {name: list(keys) for name, keys in info.items() if keys} == {}


LIKE_PAIRS = [
    ("I loved every minute of this film.", "This movie was a pure delight from start to end."),
    ("The acting was dreadful.", "The performances were really bad."),
    ("The train was an hour late this morning.", "This morning my train arrived sixty minutes behind schedule."),
    ("She plays the violin in an orchestra.", "She is a musician who performs with a string instrument."),
    ("The soup needs more salt.", "This broth is a little bland and should be seasoned."),
    ("Stock prices fell sharply on Monday.", "Shares dropped a lot at the start of the week."),
]


@torch.inference_mode()
def test_sentences_of_like_meaning_are_nearest() -> None:
    folder = offline_model("text")
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    batch = tokenizer([sentence for pair in LIKE_PAIRS for sentence in pair], padding=True, return_tensors="pt")
    mask = batch.attention_mask[..., None]  # (12, L, 1)
    means = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)  # (12, 384)
    assert cosines(means).argmax(1).tolist() == [index ^ 1 for index in range(12)]
