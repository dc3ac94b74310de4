"""A drawn, talking face: one picture from a look (who) and a pose (what the face does just now)."""

from __future__ import annotations

from dataclasses import dataclass

from demo_pen import SUPERSAMPLING, Colour, Pen, Point, arc, bow, mix
from PIL import Image, ImageDraw

SIZE_PIXELS = 224
_INK = (52, 40, 44)
_HAIR_STYLES = frozenset({"short", "long", "bun", "curly", "bald"})


@dataclass(frozen=True, slots=True)
class Look:
    """A speaker's own face, before any sentiment.

    Attributes:
        skin: Skin colour.
        hair: Hair and eyebrow colour.
        eyes: Iris colour.
        shirt: Clothing colour.
        background: Behind the head.
        style: Hair: `short`, `long`, `bun`, `curly` or `bald`.
        head_width: Half the head's width in pixels.
        has_glasses: Whether glasses are worn.
        has_beard: Whether a beard is worn.
    """

    skin: Colour
    hair: Colour
    eyes: Colour
    shirt: Colour
    background: Colour
    style: str
    head_width: float = 50.0
    has_glasses: bool = False
    has_beard: bool = False

    def __post_init__(self) -> None:
        """Refuse a hair style that nobody draws."""
        if self.style not in _HAIR_STYLES:
            raise ValueError(f"hair style {self.style!r} is unknown, expected one of {sorted(_HAIR_STYLES)}")


@dataclass(frozen=True, slots=True)
class Pose:
    """What a face does at one moment.

    Attributes:
        expression: -1 (most negative) to 1 (most positive).
        opening: Of the mouth, 0 (closed) to 1 (wide).
        eyelids: 1 (as the expression wants them) down to 0 (shut).
        shift_x: Head moved to the right, pixels.
        shift_y: Head moved down, pixels.
        roll_radians: Head leant, clockwise.
    """

    expression: float
    opening: float
    eyelids: float
    shift_x: float
    shift_y: float
    roll_radians: float


def draw_face(look: Look, pose: Pose) -> Image.Image:
    """Draw one picture.

    Args:
        look: Whose face.
        pose: What it does.

    Returns:
        RGB picture of 224 x 224 pixels, antialiased.
    """
    side = SIZE_PIXELS * SUPERSAMPLING
    picture = Image.new("RGB", (side, side), look.background)
    draw = ImageDraw.Draw(picture)
    body = Pen(draw)
    head = Pen(draw, (pose.shift_x, pose.shift_y), pose.roll_radians)
    body.ellipse((112, 108), (96, 96), mix(look.background, (255, 255, 255), 0.25))
    _draw_hair_behind(head, look)
    _draw_body(body, look)
    _draw_head(head, look, pose.expression)
    for side_sign in (-1, 1):
        _draw_eye(head, look, pose, side_sign)
        _draw_brow(head, look, pose.expression, side_sign)
    _draw_mouth(head, look, pose)
    return picture.resize((SIZE_PIXELS, SIZE_PIXELS), Image.Resampling.LANCZOS)


def _draw_hair_behind(pen: Pen, look: Look) -> None:
    width = look.head_width
    if look.style == "long":
        pen.ellipse((112, 100), (width + 14, 66), look.hair)
        pen.area([(98 - width, 98), (126 + width, 98), *arc((112, 168), (width + 18, 22), 0, 180)], look.hair)
    elif look.style == "bun":
        pen.ellipse((112, 34), (24, 20), mix(look.hair, (0, 0, 0), 0.12))
    elif look.style == "curly":
        for point in arc((112, 98), (width + 4, 56), 150, 390)[::5]:
            pen.ellipse(point, (20, 20), look.hair)


def _draw_body(pen: Pen, look: Look) -> None:
    pen.ellipse((112, 246), (92, 56), look.shirt)
    pen.area([(90, 150), (134, 150), (138, 200), (86, 200)], mix(look.skin, (90, 40, 30), 0.22))
    pen.ellipse((112, 199), (26, 12), mix(look.skin, (90, 40, 30), 0.22))


def _draw_head(pen: Pen, look: Look, expression: float) -> None:
    width, shade = look.head_width, mix(look.skin, (150, 60, 40), 0.28)
    for side_sign in (-1, 1):
        pen.ellipse((112 + side_sign * width, 118), (9, 14), look.skin)
        pen.ellipse((112 + side_sign * (width + 1), 118), (4, 8), shade)
    pen.ellipse((112, 112), (width, 64), look.skin)
    blush = mix(look.skin, (232, 92, 84), 0.10 + 0.28 * max(expression, 0.0))
    for side_sign in (-1, 1):
        pen.ellipse((112 + side_sign * 31, 132 - 4 * expression), (11, 7.5), blush)
    if look.has_beard:
        jaw = arc((112, 114), (width + 1, 65), 8, 172)
        cheek = [bow(jaw[-1], (84, 141), (112, 138)), bow((112, 138), (140, 141), jaw[0])]
        pen.area([*jaw, *cheek[0], *cheek[1]], look.hair)
    pen.stroke(bow((106, 128), (112, 132), (118, 128)), 2.6, shade)
    _draw_fringe(pen, look)


def _draw_fringe(pen: Pen, look: Look) -> None:
    if look.style == "bald":
        return
    width = look.head_width
    outer = arc((112, 104), (width + 4, 62), 188, 352)
    parting = 96 if look.style in ("short", "long") else 112
    inner = [*bow((112 + width, 92), (134, 70), (parting, 66)), *bow((parting, 66), (88, 72), (112 - width, 92))]
    pen.area([*outer, *inner], look.hair)
    if look.style != "curly":
        pen.stroke(arc((112, 104), (width - 10, 50), 215, 265), 4, mix(look.hair, (255, 255, 255), 0.18))


def _draw_eye(pen: Pen, look: Look, pose: Pose, side_sign: int) -> None:
    x, y = 112 + side_sign * 22, 108
    joy, gloom = max(pose.expression, 0.0), max(-pose.expression, 0.0)
    upper = pose.eyelids * (9.0 + 1.5 * joy - 4.5 * gloom)
    lower = pose.eyelids * (7.0 - 3.5 * joy - 1.0 * gloom)
    left, right = (x - 12.0, y + 1.5), (x + 12.0, y + 1.5)
    lid, edge = bow(left, (x, y - upper + 1.5), right), bow(right, (x, y + lower + 1.5), left)
    pen.area(arc((x, y), (14, 12), 0, 360), mix(look.skin, (150, 60, 40), 0.10))
    pen.area([*lid, *edge], (250, 248, 244))
    _draw_iris(pen, look, (x, y), upper, lower)
    pen.stroke(lid, 2.6, _INK)
    pen.stroke(edge, 1.2, mix(look.skin, _INK, 0.45))
    if look.has_glasses:
        pen.stroke(arc((x, y + 1), (18, 16), 0, 360), 2.2, _INK)
        pen.stroke([(112 + side_sign * 4, y), (112, y - 2)], 2.2, _INK)


def _draw_iris(pen: Pen, look: Look, centre: Point, upper: float, lower: float) -> None:
    x, y = centre

    def clipped(radius: float) -> list[Point]:
        # A parabola's height falls off with the square of the distance from its middle.
        points = arc((x, y + 0.5), (radius, radius), 0, 360)
        heights = [1 - ((px - x) / 12.0) ** 2 for px, _ in points]
        return [
            (px, min(max(py, y + 1.5 - upper * h), y + 1.5 + lower * h))
            for (px, py), h in zip(points, heights, strict=True)
        ]

    pen.area(clipped(7.0), look.eyes)
    pen.area(clipped(3.6), (24, 20, 24))
    if upper > 5:
        pen.ellipse((x + 2.4, y - 2.0), (1.7, 1.7), (255, 255, 255))


def _draw_brow(pen: Pen, look: Look, expression: float, side_sign: int) -> None:
    joy, gloom = max(expression, 0.0), max(-expression, 0.0)
    inner = (112 + side_sign * (11 - 2 * gloom), 92 - 3 * joy + 7 * gloom)
    outer = (112 + side_sign * 36, 92 - 3 * joy - 2 * gloom)
    middle = (112 + side_sign * 24, 87 - 7 * joy + 2 * gloom)
    pen.stroke(bow(inner, middle, outer), 4.6, mix(look.hair, _INK, 0.35))


def _draw_mouth(pen: Pen, look: Look, pose: Pose) -> None:
    expression, joy, gloom = pose.expression, max(pose.expression, 0.0), max(-pose.expression, 0.0)
    half_width = 18 + 8 * joy + 1 * gloom - 4 * pose.opening
    corner_y, middle_y = 151 - 9 * expression, 151 + 3 * expression - 2 * pose.opening
    gap = 1.2 + 5 * max(joy - 0.3, 0.0) + 13 * pose.opening
    left, right = (112 - half_width, corner_y), (112 + half_width, corner_y)
    lip = mix(look.skin, (186, 52, 62), 0.62)
    upper = bow(left, (112, middle_y), right)
    lower = bow(right, (112, middle_y + gap), left)
    pen.area([*bow(left, (112, middle_y - 4), right), *bow(right, (112, middle_y + gap + 5), left)], lip)
    pen.stroke(upper, 1.8, mix(lip, _INK, 0.5))
    pen.area([*upper, *lower], (92, 26, 34))
    if gap > 4:
        teeth = bow(right, (112, middle_y + min(gap * 0.45, 5.0)), left)
        pen.area([*upper, *teeth], (252, 250, 246))
    for side_sign in (-1, 1):
        corner = (112 + side_sign * half_width, corner_y)
        pen.stroke([corner, (corner[0] + side_sign * 2.5, corner_y - 3 * expression)], 2.0, mix(lip, _INK, 0.45))
