"""Clips as if they lacked some of their modalities. Free of torch, so that ``--help`` stays quick."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sadgr.cache import ClipFeatures

MODALITIES = ("text", "audio", "video")
TEXT, AUDIO, VIDEO = range(3)


def parse_modalities(text: str) -> tuple[str, ...]:
    """Read a list such as `text,audio`.

    Returns:
        Those named, in the order of `MODALITIES`.

    Raises:
        ValueError: There is no such modality, or none is named.
    """
    named = [name.strip() for name in text.split(",")]
    wrong = [name for name in named if name not in MODALITIES]
    if wrong:
        raise ValueError(f"there is no modality {wrong[0]!r}: name some of {','.join(MODALITIES)}, with commas between")
    return tuple(name for name in MODALITIES if name in named)


def only(clip: "ClipFeatures", modalities: tuple[str, ...]) -> "ClipFeatures":
    """Give a clip as if it had these modalities alone: its other features are gone, and their lengths with them."""
    names = [field.name for field in fields(clip) if field.name != "clip_id"]
    lost: dict[str, Any] = dict.fromkeys(name for name in names if name.split("_")[0] not in modalities)
    return replace(clip, **lost)
