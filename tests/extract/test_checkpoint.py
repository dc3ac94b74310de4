import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sadgr.extract.checkpoint import Checkpoint, ModelName, resolve
from sadgr.extract.encoder import choose_device, load_model
from sadgr.extract.errors import ModelUnavailableError
from sadgr.extract.presets import PRESETS


@pytest.fixture
def copied(tiny, tmp_path):
    return shutil.copytree(tiny("bert"), tmp_path / "copy")


def test_identity_follows_what_decides_features_and_nothing_else(tiny, copied):
    original = Checkpoint("a", tiny("bert")).identity()
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "transformers_version": "0", "_name_or_path": "/x"}))
    assert Checkpoint("b", copied).identity() == original
    (copied / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    assert Checkpoint("b", copied).identity() != original
    (copied / "config.json").write_text(json.dumps(config))
    weights = load_file(copied / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"] += 1e-3
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    assert Checkpoint("b", copied).identity()["weights"] != original["weights"]
    assert Checkpoint("b", copied).identity()["processor"] == original["processor"]


def test_a_checkpoint_that_lacks_weights_is_refused_instead_of_filled_at_random(copied):
    weights = load_file(copied / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailableError, match=r"lacks weights of 1 layers \(encoder.layer.1.output.dense.weight"):
        load_model(Checkpoint("copy", copied), torch.device("cpu"))


def test_a_checkpoint_without_its_unused_pooler_is_fine(copied):
    weights = {key: value for key, value in load_file(copied / "model.safetensors").items() if "pooler" not in key}
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    model = load_model(Checkpoint("copy", copied), torch.device("cpu"))
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_missing_model_says_what_would_cure_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelUnavailableError) as told:
        resolve(PRESETS["paper"].text, "text", local_files_only=True)
    for remedy in ("--preset offline", "--text-model FOLDER", "access to the hub"):
        assert remedy in str(told.value)


def test_a_snapshot_that_lies_here_needs_no_hub(monkeypatch, tmp_path, tiny):
    """The hub's own cache layout, with the pinned commit: what an earlier download leaves."""
    name = PRESETS["paper"].text
    snapshot = tmp_path / f"models--{name.name.replace('/', '--')}" / "snapshots" / name.revision
    shutil.copytree(tiny("bert"), snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    found = resolve(name, "text", local_files_only=False)
    assert found.folder == snapshot
    assert found.about == {"model": name.name, "revision": name.revision}


def test_folders_without_weights_or_config_are_refused(tmp_path):
    with pytest.raises(ModelUnavailableError, match=r"no config.json"):
        resolve(ModelName(str(tmp_path)), "audio")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailableError, match="no weights"):
        resolve(ModelName(str(tmp_path)), "audio").identity()


def test_names_are_read_as_people_write_them(tmp_path):
    assert ModelName.parse("facebook/hubert@abc") == ModelName("facebook/hubert", "abc")
    assert ModelName.parse(str(tmp_path)) == ModelName(str(tmp_path))
    assert str(ModelName.parse("bert-base-uncased")) == "bert-base-uncased"


def test_devices_are_tried_before_work_begins():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ModelUnavailableError, match="'warp'"):
        choose_device("warp")
    if not torch.cuda.is_available():
        with pytest.raises(ModelUnavailableError, match="cuda"):
            choose_device("cuda")
