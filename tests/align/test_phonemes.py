"""From IPA to the aligner's phones."""

from __future__ import annotations

import pickle
import sys

import pytest

from sadgr.align.errors import AlignerUnavailable, UnpronounceableWord
from sadgr.align.phonemes import ARPABET, EspeakPronouncer, ipa_to_arpabet

CMUDICT_PHONES = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("wɛb", "W EH B"),
        ("tʃɜːtʃ", "CH ER CH"),  # an affricate is one phone
        ("dʒʌdʒ", "JH AH JH"),
        ("taɪm", "T AY M"),  # so is a diphthong
        ("faɪɚ", "F AY ER"),
        ("kɑːɹ", "K AA R"),
        ("fiːld", "F IY L D"),
        ("bʌʔn̩", "B AH T AH N"),
        ("ˈhɛlˌoʊ", "HH EH L OW"),  # stress goes
        ("wiːː", "W IY"),  # and length that no phone takes
    ],
)
def test_known_words(ipa, phones):
    assert ipa_to_arpabet(ipa) == tuple(phones.split())


@pytest.mark.parametrize("ipa", ["ʘa", "pʀa", "(en)", "ɣ", "a b"])
def test_an_unknown_sound_is_an_error_and_never_left_out(ipa):
    with pytest.raises(UnpronounceableWord, match="no ARPAbet phone"):
        ipa_to_arpabet(ipa)


def test_the_table_holds_the_dictionarys_phones_and_no_other():
    assert {phone for phones in ARPABET.values() for phone in phones.split()} == set(CMUDICT_PHONES.split())


def test_espeak_speaks_words_that_no_dictionary_has():
    pytest.importorskip("phonemizer", reason="sadgr[g2p] is not installed")
    pronouncer = EspeakPronouncer()
    assert " ".join(pronouncer.pronounce("cleanrooms")) == "K L IY N R UW M Z"
    assert " ".join(pronouncer.pronounce("zorbled")) == "Z AO R B AH L D"
    assert pickle.loads(pickle.dumps(pronouncer)).pronounce("webb") == ("W", "EH", "B")  # noqa: S301


def test_espeak_agrees_with_the_dictionary_about_most_sounds():
    pytest.importorskip("phonemizer", reason="sadgr[g2p] is not installed")
    pocketsphinx = pytest.importorskip("pocketsphinx")
    with open(f"{pocketsphinx.get_model_path()}/en-us/cmudict-en-us.dict") as lines:  # noqa: PTH123
        entries = [line.split() for line in lines if "(" not in line]
    pronouncer = EspeakPronouncer()
    sample = [entry for entry in entries[::400] if entry[0].isalpha()]
    right = [pronouncer.pronounce(word)[0] == phones[0] for word, *phones in sample]
    assert len(sample) > 200
    assert sum(right) / len(right) > 0.85  # first phones; vowels differ by accent and name by name


@pytest.mark.parametrize("word", ["привет", "日本", "''", "", "two words", "<sil>"])
def test_letters_that_english_lacks_are_refused_before_espeak_names_their_script(word):
    with pytest.raises(UnpronounceableWord):
        EspeakPronouncer().pronounce(word)


@pytest.mark.parametrize("missing", ["espeakng_loader", "phonemizer.backend"])
def test_missing_packages_name_their_remedy(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(AlignerUnavailable, match=r'pip install "sadgr\[g2p\]"'):
        EspeakPronouncer().pronounce("zorbled")


def test_settings_name_engine_and_versions():
    settings = EspeakPronouncer().settings
    assert settings["engine"] == "espeak-ng"
    assert {"phonemizer", "espeakng-loader", "language"} <= set(settings)
