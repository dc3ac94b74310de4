"""Putting what a file from elsewhere holds into a cache, with its provenance."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sadgr.cache.doors.report import Arrays, Content, ImportReport, Part
from sadgr.cache.errors import CacheError, RefusedValueError
from sadgr.cache.feature_set import create_feature_set
from sadgr.cache.identity import source_digest
from sadgr.cache.ids import normalise_id
from sadgr.cache.labels import LABELS_FILE, read_labels, write_labels
from sadgr.cache.publish import publishing_method
from sadgr.cache.schema import ClipRecord, FeatureSetSpec
from sadgr.cache.store import FeatureCache
from sadgr.cache.writer import FeatureWriter

PROVENANCE = "imported"


def store(cache: FeatureCache, dataset_name: str, content: Content, model: str) -> ImportReport:
    """Write labels and feature sets of a file into a data set.

    Rows of labels.csv that stand there already are left as they are: what a lab corrected is not overwritten by a file.

    Args:
        cache: where to.
        dataset_name: an existing data set or a new one.
        content: as one of the doors read it.
        model: short name of the features for people.

    Returns:
        What was stored, and which clips were refused and why.
    """
    labels = content.labels.rename(index=normalise_id)
    if labels.index.has_duplicates:
        doubled = labels.index[labels.index.duplicated()][0]
        raise CacheError(f"{content.file_name}: clip id {doubled!r} stands there twice; ids must differ")
    dataset = cache.create_dataset(dataset_name)
    known = read_labels(dataset.path).index if (dataset.path / LABELS_FILE).exists() else labels.index[:0]
    fresh = labels.loc[labels.index.difference(known, sort=False)]
    if len(fresh) or not len(known):
        write_labels(dataset.path, fresh)
    refused: dict[str, str] = {}
    stored = [_store_part(dataset.path, content, part, model, refused) for part in content.parts]
    return ImportReport(
        dataset=dataset_name,
        feature_sets=tuple(name for name, _ in stored),
        clips=sum(count for _, count in stored),
        refused=refused,
        labels_added=len(fresh),
        labels_kept=len(labels) - len(fresh),
    )


def imported_spec(content: Content, part: Part, model: str) -> FeatureSetSpec:
    """Return the identity of imported features: the file's own hash and the place in it, nothing that can only be believed."""
    settings = {"provenance": PROVENANCE, "form": content.form, "file_sha256": content.sha256, "key": part.key}
    about = {"provenance": PROVENANCE, "file": content.file_name, **part.about}
    return FeatureSetSpec(part.modality, model, settings, about)


def _store_part(dataset: Path, content: Content, part: Part, model: str, refused: dict[str, str]) -> tuple[str, int]:
    feature_set = create_feature_set(dataset, imported_spec(content, part, model))
    count = 0
    with FeatureWriter(feature_set, publishing_method(feature_set.path)) as writer:
        for clip_id, arrays in _of_one_width(part):
            try:
                if isinstance(arrays, CacheError):
                    raise arrays
                digest = source_digest(file=content.sha256, key=part.key, clip=clip_id)
                writer.add(ClipRecord(clip_id, digest, arrays))
            except RefusedValueError as error:
                refused[f"{clip_id} ({part.modality})"] = str(error)
            else:
                count += 1
    return feature_set.name, count


def _of_one_width(part: Part) -> Iterator[tuple[str, Arrays | CacheError | None]]:
    """Give the clips, refusing one whose features are of another width than those before it."""
    widths: dict[str, tuple[int, ...]] = {}
    for clip_id, arrays in part.clips:
        if isinstance(arrays, CacheError) or arrays is None:
            yield clip_id, arrays
            continue
        found = {name: np.shape(array)[-1:] for name, array in arrays.items() if np.ndim(array) == 2 or "mean" in name}
        wrong = [name for name, width in found.items() if widths.setdefault(name, width) != width]
        if wrong:
            yield (
                clip_id,
                RefusedValueError(
                    f"clip {clip_id!r}: {part.modality}/{wrong[0]} is {found[wrong[0]]} wide, the clips before it "
                    f"{widths[wrong[0]]}; one feature set has one width"
                ),
            )
        else:
            yield clip_id, arrays
