from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.errors import ClipError
from sadgr.extract.text import TextEncoder

CPU = torch.device("cpu")
RAGGED = ["so", "it was the best of times", "unbelievably good", "zebra, I guess! it was so-so"]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tiny):
    return tiny(request.param)


@pytest.fixture(scope="module")
def encoder(folder):
    return TextEncoder(Checkpoint(folder.name, folder), CPU)


def test_a_clip_alone_equals_itself_in_a_ragged_batch(encoder):
    prepared = [encoder.prepare(text.split()) for text in RAGGED]
    together = encoder.encode(prepared)
    for one, batched in zip(prepared, together, strict=True):
        (alone,) = encoder.encode([one])
        assert alone.words.shape == (one.words, encoder.width)
        np.testing.assert_allclose(batched.words, alone.words, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batched.mean, alone.mean, rtol=1e-5, atol=1e-6)


def test_words_are_means_of_their_wordpieces_and_the_mean_holds_cls_and_sep(encoder, folder):
    text = "unbelievably good, so-so"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    pieces = [tokenizer(" " + word, add_special_tokens=False)["input_ids"] for word in text.split()]
    assert max(map(len, pieces)) > 1, "the test needs a word of several wordpieces"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert ids.shape[1] == 2 + sum(map(len, pieces))
    hidden = transformers.AutoModel.from_pretrained(folder).eval()(ids).last_hidden_state[0].detach().numpy()
    (found,) = encoder.encode([encoder.prepare(text.split())])
    edges = 1 + np.cumsum([0, *map(len, pieces)])
    for word, (first, last) in enumerate(pairwise(edges)):
        np.testing.assert_allclose(found.words[word], hidden[first:last].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.mean, hidden.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_a_word_that_the_tokenizer_drops_keeps_its_place(encoder, monkeypatch):
    """BERT's normaliser removes control characters, so that a word of them leaves no wordpiece."""
    real = encoder._tokenizer

    class Dropping:
        def __getattr__(self, name):
            return getattr(real, name)

        def __call__(self, words, **options):
            return real(["" if word == "\u200b" else word for word in words], **options)

    monkeypatch.setattr(encoder, "_tokenizer", Dropping())
    lost = encoder.prepare(["it", "\u200b", "was"])
    unknown = encoder.prepare(["it", real.unk_token, "was"])
    assert lost.words == 3
    assert torch.equal(lost.input_ids, unknown.input_ids)


def test_too_long_and_empty_transcripts_fail_in_words(encoder):
    encoder.prepare(["it"] * 30)
    with pytest.raises(ClipError, match=r"33 wordpieces, the model takes 32"):
        encoder.prepare(["it"] * 31)
    with pytest.raises(ClipError, match="empty"):
        encoder.prepare([])
