"""A clip's time line in plain text: words, their confidences, video frames and feature norms, as wide as the terminal."""

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sadgr.cache.report.timeline import Curve, TimeLine, WordLane
from sadgr.cache.store import WordTimes

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "12345678"
"""Where an output's encoding has no blocks."""
LETTERS_A_SECOND = 14
"""Room for a second of speech, so that most words stand in full."""
MOST_STRETCHES = 12
"""A longer clip is told more coarsely: nobody reads a screen that runs on for minutes."""
LEAST_COLUMNS = 20
_NAME_COLUMNS = 11
_MARK = "|"
_RULES = (0.5, 1, 5, 10, 60, 600, 3600)
_RULED_COLUMNS = 6


def drawn(line: TimeLine, columns: int, blocks: str = BLOCKS) -> list[str]:
    """Return the time line's rows of text, none where nothing of the clip has a time.

    Each stretch of time shows a ruler; a row of words, each from the column where it begins (`|`); their confidence, from
    0 to 1; `^` for each video frame; and for each curve its values between the clip's lowest and highest.

    Args:
        line: the clip.
        columns: width of the terminal.
        blocks: eight characters, from low to high.
    """
    if line.seconds <= 0:
        return []
    room = max(columns - _NAME_COLUMNS - 1, LEAST_COLUMNS)
    step = max(room / LETTERS_A_SECOND, line.seconds / MOST_STRETCHES)
    count = max(1, int(np.ceil(line.seconds / step - 1e-9)))
    rows: list[str] = []
    for number in range(count):
        span = (number * step, (number + 1) * step)
        stretch = [*_stretch(line, span, room, blocks)]
        rows += [f"{name[:_NAME_COLUMNS]:>{_NAME_COLUMNS}} {text}".rstrip() for name, text in stretch]
    return [*rows, *(_legend(curve) for curve in line.norms)]


def cleaned(text: str) -> str:
    """Return text on one line whose control characters, which a terminal would obey, are shown as `?`."""
    shown = "".join("?" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") else one for one in text)
    return unicodedata.normalize("NFC", shown)


def sparkline(values: npt.NDArray[np.float64], low: float, high: float, blocks: str = BLOCKS) -> str:
    """Return a block for each value, a space for one that is not finite.

    Args:
        values: (n,).
        low: what the lowest block stands for.
        high: what the highest one stands for.
        blocks: eight characters, from low to high.
    """
    known = np.isfinite(values)
    extent = high - low or 1.0
    places = ((np.where(known, values, low) - low) / extent * len(blocks)).astype(int).clip(0, len(blocks) - 1)
    return "".join(blocks[place] if is_known else " " for place, is_known in zip(places, known, strict=True))


def _stretch(line: TimeLine, span: tuple[float, float], room: int, blocks: str) -> Iterator[tuple[str, str]]:
    yield "seconds", _ruler(span, room)
    for lane in line.lanes:
        yield "words", _words(lane, span, room)
        scores = [_per_word(lane.times, lane.times.score.astype(float), span, room)]
        yield "confidence", sparkline(scores[0], 0.0, 1.0, blocks)
    if len(line.frame_seconds):
        marks = np.full(room, " ")
        marks[_columns(line.frame_seconds, span, room)] = "^"
        yield "frames", "".join(marks)
    for curve in line.norms:
        finite = curve.values[np.isfinite(curve.values)]
        if len(finite):
            values = _along(curve, line.lanes, span, room)
            yield curve.name.split(",")[0], sparkline(values, float(finite.min()), float(finite.max()), blocks)


def _legend(curve: Curve) -> str:
    finite = curve.values[np.isfinite(curve.values)]
    extent = f"{finite.min():.4g} to {finite.max():.4g}" if len(finite) else "none"
    return f"{'':{_NAME_COLUMNS}} norm of {curve.name}: {extent}"


def _ruler(span: tuple[float, float], room: int) -> str:
    marks = [" "] * room
    step = next((one for one in _RULES if one / (span[1] - span[0]) * room >= _RULED_COLUMNS), _RULES[-1])
    for number in range(int(np.ceil(span[0] / step - 1e-9)), int(np.ceil(span[1] / step))):
        text = f"{_MARK}{number * step:g}"
        place = int((number * step - span[0]) / (span[1] - span[0]) * room)
        if place + len(text) < room:
            marks[place : place + len(text)] = text
    return "".join(marks)


def _columns(seconds: npt.NDArray[np.float64], span: tuple[float, float], room: int) -> npt.NDArray[np.intp]:
    """Return the columns of the times that lie in a stretch."""
    inside = seconds[(seconds >= span[0]) & (seconds < span[1])]
    return np.minimum(((inside - span[0]) / (span[1] - span[0]) * room).astype(np.intp), room - 1)


def _words(lane: WordLane, span: tuple[float, float], room: int) -> str:
    """Return words at their columns, each cut where the next one begins."""
    inside = np.flatnonzero((lane.times.start >= span[0]) & (lane.times.start < span[1]))
    inside = inside[np.argsort(lane.times.start[inside], kind="stable")]
    places = [*_columns(lane.times.start[inside], span, room).tolist(), room]
    text = ""
    width = 0
    for place, following, word in zip(places[:-1], places[1:], lane.times.text[inside], strict=True):
        text += " " * (place - width)
        shown = fitted(_MARK + cleaned(str(word)), following - place)
        text += shown
        width = max(width, place) + columns_of(shown)
    return text


def fitted(text: str, columns: int) -> str:
    """Return as much of a text as these columns hold."""
    shown, width = "", 0
    for letter in text:
        width += columns_of(letter)
        if width > columns:
            break
        shown += letter
    return shown


def columns_of(text: str) -> int:
    """Return the columns that a terminal gives a text: two for a wide letter, none for a mark on another."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _per_word(
    times: WordTimes, values: npt.NDArray[np.float64], span: tuple[float, float], room: int
) -> npt.NDArray[np.float64]:
    """Return values of words (N,) over the columns (room,) that each is spoken in; NaN between them."""
    middles = span[0] + (np.arange(room) + 0.5) * (span[1] - span[0]) / room
    columns = np.full(room, np.nan)
    for start, end, value in zip(times.start, times.end, values, strict=True):
        inside = (middles >= start) & (middles < end)
        inside[_columns(np.array([start]), span, room)] = True  # a short word has a column, too
        columns[inside] = value
    return columns


def _along(curve: Curve, lanes: Sequence[WordLane], span: tuple[float, float], room: int) -> npt.NDArray[np.float64]:
    """Return a curve's values (room,): a word's as long as it is spoken, any other where its time is."""
    if curve.lane is not None:
        return _per_word(lanes[curve.lane].times, curve.values, span, room)
    columns = np.full(room, np.nan)
    inside = (curve.seconds >= span[0]) & (curve.seconds < span[1])
    columns[_columns(curve.seconds, span, room)] = curve.values[inside]
    return columns
