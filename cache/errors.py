"""What can go wrong with a cache, each error naming the thing and the remedy."""


class CacheError(Exception):
    """Base of every error of this package; its message is meant for the person at the terminal."""


class NotACacheError(CacheError):
    """The folder is no cache, or one of a format that this version cannot read."""


class NotWritableError(CacheError):
    """The folder cannot be created or written."""


class ShardInvalidError(CacheError):
    """A shard is truncated, altered, of another feature set, or holds what is refused on reading."""


class ShardGoneError(ShardInvalidError):
    """A shard that was there is no longer: compacted into another, or removed."""


class RefusedValueError(CacheError):
    """A value that must never enter a cache: not finite, too large for the stored type, of the wrong shape."""


class SelectionError(CacheError):
    """A data set, feature set or clip was asked for that is not there, or that is not the only one."""
