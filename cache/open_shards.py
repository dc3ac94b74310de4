"""A few shards kept open, since opening one costs more than reading a clip from it."""

import os
from collections import OrderedDict
from collections.abc import Callable

from sadgr.cache.shard_reader import ShardReader

KEPT_OPEN = 16


class OpenShards:
    """Opens shards by name and keeps the ones last used; a forked process opens its own.

    Args:
        open_shard: opens one.
    """

    def __init__(self, open_shard: Callable[[str], ShardReader]) -> None:
        self._open_shard = open_shard
        self._process = os.getpid()
        self._readers: OrderedDict[str, ShardReader] = OrderedDict()

    def __getitem__(self, name: str) -> ShardReader:
        """Return an open shard."""
        if self._process != os.getpid():  # the parent's handles are the parent's to close
            self._process, self._readers = os.getpid(), OrderedDict()
        if name not in self._readers:
            while len(self._readers) >= KEPT_OPEN:
                self._readers.popitem(last=False)[1].close()
            self._readers[name] = self._open_shard(name)
        self._readers.move_to_end(name)
        return self._readers[name]

    def close(self) -> None:
        """Close all."""
        if self._process == os.getpid():
            for reader in self._readers.values():
                reader.close()
        self._readers.clear()
