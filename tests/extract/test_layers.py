"""Layers against the hidden states that transformers gives for the same input."""

import numpy as np
import pytest
import torch
import transformers

from sadgr.extract.audio import audio_settings, load_audio_encoder
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.errors import ModelUnavailableError
from sadgr.extract.layers import LAST, Layer
from sadgr.extract.text import TextEncoder, text_settings

CPU = torch.device("cpu")
TEXT = ["bert", "roberta"]
AUDIO = ["hubert", "hubert-stable", "wavlm", "wav2vec2", "whisper"]
LAYERS = 2  # of every tiny model
WORDS = ["it", "was", "the", "best", "of", "times"]
WAVE = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "layer", "name"),
    [
        ("last", Layer(), "last"),
        (" last ", Layer(), "last"),
        ("last:1", Layer(), "last"),
        ("last:4", Layer(mean_of=4), "last:4"),
        ("last:04", Layer(mean_of=4), "last:4"),
        ("9", Layer(number=9), "9"),
        ("0", Layer(number=0), "0"),
    ],
)
def test_a_layer_is_read_and_has_one_name(text, layer, name):
    assert Layer.parse(text) == layer
    assert str(layer) == name
    assert Layer.parse(name) == layer


@pytest.mark.parametrize(
    "text", ["", "first", "-1", "last:0", "last:", "last:-2", "4:last", "1.5", "mean", "LAST", "9 8"]
)
def test_what_names_no_layer_is_refused_in_words(text):
    with pytest.raises(ValueError, match=r"names no layer; expected `last`, a number"):
        Layer.parse(text)


def test_layers_that_cannot_be():
    for arguments in ({"number": -1}, {"mean_of": 0}, {"number": 3, "mean_of": 2}):
        with pytest.raises(ValueError, match="no layer"):
            Layer(**arguments)


@pytest.fixture(scope="module", params=[*TEXT, *AUDIO])
def checkpoint(request, tiny):
    return Checkpoint(request.param, tiny(request.param))


def found(checkpoint, layer):
    """Vectors of all steps, (L, D)."""
    if checkpoint.short_name in TEXT:
        encoder = TextEncoder(checkpoint, CPU, layer)
        return encoder.encode([encoder.prepare(WORDS)])[0].tokens
    encoder = load_audio_encoder(checkpoint, CPU, layer)
    return encoder.encode([encoder.prepare(WAVE)])[0].frames


@pytest.fixture(scope="module")
def states(checkpoint):
    """Transformers' own answer: (last hidden state, all hidden states), each (L, D)."""
    model = transformers.AutoModel.from_pretrained(checkpoint.folder).eval()
    if checkpoint.short_name in TEXT:
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, add_prefix_space=True)
        inputs = dict(tokenizer(" ".join(WORDS), return_tensors="pt"))
        inputs.pop("token_type_ids", None)
    else:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(checkpoint.folder)
        inputs = extractor(WAVE, sampling_rate=16000, return_tensors="pt")
        inputs.pop("attention_mask", None)
    if checkpoint.short_name == "whisper":
        model = model.get_encoder()
    with torch.inference_mode():
        output = model(**inputs, output_hidden_states=True)
    steps = 50 if checkpoint.short_name == "whisper" else None
    assert len(output.hidden_states) == 1 + LAYERS
    return output.last_hidden_state[0, :steps].numpy(), [one[0, :steps].numpy() for one in output.hidden_states]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_layers_are_transformers_hidden_states(checkpoint, states):
    last, hidden = states
    close(found(checkpoint, Layer(0)), hidden[0])
    close(found(checkpoint, Layer(1)), hidden[1])
    close(found(checkpoint, LAST), last)
    close(found(checkpoint, Layer(LAYERS)), last)


def test_a_mean_of_layers_is_the_mean_with_the_last_hidden_state_as_last(checkpoint, states):
    last, hidden = states
    close(found(checkpoint, Layer(mean_of=2)), (hidden[1] + last) / 2)


def test_some_models_norm_after_the_last_layer(tiny):
    """Why the last layer is no `hidden_states[-1]`: else the tests above would prove less."""
    model = transformers.AutoModel.from_pretrained(tiny("hubert-stable")).eval()
    with torch.inference_mode():
        output = model(torch.from_numpy(WAVE)[None], output_hidden_states=True)
    assert not torch.allclose(output.hidden_states[-1], output.last_hidden_state, atol=1e-2)


@pytest.mark.parametrize("layer", [Layer(LAYERS + 1), Layer(mean_of=LAYERS + 1)])
def test_a_layer_that_a_model_lacks_is_refused_before_weights_are_loaded(checkpoint, layer, monkeypatch):
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", None)
    text = checkpoint.short_name in TEXT
    for use in (
        lambda: found(checkpoint, layer),
        lambda: (text_settings if text else audio_settings)(checkpoint, layer),
    ):
        with pytest.raises(
            ModelUnavailableError, match=rf"encoder has {LAYERS} layers; expected `last`, 0 to {LAYERS}"
        ):
            use()


def test_the_last_layer_has_one_name_in_the_fingerprint(checkpoint):
    settings = text_settings if checkpoint.short_name in TEXT else audio_settings
    assert settings(checkpoint)["layer"] == "last"
    assert settings(checkpoint) == settings(checkpoint, Layer(LAYERS)) == settings(checkpoint, Layer(mean_of=1))
    assert settings(checkpoint, Layer(1))["layer"] == "1"
    assert settings(checkpoint, Layer(mean_of=2))["layer"] == "last:2"


def test_a_config_without_a_number_of_layers():
    assert Layer().of({}) == LAST
    with pytest.raises(ModelUnavailableError, match="does not say how many layers"):
        Layer(3).of({"model_type": "odd"})
