"""A clip's sound, decoded ahead of its use."""

from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoded, Decoders, Pending, Wanted
from sadgr.extract.errors import AbsentError
from sadgr.extract.media.errors import MediaError, StreamAbsent


def begin_sound(clip: Clip, decoders: Decoders) -> Pending | None:
    """Begin to decode a clip's sound; None where there is nothing to decode."""
    return None if clip.audio is None or clip.fault else decoders.begin(Wanted(clip.audio))


def sound_of(clip: Clip, pending: Pending | None) -> Decoded:
    """Wait for a clip's `Sound`.

    Args:
        clip: the clip.
        pending: as `begin_sound` gave.

    Raises:
        AbsentError: it has none.
        MediaError: it cannot be read, or the source says why the clip is of no use.
    """
    if clip.fault:
        raise MediaError(clip.fault)
    if pending is None:
        raise AbsentError("the source names no audio for this clip")
    try:
        return pending.result()
    except StreamAbsent as error:
        raise AbsentError(str(error)) from error
