"""One clip as MMSA's pickles have it, before padding."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sadgr.cache.doors.pick import Chosen, arrays_of
from sadgr.cache.doors.report import Arrays
from sadgr.cache.doors.word_axis import frames_on_words
from sadgr.cache.errors import CacheError
from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.schema import Array

Layout = Literal["aligned", "unaligned"]
MODALITIES = ("text", "audio", "video")


@dataclass(frozen=True)
class Row:
    """One clip: `text`, `audio`, `video` (L, D), None where it lacks the modality; `input_ids` (L,), where stored."""

    clip_id: str
    text: Array | None
    audio: Array | None
    video: Array | None
    input_ids: Array | None


def choose_arrays(chosen: Chosen, ids: Iterable[str], layout: Layout) -> dict[str, str]:
    """Return which array of each modality is exported, the same one for all clips.

    On the word axis that is `words` (for video, `frames` stands for what must be put onto it). Else it is the finest
    that every clip has: text `tokens` with their ids, audio `frames`, video `frames`; or `words`.
    """
    sets = chosen.feature_sets()
    finest: dict[str, set[str]] = {"text": {"tokens", "input_ids"}, "audio": {"frames"}, "video": {"frames"}}
    if layout == "aligned":
        has_words = _all_have(sets["video"], ids, {"words"})
        return {"text": "words", "audio": "words", "video": "words" if has_words else "frames"}
    names = {"text": "tokens", "audio": "frames", "video": "frames"}
    return {m: names[m] if _all_have(sets[m], ids, wanted) else "words" for m, wanted in finest.items()}


def _all_have(feature_set: FeatureSet, ids: Iterable[str], wanted: set[str]) -> bool:
    found = [arrays for clip_id in ids if (arrays := arrays_of(feature_set, clip_id)) is not None]
    return bool(found) and all(wanted <= arrays.keys() for arrays in found)


def make_row(chosen: Chosen, clip_id: str, layout: Layout, names: Mapping[str, str]) -> Row:
    """Return what one clip has.

    Args:
        chosen: feature sets of all three modalities, and word times where they are needed.
        clip_id: the clip.
        layout: on the word axis, or each modality in its own time.
        names: as `choose_arrays` gives.

    Raises:
        CacheError: the clip lacks all modalities, or an array that the layout needs.
    """
    sets = chosen.feature_sets()
    text, audio, video = (arrays_of(sets[modality], clip_id) for modality in MODALITIES)
    if text is None and audio is None and video is None:
        raise CacheError("no modality of it stands in the chosen feature sets")
    words = arrays_of(chosen.words, clip_id)
    row = Row(
        clip_id,
        None if text is None else _array("text", text, names["text"]),
        None if audio is None else _array("audio", audio, names["audio"]),
        None if video is None else _video(video, words, layout, names["video"]),
        None if text is None else text.get("input_ids"),
    )
    if layout == "aligned":
        _check_axis(row)
    return row


def _array(modality: str, arrays: Arrays, name: str) -> Array:
    if name not in arrays:
        raise CacheError(f"its {modality} features have no {name} (they have {', '.join(sorted(arrays))})")
    return arrays[name]


def _video(video: Arrays, words: Arrays | None, layout: Layout, name: str) -> Array:
    frames = _array("video", video, name)
    if layout == "unaligned" or name == "words":
        return frames
    seconds = _array("video", video, "seconds")
    if words is None:
        raise CacheError("it has no word times, without which its video frames cannot be put onto words")
    if not len(frames):
        raise CacheError("its video features have no frame")
    return frames_on_words(frames, seconds, words["start"], words["end"])


def _check_axis(row: Row) -> None:
    lengths = {name: len(one) for name in MODALITIES if (one := getattr(row, name)) is not None}
    if len(set(lengths.values())) > 1:
        raise CacheError(f"its modalities differ in their number of words: {lengths}; align and extract it again")


def dimensions(rows: list[Row]) -> dict[str, int]:
    """Return the width of each modality.

    Raises:
        CacheError: no clip has the modality, or clips differ.
    """
    found: dict[str, int] = {}
    for modality in MODALITIES:
        widths = {row.clip_id: int(one.shape[1]) for row in rows if (one := getattr(row, modality)) is not None}
        if not widths:
            raise CacheError(f"no clip that can be exported has {modality} features; MMSA needs all three modalities")
        found[modality] = next(iter(widths.values()))
        for clip_id, width in widths.items():
            if width != found[modality]:
                raise CacheError(f"clip {clip_id!r}: {modality} is {width} wide, other clips {found[modality]}")
    return found


def padded(arrays: list[Array | None], length: int, width: int) -> tuple[Array, Array]:
    """Put clips into one array, zeros at the end, as MMSA has it.

    Args:
        arrays: (L, width) each; None makes a clip of zeros and length 0.
        length: rows a clip gets; longer ones lose their end.
        width: features.

    Returns:
        (n, length, width) float32, and the lengths (n,) int64 that are real.
    """
    block = np.zeros((len(arrays), length, width), dtype=np.float32)
    lengths = np.array([0 if one is None else min(len(one), length) for one in arrays], dtype=np.int64)
    for place, one in enumerate(arrays):
        if one is not None:
            block[place, : lengths[place]] = one[:length]
    return block, lengths
