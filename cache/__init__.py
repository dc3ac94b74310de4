"""The shared HDF5 store of features: schema, fingerprints, writing, reading.

Reading takes three lines:

    cache = FeatureCache("features")
    data = cache["mosi"]
    clips = list(data.clips(data.labels().index, data.select()))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sadgr.cache.errors import (
        CacheError,
        NotACacheError,
        NotWritableError,
        RefusedValueError,
        SelectionError,
        ShardInvalidError,
    )
    from sadgr.cache.feature_set import FeatureSet, create_feature_set
    from sadgr.cache.identity import canonical_json, file_sha256, fingerprint, source_digest
    from sadgr.cache.ids import escape, normalise_id, unescape
    from sadgr.cache.labels import labels_hash, read_labels, write_labels
    from sadgr.cache.publish import publishing_method
    from sadgr.cache.runlog import RunLog
    from sadgr.cache.schema import ClipRecord, FeatureSetSpec
    from sadgr.cache.store import ClipFeatures, Dataset, FeatureCache, Selection, WordTimes
    from sadgr.cache.writer import FeatureWriter

__all__ = [
    "CacheError",
    "ClipFeatures",
    "ClipRecord",
    "Dataset",
    "FeatureCache",
    "FeatureSet",
    "FeatureSetSpec",
    "FeatureWriter",
    "NotACacheError",
    "NotWritableError",
    "RefusedValueError",
    "RunLog",
    "Selection",
    "SelectionError",
    "ShardInvalidError",
    "WordTimes",
    "canonical_json",
    "create_feature_set",
    "escape",
    "file_sha256",
    "fingerprint",
    "labels_hash",
    "normalise_id",
    "publishing_method",
    "read_labels",
    "source_digest",
    "unescape",
    "write_labels",
]

# Imported on first use, so that `sadgr-... --help` does not wait for pandas and h5py.
_HOMES = {
    "errors": (
        "CacheError",
        "NotACacheError",
        "NotWritableError",
        "RefusedValueError",
        "SelectionError",
        "ShardInvalidError",
    ),
    "feature_set": ("FeatureSet", "create_feature_set"),
    "identity": ("canonical_json", "file_sha256", "fingerprint", "source_digest"),
    "ids": ("escape", "normalise_id", "unescape"),
    "labels": ("labels_hash", "read_labels", "write_labels"),
    "publish": ("publishing_method",),
    "runlog": ("RunLog",),
    "schema": ("ClipRecord", "FeatureSetSpec"),
    "store": ("ClipFeatures", "Dataset", "FeatureCache", "Selection", "WordTimes"),
    "writer": ("FeatureWriter",),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
