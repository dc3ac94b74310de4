"""What is said for a transcript's word: numbers, money, times and abbreviations in lower-case words."""

from __future__ import annotations

import re
import unicodedata

from num2words import num2words

_LETTERS = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "ʻ": "'", "`": "'", "´": "'"}
    | {"æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ı": "i"}
    | {"½": "-half-", "¼": "-quarter-", "¾": "-three-quarters-", "™": "", "℠": ""}
)
_SIGNS = {"&": "and", "@": "at", "+": "plus", "%": "percent", "=": "equals", "#": "number"}
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
_MAGNITUDES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion"} | {
    name: name for name in ("thousand", "million", "billion", "trillion")
}
_CLIPPED = frozenset({"em", "n", "til", "cause", "bout", "tis", "twas"})
"""Words that begin with an apostrophe; before any other word it is a quotation mark."""

_LONGEST_NUMBER = 15
"""Digits beyond which nobody names a number; they are said one by one."""

_STRETCHED = re.compile(r"([a-hj-vyz])\1{2,}")
"""No English word has a letter three times running, and dictionaries hold "hmm", not "hmmmm"; VIII and www may."""

_SEAMS = re.compile(r"[-‐–—/]+|\.{2,}")
_EDGE = r"(?![$£€¥%#&@+=])[\W_]"
_EDGES = re.compile(rf"^(?:(?!\.\d){_EDGE})+|(?:{_EDGE})+$")
_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(rf"{_WHOLE}(?:\.\d+)?|\.\d+")
_MONEY = re.compile(rf"([$£€¥])(?=\.?\d)({_WHOLE}?)(?:\.(\d+))?({'|'.join(_MAGNITUDES)})?")
_ORDINAL = re.compile(rf"({_WHOLE})(?:st|nd|rd|th)")
_PLURAL = re.compile(rf"({_WHOLE})'?s")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?:([ap])(m))?")
_INITIALS = re.compile(r"([a-z](?:\.[a-z])+)\.?('s)?")
_YEAR = re.compile(r"1[1-9]\d\d|20[1-9]\d")
_PIECES = re.compile(
    r"(?<=\d)[ap](?=m(?![a-z]))|[a-z]+(?:'[a-z]+)*|'[a-z]+"
    rf"|{_WHOLE}(?:\.\d+)?|(?<![\w.])\.\d+|[&@+%=]|#(?=\d)|[^\W\d_]+"
)


def spoken_forms(word: str) -> tuple[str, ...]:
    """Says a transcript's word in lower-case words of letters and apostrophes.

    Numbers become words ("$5" five dollars, "1984" nineteen eighty-four), compounds and abbreviations their parts, and
    punctuation and brackets go ("(umm)" is umm). Letters that English does not have stay, for the pronouncer to refuse.

    Args:
        word: one word, as `split_words` gives it.

    Returns:
        What is spoken, in order; empty where nothing is, as for "--" or "♪".
    """
    plain = _without_accents(word.translate(_LETTERS)).casefold()
    return tuple(form for part in _SEAMS.split(plain) for form in _say(_core(part)))


def plain_letters(text: str) -> str:
    """Returns what two spellings of one word share: its spoken forms' letters, without gaps or apostrophes."""
    return "".join(spoken_forms(text)).replace("'", "")


def _without_accents(text: str) -> str:
    """é becomes e; letters of other scripts stay as they are."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _core(part: str) -> str:
    """Takes off quotation marks, brackets and punctuation, and shortens what is drawn out ("soooo")."""
    core = _STRETCHED.sub(r"\1\1", _EDGES.sub("", part))
    return f"'{core}" if core in _CLIPPED and f"'{core}" in part else core


def _say(text: str) -> list[str]:
    """Says a number of some kind or initials as a whole, any other word piece by piece."""
    if match := _MONEY.fullmatch(text):
        return _say_money(match[1], match[2], match[3] or "", match[4])
    if match := _ORDINAL.fullmatch(text):
        return _say_whole(match[1], "ordinal")
    if match := _PLURAL.fullmatch(text):
        *first, last = _say_whole(match[1], "year" if len(match[1]) == 4 else "cardinal")
        return [*first, last[:-1] + "ies" if last.endswith("y") else last + ("es" if last.endswith("x") else "s")]
    if match := _CLOCK.fullmatch(text):
        minutes = [] if match[2] == "00" else [*(["oh"] if match[2][0] == "0" else []), *_say_whole(str(int(match[2])))]
        return [*_say_whole(str(int(match[1]))), *minutes, *filter(None, match.groups()[2:])]
    if match := _INITIALS.fullmatch(text):
        *letters, last = match[1].split(".")
        return [*letters, last + (match[2] or "")]
    return [form for piece in _PIECES.findall(text) for form in _say_piece(piece)]


def _say_piece(piece: str) -> list[str]:
    if _YEAR.fullmatch(piece):  # four digits in a transcript are mostly a year
        return _say_whole(piece, "year")
    if _NUMBER.fullmatch(piece):
        return _say_decimal(*piece.split("."))
    return [_SIGNS.get(piece, piece)]


def _say_money(currency: str, whole: str, fraction: str, magnitude: str | None) -> list[str]:
    unit, units, hundredth, hundredths = _CURRENCIES[currency]
    if magnitude or len(fraction) not in (0, 2):
        named = [_MAGNITUDES[magnitude]] if magnitude else []
        return [*_say_decimal(whole, *filter(None, [fraction])), *named, units]
    said = [*_say_whole(whole), unit if whole == "1" else units] if whole.strip("0") or not fraction.strip("0") else []
    if fraction.strip("0"):
        said += ["and"] if said else []
        said += [*_say_whole(str(int(fraction))), hundredth if fraction == "01" else hundredths]
    return said


def _say_decimal(whole: str, *fraction: str) -> list[str]:
    said = _say_whole(whole) if whole else []
    return [*said, "point", *_say_digits(fraction[0])] if fraction else said


def _say_whole(digits: str, kind: str = "cardinal") -> list[str]:
    """Names a whole number as num2words does for that kind; a very long one, or one like 007, digit by digit."""
    number = digits.replace(",", "")
    if len(number) > _LONGEST_NUMBER or (len(number) > 1 and int(number[0]) == 0):
        return _say_digits(number)
    # "one hundred and twenty-three, four": speakers of American English leave the "and" out.
    return [name for name in re.findall(r"[a-z]+", num2words(int(number), to=kind).lower()) if name != "and"]


def _say_digits(digits: str) -> list[str]:
    return [name for digit in digits for name in _say_whole(digit)]
