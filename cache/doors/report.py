"""What goes through a door, and what is said about it afterwards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sadgr.cache.errors import CacheError
from sadgr.cache.schema import Array

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: the file or folder.
        clips: how many clips stand in it.
        left_out: clip id -> why it could not be written.
        notes: what a reader of the file should know (truncated clips, keys that are not there).
    """

    path: Path
    clips: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an import brought into a data set.

    Attributes:
        dataset: the data set's name.
        feature_sets: folder names of the feature sets that were filled.
        clips: how many records of clips were stored, over all of them.
        refused: `<clip id> (<modality>)` -> why it was refused; such a clip is not stored, the others are.
        labels_added: rows that are new in labels.csv.
        labels_kept: clips whose row stood there already and was left as it is.
    """

    dataset: str
    feature_sets: tuple[str, ...]
    clips: int
    refused: Mapping[str, str]
    labels_added: int
    labels_kept: int


@dataclass(frozen=True)
class Part:
    """One modality of a file.

    Attributes:
        modality: one of the cache's.
        key: what names it within the file.
        clips: id, and the clip's arrays, None where it lacks the modality, or the error that keeps it out.
        about: information for people.
    """

    modality: str
    key: str
    clips: Iterable[tuple[str, Arrays | CacheError | None]]
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """A file from elsewhere, as read.

    Attributes:
        form: which kind of file.
        sha256: of the file (64 hex digits).
        file_name: for people.
        labels: one row a clip, indexed by `id`, columns as in labels.csv.
        parts: the modalities it holds.
    """

    form: str
    sha256: str
    file_name: str
    labels: pd.DataFrame
    parts: tuple[Part, ...]
