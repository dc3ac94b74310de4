"""A clip's waveform for a picture, from its media file: the cache holds no samples, and of media only their digests."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from sadgr.train.errors import TrainError

RATE_HZ = 16_000
BIN_SECONDS = 0.01
TOLERANCE_SECONDS = 0.25
"""How much earlier than the last word sound may end: codecs drop or pad some of it."""


@dataclass(frozen=True)
class Envelope:
    """Lowest and highest sample in each bin of 10 ms: `seconds` (T,) where bins begin, `low` (T,), `high` (T,)."""

    seconds: NDArray[np.float64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def read_envelope(path: Path, begin_seconds: float, seconds: float) -> Envelope:
    """Read the envelope of a part of a media file's sound.

    Args:
        path: Audio or video file.
        begin_seconds: Where the clip begins in it.
        seconds: How long the clip is, as its words and frames say.

    Raises:
        TrainError: No such file, no sound in it, it cannot be decoded, or it ends before the clip does.
    """
    first, last = round(begin_seconds * RATE_HZ), round((begin_seconds + seconds) * RATE_HZ)
    samples = _decoded(path, last)[first:last]
    lacking = seconds - len(samples) / RATE_HZ
    if lacking > TOLERANCE_SECONDS:
        raise TrainError(
            f"{path} ends {lacking:.2f} s before the clip does: it is another clip's, or --begin is not where the clip begins"
        )
    edges = np.unique(np.append(np.arange(0, len(samples), round(BIN_SECONDS * RATE_HZ)), len(samples)))
    bins = [samples[start:end] for start, end in pairwise(edges)]
    return Envelope(
        edges[:-1] / RATE_HZ,
        np.array([one.min() for one in bins], np.float32),
        np.array([one.max() for one in bins], np.float32),
    )


def _decoded(path: Path, samples: int) -> NDArray[np.float32]:
    """Mono samples from the file's beginning, at least so many where it has them."""
    parts: list[NDArray[np.float32]] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise TrainError(f"{path} has no sound: give the file that the clip's audio features were made from")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                parts += [one.to_ndarray()[0] for one in resampler.resample(frame)]
                if sum(map(len, parts)) >= samples:
                    break
            else:
                parts += [one.to_ndarray()[0] for one in resampler.resample(None)]
    except (av.error.FFmpegError, OSError) as error:
        raise TrainError(f"{path} cannot be decoded: {error}") from error
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
