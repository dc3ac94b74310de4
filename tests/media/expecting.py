"""What a reader must find in the media written here: arithmetic on what was written, nothing read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from planting import Film, Sound

FRAME_COUNT = 16
SPAN = (Fraction("0.7"), Fraction("1.9"))
LEAST_MARGIN_SECONDS = Fraction(1, 1000)
"""Containers round times to milliseconds; a frame that changes nearer to a sampling point would be drawn by lot."""
EXACT_SECONDS, LOSSY_SECONDS = 0.002, 0.005
"""How far a tone's edges may be off; a lossy codec smears them over a part of its block."""
NO_VIDEO, NO_AUDIO = {"failure": "no video stream"}, {"failure": "no audio stream"}

Shown = Sequence[tuple[int, Fraction]]
"""(number, when it comes on display in seconds) of each picture."""


@dataclass(frozen=True)
class Case:
    """A file, why it is here, and what reading its video and its audio must come to, as in the manifest."""

    name: str
    why: str
    video: dict[str, Any]
    audio: dict[str, Any]


def shown_by(film: Film) -> Shown:
    """Return what a film shows."""
    return [(film.first_number + order, start) for order, start in enumerate(film.starts)]


def expected_video(
    shown: Shown, end: Fraction, size: tuple[int, int], span: tuple[Fraction, Fraction] = SPAN, **more: Any
) -> dict[str, Any]:
    """Return what reading the whole must give, and reading a span; `size` is (width, height) as shown."""
    start, stop = span
    return {
        "size": list(size),
        **choice(shown, end, Fraction(0), end),
        "span": {"start": float(start), "end": float(stop), **choice(shown, end, start, stop)},
        **more,
    }


def choice(shown: Shown, end: Fraction, start: Fraction, stop: Fraction) -> dict[str, list[float]]:
    """Return the pictures on display at the centres of equal parts of [start, stop), and when they came on display.

    A picture that was there before `start` counts from `start`, and all times count from there.
    """
    ends = [*(time for _, time in shown[1:]), end]
    within = [(number, max(time, start)) for (number, time), leaves in zip(shown, ends, strict=True) if leaves > start]
    within = [(number, time) for number, time in within if time < stop]
    begin, parts = within[0][1], min(FRAME_COUNT, len(within))
    width = (min(stop, end) - begin) / parts
    chosen: dict[int, float] = {}
    for part in range(parts):
        centre = begin + width * (2 * part + 1) / 2
        if parts > 1 and min(abs(time - centre) for _, time in within) < LEAST_MARGIN_SECONDS:
            raise ValueError(f"a picture changes at a sampling point ({float(centre)} s); plant other times")
        number, time = max((one for one in within if one[1] <= centre), key=lambda one: one[1])
        chosen[number] = float(time - start)
    return {"numbers": list(chosen), "seconds": list(chosen.values())}


def expected_audio(sound: Sound, span: tuple[Fraction, Fraction] = SPAN, **more: Any) -> dict[str, Any]:
    """Return what reading the sound must give."""
    is_exact = sound.codec.startswith("pcm") or sound.codec == "flac"
    return {
        "hz": sound.hz,
        "onset": sound.onset,
        "offset": sound.offset,
        "level": sound.level,
        "tolerance": EXACT_SECONDS if is_exact else LOSSY_SECONDS,
        "span": [float(time) for time in span],
        **more,
    }
