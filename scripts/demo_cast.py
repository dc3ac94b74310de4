"""The demo's eight speakers: a voice, a face and a split each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from demo_face import Look
from demo_voice import Voice


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker, who belongs to one split only.

    Attributes:
        video_id: The speaker's name in `label.csv` and in the folder `Raw`.
        mode: The split that holds all of the speaker's clips.
        voice: How the speaker sounds before any sentiment.
        look: What the speaker looks like before any sentiment.
    """

    video_id: str
    mode: Literal["train", "valid", "test"]
    voice: Voice
    look: Look


_FAIR, _ROSY, _TAN, _OLIVE, _BROWN, _DARK = (
    (248, 214, 190),
    (243, 200, 178),
    (224, 172, 128),
    (208, 158, 112),
    (158, 104, 70),
    (112, 72, 50),
)

SPEAKERS = (
    Speaker(
        "ada",
        "train",
        Voice("en-us+f2", pitch_percent=50, rate_words_per_minute=160),
        Look(_FAIR, (122, 62, 36), (72, 112, 60), (66, 122, 132), (214, 228, 214), "long"),
    ),
    Speaker(
        "bruno",
        "train",
        Voice("en-us+m3", pitch_percent=42, rate_words_per_minute=165),
        Look(_TAN, (44, 34, 32), (84, 56, 36), (150, 62, 52), (206, 216, 232), "short", 53, has_beard=True),
    ),
    Speaker(
        "carla",
        "train",
        Voice("en-us+f4", pitch_percent=46, rate_words_per_minute=168),
        Look(_BROWN, (34, 26, 28), (66, 42, 28), (226, 168, 60), (236, 218, 204), "curly", 48),
    ),
    Speaker(
        "dmitri",
        "train",
        Voice("en-us+m1", pitch_percent=50, rate_words_per_minute=158),
        Look(_ROSY, (196, 156, 92), (76, 116, 160), (70, 84, 112), (226, 220, 236), "short", 51, has_glasses=True),
    ),
    Speaker(
        "elin",
        "train",
        Voice("en-us+f3", pitch_percent=42, rate_words_per_minute=162),
        Look(_FAIR, (222, 188, 112), (84, 134, 172), (172, 84, 122), (208, 232, 236), "bun", 47),
    ),
    Speaker(
        "farid",
        "valid",
        Voice("en-us+m7", pitch_percent=44, rate_words_per_minute=160),
        Look(_OLIVE, (52, 40, 36), (70, 52, 36), (72, 122, 84), (238, 230, 204), "bald", 52, has_beard=True),
    ),
    Speaker(
        "greta",
        "test",
        Voice("en-us+f5", pitch_percent=44, rate_words_per_minute=164),
        Look(_ROSY, (150, 66, 40), (90, 120, 76), (92, 96, 150), (232, 212, 222), "long", 49, has_glasses=True),
    ),
    Speaker(
        "hugo",
        "test",
        Voice("en-us+m2", pitch_percent=48, rate_words_per_minute=162),
        Look(_DARK, (28, 24, 26), (52, 34, 26), (208, 208, 214), (206, 226, 208), "curly", 52),
    ),
)
