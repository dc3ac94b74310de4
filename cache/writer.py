"""Writing into a feature set: clips are gathered, and published as shards."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from sadgr.cache.feature_set import FeatureSet
from sadgr.cache.publish import Method, is_merged, next_stem, publish, shard_names
from sadgr.cache.schema import ClipRecord, stored_arrays
from sadgr.cache.shard import encode_shard

SHARD_SECONDS = 60.0
"""What a writer that is killed may lose."""
SHARD_BYTES = 16 * 2**20
SHARD_CLIPS = 1024


class FeatureWriter:
    """Gathers clips and publishes them as shards of up to 60 seconds of work, 16 MiB or 1,024 clips.

    Use it as a context manager; what was added is published on leaving, also when an error or a signal ends the block.

    Args:
        feature_set: where to.
        method: as `publishing_method` found for this file system.
    """

    def __init__(self, feature_set: FeatureSet, method: Method, clock: Callable[[], float] = time.monotonic) -> None:
        self.feature_set = feature_set
        self.bytes_written = 0
        self._method = method
        self._clock = clock
        self._records: dict[str, ClipRecord] = {}
        self._bytes = 0
        self._since = clock()

    def add(self, record: ClipRecord) -> None:
        """Take a clip; it is on disk after the next publication.

        Raises:
            RefusedValueError: an array must not be stored; nothing of this clip is.
        """
        arrays = stored_arrays(self.feature_set.modality, record)
        if not self._records:
            self._since = self._clock()
        self._records[record.clip_id] = record
        self._bytes += sum(array.nbytes for array in arrays.values())
        full = len(self._records) >= SHARD_CLIPS or self._bytes >= SHARD_BYTES
        if full or self._clock() - self._since >= SHARD_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Publish the shard in hand, if there is any."""
        if not self._records:
            return
        content = encode_shard(self.feature_set.spec, list(self._records.values()))
        folder = self.feature_set.path
        path = self._publish_last(folder, content)
        # A compaction between naming and publishing may have filed older records after this shard: then file it again.
        while any(is_merged(name) and name > path.name for name in shard_names(folder)):
            again = self._publish_last(folder, content)
            path.unlink(missing_ok=True)  # or it was merged already
            path = again
        self.bytes_written += len(content)
        self._records.clear()
        self._bytes = 0

    def _publish_last(self, folder: Path, content: bytes) -> Path:
        path = folder / f"{next_stem(shard_names(folder))}.h5"
        publish(path, content, self._method)
        return path

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Publish what is complete."""
        self.publish()
