"""A clip's sound."""

import numpy as np
import numpy.typing as npt

from sadgr.extract.clips import Clip
from sadgr.extract.errors import AbsentError
from sadgr.extract.media.audio import read_audio
from sadgr.extract.media.errors import MediaError, StreamAbsent


def read_sound(clip: Clip) -> npt.NDArray[np.float32]:
    """Return a clip's sound, (n,) float32 at 16 kHz.

    Raises:
        AbsentError: it has none.
        MediaError: it cannot be read.
    """
    if clip.audio is None:
        raise AbsentError("the source names no audio for this clip")
    try:
        sound = read_audio(clip.audio.path, *clip.audio.span)
    except StreamAbsent as error:
        raise AbsentError(str(error)) from error
    if not np.isfinite(sound).all():
        raise MediaError(f"{clip.audio.path}: its sound holds a value that is no number; make the file anew")
    return sound
