"""What can be wrong with a medium."""


class MediaError(Exception):
    """A medium that cannot be used: missing, unreadable, damaged, truncated, or shorter than what is asked of it."""


class StreamAbsent(MediaError):
    """A readable file that simply has no stream of the kind asked for: a clip without sound, or without a picture."""
