"""A pen for faces: smooth shapes, enlarged for antialiasing, moved and turned about the neck."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import ImageDraw

SUPERSAMPLING = 3
_NECK = (112.0, 190.0)

Point = tuple[float, float]
Colour = tuple[int, int, int]


class Pen:
    """Draws on an enlarged picture in the final picture's pixels, moved and turned about the neck."""

    def __init__(self, draw: ImageDraw.ImageDraw, shift: Point = (0.0, 0.0), roll_radians: float = 0.0) -> None:
        self._draw = draw
        self._shift = shift
        self._cos, self._sin = math.cos(roll_radians), math.sin(roll_radians)

    def _place(self, point: Point) -> Point:
        x, y = point[0] - _NECK[0], point[1] - _NECK[1]
        turned_x, turned_y = x * self._cos - y * self._sin, x * self._sin + y * self._cos
        return (
            (turned_x + _NECK[0] + self._shift[0]) * SUPERSAMPLING,
            (turned_y + _NECK[1] + self._shift[1]) * SUPERSAMPLING,
        )

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._place(point) for point in points], fill=colour)

    def ellipse(self, centre: Point, radii: Point, colour: Colour) -> None:
        """Fill an ellipse."""
        self.area(arc(centre, radii, 0, 360), colour)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line with round ends."""
        placed = [self._place(point) for point in points]
        thick = width * SUPERSAMPLING
        self._draw.line(placed, fill=colour, width=round(thick), joint="curve")
        for x, y in (placed[0], placed[-1]):
            self._draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)


def arc(centre: Point, radii: Point, start_degrees: float, end_degrees: float) -> list[Point]:
    """Points along an ellipse, clockwise from the right as pictures count angles."""
    steps = 48
    angles = (math.radians(start_degrees + (end_degrees - start_degrees) * i / steps) for i in range(steps + 1))
    return [(centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles]


def bow(start: Point, middle: Point, end: Point) -> list[Point]:
    """Points along the parabola from start to end that passes through middle."""
    control = (2 * middle[0] - (start[0] + end[0]) / 2, 2 * middle[1] - (start[1] + end[1]) / 2)

    def at(t: float, axis: int) -> float:
        return (1 - t) ** 2 * start[axis] + 2 * t * (1 - t) * control[axis] + t**2 * end[axis]

    return [(at(step / 16, 0), at(step / 16, 1)) for step in range(17)]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours; share 0 is the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
