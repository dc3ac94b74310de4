"""Pronunciations of words that the dictionary lacks: letters -> IPA (espeak-ng) -> the aligner's ARPAbet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sadgr.align.errors import AlignerUnavailable, UnpronounceableWord

LANGUAGE = "en-us"

ARPABET = {
    # vowels
    "i": "IY", "iː": "IY", "ɪ": "IH", "ᵻ": "IH", "e": "EH", "ɛ": "EH", "æ": "AE", "a": "AE", "aː": "AA",
    "ɑ": "AA", "ɑː": "AA", "ɒ": "AA", "ɔ": "AO", "ɔː": "AO", "o": "OW", "oː": "OW", "ʊ": "UH", "u": "UW",
    "uː": "UW", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɜː": "ER", "ɜ": "ER", "ɚ": "ER", "ɝ": "ER",
    # diphthongs, and vowels followed by r, l or schwa
    "eɪ": "EY", "aɪ": "AY", "ɔɪ": "OY", "oʊ": "OW", "əʊ": "OW", "aʊ": "AW", "aɪɚ": "AY ER", "aɪə": "AY AH",
    "iə": "IY AH", "əl": "AH L", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R",
    # consonants
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G", "tʃ": "CH", "dʒ": "JH", "f": "F", "v": "V",
    "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "m": "M", "n": "N", "ŋ": "NG",
    "l": "L", "ɹ": "R", "r": "R", "j": "Y", "w": "W",
    # allophones and borrowed sounds, by the nearest English one
    "ɾ": "T", "ʔ": "T", "n̩": "AH N", "m̩": "AH M", "l̩": "AH L", "x": "K", "ɬ": "L", "ɲ": "N Y", "nʲ": "N Y",
    "ɔ̃": "AO N", "ɑ̃": "AA N",
}  # fmt: skip

_IGNORED = "ˈˌːˑ"  # stress, and length where no longer match took it
_LONGEST = max(map(len, ARPABET))
_ENGLISH = re.compile(r"[a-z']*[a-z][a-z']*")


def ipa_to_arpabet(ipa: str) -> tuple[str, ...]:
    """Rewrites IPA as the phones of PocketSphinx's `cmudict-en-us`, longest match first.

    Args:
        ipa: One word in espeak-ng's American IPA.

    Returns:
        ARPAbet phones without stress.

    Raises:
        UnpronounceableWord: A symbol has no English counterpart in the table.
    """
    phones: list[str] = []
    position = 0
    while position < len(ipa):
        for length in range(_LONGEST, 0, -1):
            symbol = ipa[position : position + length]
            if symbol in ARPABET:
                phones += ARPABET[symbol].split()
                position += len(symbol)
                break
        else:
            if ipa[position] not in _IGNORED:
                raise UnpronounceableWord(f"the sound {ipa[position]!r} in /{ipa}/ has no ARPAbet phone")
            position += 1
    return tuple(phones)


class EspeakPronouncer:
    """English pronunciations by espeak-ng, from the optional packages of `sadgr[g2p]`."""

    def __init__(self) -> None:
        self._started: Any = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Engine, language and versions; the versions are None where the packages are not installed."""
        return {
            "engine": "espeak-ng",
            "language": LANGUAGE,
            "espeakng-loader": _installed("espeakng-loader"),
            "phonemizer": _installed("phonemizer"),
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"_started": None}  # the library handle stays in its process

    def pronounce(self, word: str) -> tuple[str, ...]:
        """Gives the ARPAbet phones of one lower-case English word.

        Raises:
            AlignerUnavailable: espeak-ng or phonemizer is not installed.
            UnpronounceableWord: The word has letters that English does not, or sounds outside the table.
        """
        if not _ENGLISH.fullmatch(word):
            # espeak-ng would name the script ("Chinese letter"): sounds that nobody in the clip has made.
            raise UnpronounceableWord(f"{word!r} has letters that English does not")
        ipa = "".join(self._backend(word).phonemize([word])).replace(" ", "")
        phones = ipa_to_arpabet(ipa)
        if not phones:
            raise UnpronounceableWord(f"espeak-ng finds nothing to say in {word!r}")
        return phones

    def _backend(self, word: str) -> Any:
        """Starts espeak-ng once; the word is for the message where it is not installed."""
        if self._started is None:
            self._started = _start_espeak(word)
        return self._started


def _start_espeak(word: str) -> Any:
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        remedy = 'pip install "sadgr[g2p]", or in a checkout: pip install ".[g2p]"'
        raise AlignerUnavailable(
            f"the word {word!r} is outside the aligner's dictionary and needs a pronunciation, and {error.name} is "
            f"missing: {remedy}"
        ) from error
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend(LANGUAGE)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
