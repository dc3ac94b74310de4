"""What a sound looks like: its envelope, and its spectrogram."""

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from sadgr.cache.report.media import RATE_HZ, Sound

PEAKS_A_SECOND = 100
MOST_PEAKS = 20_000
WINDOW_SAMPLES = 400
FFT_SAMPLES = 512
HOP_SAMPLES = 160
MOST_COLUMNS = 6_000
SHADES = 32
"""Steps of brightness: finer ones show nothing more, and make the picture three times as large."""
PICTURE_ROWS = 128
RANGE_DB = 80.0
"""What is fainter than the loudest part by more is drawn as silence."""


def envelope(sound: Sound) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the lowest and the highest sample of each of b equally long parts.

    Args:
        sound: (n,).

    Returns:
        Two arrays (b,), b at most `PEAKS_A_SECOND` a second.
    """
    bins = min(MOST_PEAKS, math.ceil(len(sound) * PEAKS_A_SECOND / RATE_HZ))
    edges = np.unique(np.linspace(0, len(sound), bins + 1).astype(int))[:-1]
    if not len(edges):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    return np.minimum.reduceat(sound, edges), np.maximum.reduceat(sound, edges)


def spectrogram_db(sound: Sound) -> npt.NDArray[np.float64]:
    """Return the power of windows of 25 ms, in dB below the loudest.

    Column c is the window around second (c + 0.5) * n / 16000 / columns, so that a picture of it as wide as the clip is
    long lies right on the time line.

    Args:
        sound: (n,), n > 0.

    Returns:
        (257, columns), row r at r * 31.25 Hz, values from -80 to 0.
    """
    columns = max(1, min(MOST_COLUMNS, len(sound) // HOP_SAMPLES))
    middles = ((np.arange(columns) + 0.5) * len(sound) / columns).astype(int)
    padded = np.pad(sound.astype(np.float64), WINDOW_SAMPLES // 2)
    window = np.hanning(WINDOW_SAMPLES)
    power = np.empty((FFT_SAMPLES // 2 + 1, columns))
    for first in range(0, columns, 1000):  # in parts: a long clip's windows overlap, and would fill memory
        at = middles[first : first + 1000]
        frames = padded[at[:, None] + np.arange(WINDOW_SAMPLES)] * window
        power[:, first : first + 1000] = (np.abs(np.fft.rfft(frames, FFT_SAMPLES)) ** 2).T
    loudest = power.max()
    if loudest <= 0:
        return np.full(power.shape, -RANGE_DB)
    return np.asarray(10 * np.log10(np.maximum(power / loudest, 10 ** (-RANGE_DB / 10))))


def spectrogram_png(sound: Sound) -> bytes:
    """Return a picture of a sound's spectrogram, 0 Hz at the bottom and 8 kHz at the top, as wide as it is long in hops.

    A row shows the louder of two neighbouring frequencies.
    """
    from matplotlib import colormaps

    loud = spectrogram_db(sound)[: 2 * PICTURE_ROWS].reshape(PICTURE_ROWS, 2, -1).max(axis=1)
    shades = np.round((loud[::-1] / RANGE_DB + 1) * (SHADES - 1)).astype(np.uint8)
    picture = Image.fromarray(shades).convert("P")
    picture.putpalette((colormaps["magma"](np.linspace(0, 1, SHADES))[:, :3] * 255).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
