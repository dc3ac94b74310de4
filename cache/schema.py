"""What a feature set holds: modalities, the arrays of a clip, and how they are stored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sadgr.cache.errors import RefusedValueError
from sadgr.cache.identity import fingerprint
from sadgr.cache.ids import normalise_id

FORMAT_VERSION = 1
MODALITIES = ("words", "text", "audio", "video")
FINGERPRINT_DIGITS = 12
"""Digits of the fingerprint that stand in a feature set's folder name."""

FEATURE = "float16"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ArrayRule:
    """How one named array is stored.

    Attributes:
        dtype: stored type; `str` stands for fixed-width UTF-8.
        ndim: number of dimensions.
        axis: what its first dimension counts; arrays of a clip that share an axis are equally long. Empty for one vector
            a clip, which is kept in a table over the shard's clips instead of a data set of its own.
        required: whether every clip that has the modality has it.
    """

    dtype: str
    ndim: int
    axis: str = ""
    required: bool = False

    @property
    def flat(self) -> bool:
        """Whether it is one vector a clip."""
        return not self.axis


_WORD = "words"
ARRAYS: Mapping[str, Mapping[str, ArrayRule]] = {
    "words": {
        "text": ArrayRule("str", 1, _WORD, required=True),
        "start": ArrayRule("float64", 1, _WORD, required=True),
        "end": ArrayRule("float64", 1, _WORD, required=True),
        "score": ArrayRule("float32", 1, _WORD, required=True),
        "flag": ArrayRule("uint8", 1, _WORD, required=True),
    },
    "text": {
        "words": ArrayRule(FEATURE, 2, _WORD),
        "tokens": ArrayRule(FEATURE, 2, "tokens"),
        "input_ids": ArrayRule("int32", 1, "tokens"),
        "word_ids": ArrayRule("int32", 1, "tokens"),
        "mean": ArrayRule(FEATURE, 1),
    },
    "audio": {
        "words": ArrayRule(FEATURE, 2, _WORD),
        "frames": ArrayRule(FEATURE, 2, "frames"),
        "mean": ArrayRule(FEATURE, 1),
        "mean_words": ArrayRule(FEATURE, 1),
    },
    "video": {
        "words": ArrayRule(FEATURE, 2, _WORD),
        "frames": ArrayRule(FEATURE, 2, "frames"),
        "seconds": ArrayRule("float64", 1, "frames"),
        "mean": ArrayRule(FEATURE, 1),
    },
}
"""The arrays of each modality: words (N, D), tokens (Lt, D), frames (La or Lv, D), means (D,).

A clip that has a modality has at least one of its arrays. `video/words` serves features that others aligned to words.
"""


@dataclass(frozen=True)
class FeatureSetSpec:
    """Everything that decides the numbers of a feature set.

    Attributes:
        modality: one of `MODALITIES`.
        model: short name for people, such as `bert-base-uncased`; it is information, not identity.
        settings: JSON-able; `settings["encoder"]`, where there is one, identifies the encoder alone, so that heads
            trained on one feature set can be checked against another whose word times differ.
        about: JSON-able information that is not identity (hub id, licence, versions); kept beside the settings.
    """

    modality: str
    model: str
    settings: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the modality; the rest is checked where the fingerprint is made."""
        if self.modality not in MODALITIES:
            raise ValueError(f"modality {self.modality!r}: expected one of {', '.join(MODALITIES)}")
        if not self.model or not isinstance(self.model, str):
            raise ValueError("a feature set needs the short name of its model")
        if not isinstance(self.settings, Mapping) or not isinstance(self.about, Mapping):
            raise ValueError("settings and information of a feature set are objects with named values")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) over format, modality and settings."""
        return fingerprint({"schema": FORMAT_VERSION, "modality": self.modality, "settings": dict(self.settings)})

    @cached_property
    def encoder_fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of the encoder's part alone, or the whole fingerprint where there is no encoder."""
        return fingerprint(self.settings["encoder"]) if "encoder" in self.settings else self.fingerprint

    @property
    def name(self) -> str:
        """Folder name: modality, model and the first digits of the fingerprint."""
        model = re.sub(r"[^A-Za-z0-9_.]+", "-", self.model).strip("-.") or "model"
        return f"{self.modality}-{model[:60]}-{self.fingerprint[:FINGERPRINT_DIGITS]}"


@dataclass(frozen=True)
class ClipRecord:
    """One clip's entry in a feature set.

    Attributes:
        clip_id: the clip's id; stored in NFC.
        source: digest of what the features were made from (64 hex digits).
        arrays: name -> array, as `ARRAYS` says for the modality; None when the clip has no such modality.
    """

    clip_id: str
    source: str
    arrays: Mapping[str, Array] | None

    def __post_init__(self) -> None:
        """Bring the id to NFC and check the digest."""
        object.__setattr__(self, "clip_id", normalise_id(self.clip_id))
        if not re.fullmatch(r"[0-9a-f]{64}", self.source):
            raise ValueError(f"clip {self.clip_id!r}: source digest {self.source!r} is not 64 hex digits")

    @property
    def present(self) -> bool:
        """Whether the clip has this modality at all."""
        return self.arrays is not None


def stored_arrays(modality: str, record: ClipRecord) -> dict[str, Array]:
    """Return a clip's arrays in their stored types.

    Raises:
        RefusedValueError: an array is missing, unknown, of the wrong rank or length, not finite, or too large for its
            type.
    """
    rules = ARRAYS[modality]
    arrays = record.arrays or {}
    for name in arrays.keys() - rules.keys():
        raise RefusedValueError(f"clip {record.clip_id!r}: a {modality} feature set has no array {name!r}")
    missing = [name for name, rule in rules.items() if rule.required and name not in arrays]
    if record.present and (missing or not arrays):
        raise RefusedValueError(f"clip {record.clip_id!r}: {modality} array {(missing or list(rules))[0]!r} is missing")
    stored = {name: _stored(modality, name, record.clip_id, np.asarray(array)) for name, array in arrays.items()}
    for axis in {rule.axis for rule in rules.values()} - {""}:
        lengths = {name: array.shape[0] for name, array in stored.items() if rules[name].axis == axis}
        if len(set(lengths.values())) > 1:
            raise RefusedValueError(f"clip {record.clip_id!r}: {modality} arrays differ in length: {lengths}")
    return stored


def _stored(modality: str, name: str, clip_id: str, array: Array) -> Array:
    rule = ARRAYS[modality][name]
    what = f"clip {clip_id!r}: {modality}/{name}"
    if array.ndim != rule.ndim:
        raise RefusedValueError(f"{what} has shape {array.shape}, expected {rule.ndim} dimension(s)")
    if rule.dtype == "str":
        if any("\0" in str(value) for value in array):
            raise RefusedValueError(f"{what} holds a NUL character, which ends text in HDF5; correct the transcript")
        return array
    if array.dtype.kind not in "fiub":
        raise RefusedValueError(f"{what} holds {array.dtype}, expected numbers")
    if not np.isfinite(array).all():
        raise RefusedValueError(f"{what} holds a value that is not finite; nothing of this clip was stored")
    with np.errstate(over="ignore"):
        stored = array.astype(rule.dtype)
    if not np.isfinite(stored).all():
        raise RefusedValueError(
            f"{what} reaches {np.abs(array).max():.6g}, more than {rule.dtype} can hold "
            f"({np.finfo(rule.dtype).max:.6g}); nothing of this clip was stored"
        )
    return stored
