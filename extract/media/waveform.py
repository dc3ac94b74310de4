"""Arithmetic on samples: channels to one, blocks to a gapless track, and any rate to another."""

from collections.abc import Iterable, Iterator
from math import gcd
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

# PyAV's sample formats without their "p" for planar: (the value of silence, the value of full scale above it).
SAMPLE_SCALES: dict[str, tuple[float, float]] = {
    "u8": (128.0, 2.0**7),
    "s16": (0.0, 2.0**15),
    "s32": (0.0, 2.0**31),
    "flt": (0.0, 1.0),
    "dbl": (0.0, 1.0),
}
# Time stamps in milliseconds jitter by half of one; a true gap in speech is longer than a hop of 20 ms.
JITTER_SECONDS = 0.02


def mono_samples(samples: NDArray[Any], format_name: str, channels: int) -> NDArray[np.float32]:
    """Return the mean of all channels.

    FFmpeg's own downmix weighs channels (0.707 per side for stereo floats, nothing of the LFE), so it is not asked.

    Args:
        samples: (channels, n) if planar, else (1, n * channels) interleaved; any dtype of SAMPLE_SCALES.
        format_name: PyAV's name of the sample format, such as "fltp" or "s16".
        channels: the number of channels.

    Returns:
        (n,) float32, full scale = 1.
    """
    silence, full_scale = SAMPLE_SCALES[format_name.removesuffix("p")]
    by_channel = samples if format_name.endswith("p") else samples.reshape(-1, channels).T  # (channels, n)
    mean: NDArray[np.float64] = np.mean(by_channel, axis=0, dtype=np.float64)  # (n,)
    return np.asarray((mean - silence) / full_scale, dtype=np.float32)


def gapless(
    blocks: Iterable[tuple[int, NDArray[np.float32]]], begin: int, rate_hz: int, longest_gap_seconds: float
) -> Iterator[NDArray[np.float32]]:
    """Lay blocks of samples out on the time line, one after the other without gap or overlap.

    The first block is placed exactly where its time stamp says (a late start becomes silence, what lies before `begin` is
    dropped). Later ones follow on, unless their time stamps are off by more than jitter.

    Args:
        blocks: pairs (index of the first sample, samples (n,)), in order.
        begin: index of the first sample to return.
        rate_hz: samples per second.
        longest_gap_seconds: how long a hole between two blocks may be to count as silence.

    Yields:
        Pieces of the track that starts at `begin`.

    Raises:
        ValueError: when a hole in the track is longer than that.
    """
    position, started = begin, False
    for index, block in blocks:
        gap = index - position
        if started and abs(gap) <= JITTER_SECONDS * rate_hz:
            gap = 0
        if started and gap > longest_gap_seconds * rate_hz:
            raise ValueError(f"{gap / rate_hz:.2f} s of sound are missing at {position / rate_hz:.2f} s")
        piece = block[-gap:] if gap < 0 else np.concatenate([np.zeros(gap, np.float32), block])
        if len(piece) > 0:
            started = True
            position += len(piece)
            yield piece


def resampled(
    pieces: Iterable[NDArray[np.float32]], rate_hz: int, target_rate_hz: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a mono track, piece by piece; output sample k lies at k / target_rate_hz of the track.

    Args:
        pieces: float32 pieces of the track, in order.
        rate_hz: samples per second of the track.
        target_rate_hz: samples per second wanted.

    Yields:
        float32 pieces of the resampled track, to its very end.
    """
    if rate_hz == target_rate_hz:
        yield from pieces
        return
    resampler = AudioResampler(format="fltp", layout="mono", rate=target_rate_hz)
    for piece in pieces:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(piece)[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        for out in resampler.resample(frame):
            yield out.to_ndarray()[0].astype(np.float32, copy=False)
    for out in resampler.resample(None):
        yield out.to_ndarray()[0].astype(np.float32, copy=False)


def grid_step(rate_hz: int, target_rate_hz: int) -> int:
    """Return after how many samples of a track a resampled one falls on a sample again.

    A span resampled from a multiple of it has its samples exactly where the whole track would have them.
    """
    return rate_hz // gcd(rate_hz, target_rate_hz)
