"""Transcripts: words, what is spoken for each, and the way back from an aligner's words to the transcript's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from num2words import num2words

from sadgr.align.words import Flag, WordTime

WORD_SPLITTING_VERSION = 1
"""Part of every fingerprint: features of words depend on what a word is."""

Timed = tuple[str, float, float]
"""An aligner's word: label, start and end in seconds."""

_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"})
_SIGNS = {"&": "and", "@": "at", "+": "plus", "%": "percent", "=": "equals"}
_CURRENCIES = {"$": "dollar", "£": "pound", "€": "euro", "¥": "yen"}
_MONEY = re.compile(r"([$£€¥])(\d[\d,]*)(?:\.(\d\d))?")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_DECADE = re.compile(r"'?(\d{2}|\d{4})'?s")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")
_INITIALS = re.compile(r"(?:[a-z]\.){2,}(?:'s)?")
_PIECES = re.compile(r"[a-z]+(?:'[a-z]+)*'?|'[a-z]+|\d[\d,]*(?:\.\d+)?|[&@+%=]|[^\W\d_]+")
_SHARE_MATCHED = 0.5
"""A word counts as found when at least this share of its letters stands in the aligner's output."""


def split_words(transcript: str) -> tuple[str, ...]:
    """Splits a transcript at white space: the word axis of text, audio and word times."""
    return tuple(transcript.split())


def spoken_forms(word: str) -> tuple[str, ...]:
    """Says a transcript's word in lower-case words of letters and apostrophes.

    Numbers become words ("$5" five dollars, "1984" nineteen eighty-four), compounds and abbreviations their parts, and
    punctuation and brackets go ("(umm)" is umm). Letters that English does not have stay, for the pronouncer to refuse.

    Args:
        word: one word, as `split_words` gives it.

    Returns:
        What is spoken, in order; empty where nothing is, as for "--" or "♪".
    """
    plain = _without_accents(word.translate(_QUOTES).casefold())
    core = plain.strip("".join(c for c in set(plain) if not c.isalnum() and c not in "$£€¥%'&@+="))
    if _INITIALS.fullmatch(core + ("." if plain.startswith(core + ".") else "")):
        letters = re.findall(r"([a-z])\.?", core.removesuffix("'s"))
        return (*letters[:-1], letters[-1] + ("'s" if core.endswith("'s") else ""))
    core = core if core.lstrip("'") in {"cause", "em", "til", "bout", "n"} else core.strip("'")
    return tuple(form for piece in _numbers_said(core) for form in _pieces(piece))


def plain_letters(text: str) -> str:
    """Returns what two spellings of one word share: its spoken forms' letters, without gaps or apostrophes."""
    return "".join(spoken_forms(text)).replace("'", "")


def match_words(
    words: Sequence[str], timed: Sequence[Timed], unknown: frozenset[str]
) -> list[tuple[float, float] | None]:
    """Finds each transcript word's span among an aligner's words, whatever it normalised.

    Equal words are paired first. In the stretches between, letters are matched, so that "don't" finds "do n't" and
    "1984" finds "nineteen eighty four"; within an aligner's word, time passes evenly over its letters.

    Args:
        words: N words of the transcript.
        timed: the aligner's words in order, silences left out.
        unknown: labels by which it marks words that it does not know; one stands for any single word.

    Returns:
        (start, end) in seconds for each word, None where the aligner has no counterpart.
    """
    wanted = [plain_letters(word) for word in words]
    found = ["" if label.lower() in unknown else plain_letters(label) for label, _, _ in timed]
    spans: list[tuple[float, float] | None] = [None] * len(words)
    # Two words without letters are no match: nothing says that they are the same. Hence two different stand-ins.
    left, right = [letters or "<nothing>" for letters in wanted], [letters or "<unknown>" for letters in found]
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            spans[i1:i2] = [one[1:] for one in timed[j1:j2]]
        elif kind == "replace":
            spans[i1:i2] = _match_letters(wanted[i1:i2], timed[j1:j2], found[j1:j2])
    return spans


def fill_gaps(
    words: Sequence[str], spans: Sequence[tuple[float, float] | None], scores: Sequence[float], duration_seconds: float
) -> tuple[WordTime, ...]:
    """Makes word times, sharing the gap between two timed words evenly among the untimed ones between them.

    Where there is no gap, the untimed words get an empty span at the boundary.

    Args:
        words: N words.
        spans: (start, end) in seconds, or None where a word has no time.
        scores: confidence of each timed word, in [0, 1]; unused for untimed ones.
        duration_seconds: length of the clip.

    Returns:
        N word times; interpolated ones are flagged and have score 0.
    """
    times: list[WordTime] = []
    waiting: list[str] = []
    free_from = 0.0

    def share(until: float) -> None:
        step = max(until - free_from, 0.0) / max(len(waiting), 1)
        for number, word in enumerate(waiting):
            begin = free_from + number * step
            times.append(WordTime(word, begin, begin + step, 0.0, Flag.INTERPOLATED))
        waiting.clear()

    for word, span, score in zip(words, spans, scores, strict=True):
        if span is None:
            waiting.append(word)
            continue
        share(until=span[0])
        times.append(WordTime(word, *span, score, Flag.ALIGNED))
        free_from = span[1]
    share(until=duration_seconds)
    return tuple(times)


def _match_letters(
    wanted: Sequence[str], timed: Sequence[Timed], found: Sequence[str]
) -> list[tuple[float, float] | None]:
    """Matches a stretch of words letter by letter."""
    if len(wanted) == len(timed):
        pairs = list(zip(wanted, timed, found, strict=True))
        if all(not letters or letters == want for want, _, letters in pairs):
            return [one[1:] for _, one, _ in pairs]
    owner = [place for place, letters in enumerate(wanted) for _ in letters]
    slices = [
        (start + (end - start) * place / len(letters), start + (end - start) * (place + 1) / len(letters))
        for (_, start, end), letters in zip(timed, found, strict=True)
        for place in range(len(letters))
    ]
    hits: list[list[tuple[float, float]]] = [[] for _ in wanted]
    blocks = SequenceMatcher(None, "".join(wanted), "".join(found), autojunk=False).get_matching_blocks()
    for block in blocks:
        for offset in range(block.size):
            hits[owner[block.a + offset]].append(slices[block.b + offset])
    return [
        (min(hit)[0], max(hit)[1]) if hit and len(hit) >= _SHARE_MATCHED * len(letters) else None
        for hit, letters in zip(hits, wanted, strict=True)
    ]


def _without_accents(text: str) -> str:
    """é becomes e; letters of other scripts stay as they are."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _numbers_said(text: str) -> list[str]:
    """Say a word that is a number of some kind; any other word is returned as it is."""
    if match := _MONEY.fullmatch(text):
        unit = _CURRENCIES[match[1]]
        whole = int(match[2].replace(",", ""))
        said = [*_said(whole), unit if whole == 1 or unit == "yen" else unit + "s"]
        return said + (["and", *_said(int(match[3])), "cents"] if match[3] and int(match[3]) else [])
    if match := _ORDINAL.fullmatch(text):
        return _parts(num2words(int(match[1]), to="ordinal"))
    if match := _DECADE.fullmatch(text):
        words = _year(int(match[1])) if len(match[1]) == 4 else _said(int(match[1]))
        return [*words[:-1], words[-1][:-1] + "ies" if words[-1].endswith("y") else words[-1] + "s"]
    if match := _CLOCK.fullmatch(text):
        minutes = int(match[2])
        return [*_said(int(match[1])), *(["oh"] if 0 < minutes < 10 else []), *(_said(minutes) if minutes else [])]
    return [text]


def _pieces(text: str) -> list[str]:
    """Cut at hyphens, slashes and between letters and digits; say numbers and signs."""
    said: list[str] = []
    for piece in _PIECES.findall(text):
        if piece in _SIGNS:
            said.append(_SIGNS[piece])
        elif _NUMBER.fullmatch(piece):
            said += _digits_said(piece)
        else:
            said.append(piece)
    return said


def _digits_said(digits: str) -> list[str]:
    if re.fullmatch(r"1[1-9]\d\d|20[1-9]\d", digits):  # four digits in a transcript are mostly a year
        return _year(int(digits))
    number = digits.replace(",", "")
    if len(number) > 15 or (len(number) > 1 and number.startswith("0") and "." not in number):
        return [word for digit in number if digit.isdigit() for word in _said(int(digit))]
    return _parts(num2words(float(number) if "." in number else int(number)))


def _year(year: int) -> list[str]:
    return _parts(num2words(year, to="year"))


def _said(number: int) -> list[str]:
    return _parts(num2words(number))


def _parts(text: str) -> list[str]:
    """num2words writes "one hundred and twenty-three, four": speakers of American English leave the "and" out."""
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word != "and"]
