"""Transcripts: their words, and the way back from an aligner's words to them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sadgr.align.spoken import plain_letters
from sadgr.align.words import Flag, WordTime

WORD_SPLITTING_VERSION = 2
"""Part of every fingerprint: features of words depend on what a word is."""

# Chinese is written without spaces: each ideograph counts as a word, as BERT's own splitting has it, with the punctuation
# that follows it. (CJK ideographs: the Unicode blocks that BERT names.)
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ebef\U0002f800-\U0002fa1f"
_WORD = re.compile(rf"[^\w\s]*[{_IDEOGRAPH}][^\w\s]*|(?:(?![{_IDEOGRAPH}])\S)+")


class Timed(NamedTuple):
    """An aligner's word: label, start and end in seconds, confidence in [0, 1]."""

    label: str
    start: float
    end: float
    score: float = 1.0


Span = tuple[float, float, float]
"""Where a word of the transcript lies: start and end in seconds, confidence in [0, 1]."""

_HAN = re.compile(f"[{_IDEOGRAPH}]")

_SHARE_MATCHED = 0.5
"""A word counts as found when at least this share of its letters stands in the aligner's words, and of theirs in it."""


def split_words(transcript: str) -> tuple[str, ...]:
    """Splits a transcript at white space, and Chinese into its characters: the word axis of text, audio and word times."""
    return tuple(transcript.split()) if not _HAN.search(transcript) else tuple(_WORD.findall(transcript))


def match_words(words: Sequence[str], timed: Sequence[Timed], unknown: frozenset[str]) -> list[Span | None]:
    """Finds each transcript word's span among an aligner's words, whatever it normalised.

    Equal words are paired first. In the stretches between, letters are matched, so that "don't" finds "do n't" and
    "1984" finds "nineteen eighty four"; within an aligner's word, time passes evenly over its letters.

    Args:
        words: N words of the transcript.
        timed: the aligner's words in order, silences left out.
        unknown: labels by which it marks words that it does not know; one stands for any single word.

    Returns:
        Span of each word, None where the aligner has no counterpart. A word that lies in several of the aligner's has
        the lowest of their scores.
    """
    letters = [plain_letters(word) for word in words]
    places = [place for place, wanted in enumerate(letters) if wanted]  # what cannot be spoken has no counterpart
    wanted = [letters[place] for place in places]
    timed = [one for one in timed if one.label.lower() in unknown or plain_letters(one.label)]
    found = ["" if label.lower() in unknown else plain_letters(label) for label, *_ in timed]
    matched: list[Span | None] = [None] * len(wanted)
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, wanted, found, autojunk=False).get_opcodes():
        if kind == "equal":
            matched[i1:i2] = [one[1:] for one in timed[j1:j2]]
        elif kind == "replace":
            matched[i1:i2] = _match_letters(wanted[i1:i2], timed[j1:j2], found[j1:j2])
    spans: list[Span | None] = [None] * len(words)
    for place, span in zip(places, matched, strict=True):
        spans[place] = span
    return spans


def fill_gaps(words: Sequence[str], spans: Sequence[Span | None], duration_seconds: float) -> tuple[WordTime, ...]:
    """Makes word times, sharing the gap between two timed words evenly among the untimed ones between them.

    Where there is no gap, the untimed words get an empty span at the boundary.

    Args:
        words: N words.
        spans: start and end in seconds and score of each word, or None where it has no time.
        duration_seconds: length of the clip.

    Returns:
        N word times; interpolated ones are flagged and have score 0.
    """
    times: list[WordTime] = []
    waiting: list[str] = []
    free_from = 0.0

    def share(until: float) -> None:
        edges = np.linspace(free_from, max(until, free_from), len(waiting) + 1).tolist()
        for word, begin, end in zip(waiting, edges[:-1], edges[1:], strict=True):
            times.append(WordTime(word, begin, end, 0.0, Flag.INTERPOLATED))
        waiting.clear()

    for word, span in zip(words, spans, strict=True):
        if span is None:
            waiting.append(word)
            continue
        share(until=span[0])
        times.append(WordTime(word, *span, Flag.ALIGNED))
        free_from = span[1]
    share(until=duration_seconds)
    return tuple(times)


def _match_letters(wanted: Sequence[str], timed: Sequence[Timed], found: Sequence[str]) -> list[Span | None]:
    """Matches a stretch of words letter by letter."""
    if len(wanted) == len(timed):
        pairs = list(zip(wanted, timed, found, strict=True))
        if all(not letters or letters == want for want, _, letters in pairs):
            return [one[1:] for _, one, _ in pairs]
    owner = [place for place, letters in enumerate(wanted) for _ in letters]
    source = [place for place, letters in enumerate(found) for _ in letters]
    slices = [
        (start + (end - start) * place / len(letters), start + (end - start) * (place + 1) / len(letters), score)
        for (_, start, end, score), letters in zip(timed, found, strict=True)
        for place in range(len(letters))
    ]
    blocks = SequenceMatcher(None, "".join(wanted), "".join(found), autojunk=False).get_matching_blocks()
    common = [(block.a + offset, block.b + offset) for block in blocks for offset in range(block.size)]
    used = Counter(source[right] for _, right in common)
    hits: list[list[Span]] = [[] for _ in wanted]
    for left, right in common:
        if used[source[right]] >= _SHARE_MATCHED * len(found[source[right]]):  # else "a" would find itself in "cat"
            hits[owner[left]].append(slices[right])
    spans: list[Span | None] = [
        (min(hit)[0], max(hit)[1], min(score for *_, score in hit))
        if len(hit) >= _SHARE_MATCHED * len(letters)
        else None
        for hit, letters in zip(hits, wanted, strict=True)
    ]
    return _place_unknown(spans, [one for one, letters in zip(timed, found, strict=True) if not letters])


def _place_unknown(spans: list[Span | None], unknown: Sequence[Timed]) -> list[Span | None]:
    """Gives the aligner's unknown words to words that are still without a span, where as many lie between two others.

    Args:
        spans: of a stretch of words, None where letters found nothing.
        unknown: labels of the same stretch that stand for any single word.
    """
    placed = list(spans)
    known = [(place, span) for place, span in enumerate(spans) if span]
    bounds = [(-1, (0.0, -math.inf, 0.0)), *known, (len(spans), (math.inf, 0.0, 0.0))]
    for (left, earlier), (right, later) in pairwise(bounds):
        between = [one for one in unknown if earlier[1] <= one.start and one.end <= later[0]]
        if len(between) == right - left - 1:
            placed[left + 1 : right] = [one[1:] for one in between]
    return placed
