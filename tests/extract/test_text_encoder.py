from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers

from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.errors import ClipError
from sadgr.extract.text import TextEncoder, text_settings

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


def test_an_empty_transcript_fails_in_words(encoder):
    with pytest.raises(ClipError, match="empty"):
        encoder.prepare([])


def test_tokens_come_with_their_ids_and_words(encoder, folder):
    text = "unbelievably good, so-so"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    expected = tokenizer(text.split(), is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        model = transformers.AutoModel.from_pretrained(folder).eval()
        hidden = model(expected["input_ids"]).last_hidden_state[0].numpy()
    found = encoder.encode([encoder.prepare(["it"]), encoder.prepare(text.split())])[1]
    np.testing.assert_allclose(found.tokens, hidden, rtol=1e-5, atol=1e-6)
    assert found.input_ids.tolist() == expected["input_ids"][0].tolist()
    assert found.word_ids.tolist() == [-1 if word is None else word for word in expected.word_ids()]
    assert found.word_ids[[0, -1]].tolist() == [-1, -1]
    assert (found.tokens.dtype, found.input_ids.dtype, found.word_ids.dtype) == (np.float32, np.int32, np.int32)


LONG = ("it was the best of times, it was the worst of times, unbelievably good acting; " * 6).split()


def test_a_transcript_that_fits_has_one_window_and_one_wordpiece_more_has_two(encoder):
    assert len(encoder.prepare(["it"] * 30).windows) == 1
    assert len(encoder.prepare(["it"] * 31).windows) == 2


def test_a_long_transcript_is_that_of_its_windows(encoder, folder):
    """Each window by itself through transformers, and put together by hand."""
    one = encoder.prepare(LONG)
    (found,) = encoder.encode([one])
    assert len(one.windows) > 3
    assert found.words.shape == (len(LONG), encoder.width)
    assert found.tokens.shape[0] == len(found.input_ids) == len(found.word_ids) == len(one.input_ids)
    assert (found.word_ids == -1).sum() == 2
    model = transformers.AutoModel.from_pretrained(folder).eval()
    expected, ids = [], one.input_ids
    for window in one.windows:
        assert window.stop - window.start <= 30
        cut = torch.cat([ids[:1], ids[1 + window.start : 1 + window.stop], ids[-1:]])
        with torch.inference_mode():
            hidden = model(cut[None]).last_hidden_state[0].numpy()
        if window is one.windows[0]:
            expected.append(hidden[:1])
        expected.append(hidden[1:-1][window.kept])
    expected = np.concatenate([*expected, hidden[-1:]])
    np.testing.assert_allclose(found.tokens, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.mean, expected.mean(axis=0), rtol=1e-4, atol=1e-6)
    for word in range(len(LONG)):
        np.testing.assert_allclose(
            found.words[word], expected[found.word_ids == word].mean(axis=0), rtol=1e-4, atol=1e-6
        )


def test_transcripts_that_fit_do_not_know_of_a_long_one_beside_them(encoder):
    short = [encoder.prepare(text.split()) for text in RAGGED]
    long = encoder.prepare(LONG)
    alone, (by_itself,) = encoder.encode(short), encoder.encode([long])
    mixed = encoder.encode([short[0], long, *short[1:]])
    for one, other in zip([alone[0], by_itself, *alone[1:]], mixed, strict=True):
        assert np.array_equal(one.tokens, other.tokens)
        assert np.array_equal(one.words, other.words)
        assert np.array_equal(one.mean, other.mean)


def test_a_word_longer_than_a_window_is_the_mean_of_its_wordpieces(encoder):
    (found,) = encoder.encode([encoder.prepare(["so", "so," * 20, "good"])])
    assert (found.word_ids == 1).sum() > 32
    assert found.words.shape == (3, encoder.width)
    np.testing.assert_allclose(found.words[1], found.tokens[found.word_ids == 1].mean(axis=0), rtol=1e-4, atol=1e-6)


def test_windows_are_part_of_what_identifies_text(folder):
    settings = text_settings(Checkpoint(folder.name, folder))
    assert settings["windowing"] == {"version": 1, "window": "longest input", "overlap_share": 0.25}
