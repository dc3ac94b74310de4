"""Mono 16 kHz audio out of any media file, whole or a span of it."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from sadgr.extract.media.completeness import check_complete, check_structure
from sadgr.extract.media.container import (
    audio_stream,
    choice_text,
    open_media,
    origin_seconds,
    stamps_packets,
    time_base_seconds,
)
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.span import Span
from sadgr.extract.media.waveform import JITTER_SECONDS, SAMPLE_SCALES, gapless, grid_step, mono_samples, resampled

SAMPLE_RATE_HZ = 16_000
AUDIO_POLICY: dict[str, str | int] = {
    "version": 2,
    "decoder": "pyav",
    "stream": "the default, else FFmpeg's best",
    "channels": "mean",
    "resampler": "swresample",
    "sample_rate_hz": SAMPLE_RATE_HZ,
    "origin": "earliest chosen stream, not before time stamp 0",
}

CHECKSUM_CODECS = frozenset({"flac", "wavpack", "tta"})
"""Their frames carry check sums, which FFmpeg ignores unless told not to."""
LONGEST_SILENCE_SECONDS = 0.5
"""Encoders may leave silence out where the container says when each packet is due; a longer hole is a loss."""
DECODER_WARM_UP_SECONDS = Fraction(1, 2)
"""Codecs need what went before: overlapping windows, MP3's bit reservoir, Opus's pre-roll of 80 ms."""
RESAMPLER_WARM_UP_SECONDS = Fraction(1, 4)
"""The resampler's filter is some 2 ms long; at its edges it sees a mirrored signal."""


def read_audio(path: Path, start_seconds: float | None = None, end_seconds: float | None = None) -> NDArray[np.float32]:
    """Decode the chosen audio stream of a file (see `container`) to mono at 16 kHz.

    Sample k of the whole lies at k / 16000 s from the recording's origin: sound that starts late is
    preceded by silence. A span is the slice of the whole that starts at sample round(start * 16000) and holds
    round((end - start) * 16000) samples, fewer where it runs over the end by less than the tolerance.

    Args:
        path: a media file.
        start_seconds: start of the span, from the origin; None for the beginning.
        end_seconds: end of the span (exclusive); None for the end of the stream.

    Returns:
        (n,) float32, full scale = 1.

    Raises:
        ValueError: for an empty span, or one that is not finite.
        StreamAbsent: when the file has no audio stream.
        MediaError: when the file is unreadable, damaged or truncated, or ends before the span does.
    """
    return read_sound(path, start_seconds, end_seconds)[0]


def read_sound(
    path: Path, start_seconds: float | None = None, end_seconds: float | None = None
) -> tuple[NDArray[np.float32], str]:
    """Do as `read_audio` does, and say which of several streams was chosen (see `choice_text`)."""
    span = Span.of(start_seconds, end_seconds)
    first = round(span.start_seconds * SAMPLE_RATE_HZ)
    count = None if end_seconds is None else round((end_seconds - span.start_seconds) * SAMPLE_RATE_HZ)
    if count is not None:
        with open_media(path) as container:
            stream = audio_stream(container, path)
            samples = _read_after_seek(container, stream, first, count)
            if samples is not None:
                return samples, choice_text(container, stream)
    with open_media(path) as container:
        stream = audio_stream(container, path)
        samples = _read_from_start(path, container, stream, None if count is None else first + count)
        check_structure(path, container)
        if count is None or len(samples) < first + count:
            reached = Fraction(len(samples), SAMPLE_RATE_HZ)
            check_complete(path, container, stream, reached)
            span.check_within(float(reached), f"{path} (audio)")
        return samples[first:], choice_text(container, stream)


def _read_after_seek(
    container: InputContainer, stream: AudioStream, first: int, count: int
) -> NDArray[np.float32] | None:
    """Decode only what samples [first, first + count) need; None when that does not give all of them."""
    begin = _seek_before(container, stream, Fraction(first, SAMPLE_RATE_HZ))
    if begin is None:
        return None
    rate_hz = stream.codec_context.sample_rate
    skip = first - begin * SAMPLE_RATE_HZ // rate_hz  # begin lies on the grid of 16 kHz: the division is exact
    try:
        blocks = _blocks(container, stream)
        head = next(blocks, None)
        if head is None or head[0] > begin:
            return None
        samples = _take(_track(container, chain([head], blocks), begin, rate_hz), skip + count)
    except ValueError:  # FFmpeg's InvalidDataError is one too; what is truly damaged shows again from the start
        return None
    return samples[skip:] if len(samples) == skip + count else None


def _seek_before(container: InputContainer, stream: AudioStream, start_seconds: Fraction) -> int | None:
    """Seek to where decoding for a span must start; None when it has to be the beginning of the file.

    Returns:
        Index, at the stream's own rate and on the grid of 16 kHz, of the sample to resample from.
    """
    rate_hz = stream.codec_context.sample_rate
    step = grid_step(rate_hz, SAMPLE_RATE_HZ)
    begin = int((start_seconds - RESAMPLER_WARM_UP_SECONDS) * rate_hz) // step * step
    time_base = time_base_seconds(stream)
    # Matroska's milliseconds are too coarse to place a sample after a seek.
    if begin <= 0 or time_base > Fraction(1, rate_hz):
        return None
    target = Fraction(begin, rate_hz) - DECODER_WARM_UP_SECONDS + origin_seconds(container)
    try:
        container.seek(max(0, int(target / time_base)), stream=stream)
    except av.FFmpegError:
        return None
    return begin


def _read_from_start(
    path: Path, container: InputContainer, stream: AudioStream, count: int | None
) -> NDArray[np.float32]:
    """Decode the first `count` samples of a stream, all of them for None; there may be fewer."""
    try:
        track = _track(container, _blocks(container, stream), 0, stream.codec_context.sample_rate)
        samples = _take(track, count)
    except av.FFmpegError:
        raise  # some are ValueErrors too; open_media names them
    except ValueError as error:
        raise MediaError(f"{path}: the audio stream is damaged: {error}; fetch it again") from error
    if len(samples) == 0:
        raise MediaError(f"{path}: the audio stream holds no samples; fetch the file again")
    return samples


def _track(
    container: InputContainer, blocks: Iterator[tuple[int, NDArray[np.float32]]], begin: int, rate_hz: int
) -> Iterator[NDArray[np.float32]]:
    longest_gap = LONGEST_SILENCE_SECONDS if stamps_packets(container) else JITTER_SECONDS
    return resampled(gapless(blocks, begin, rate_hz, longest_gap), rate_hz, SAMPLE_RATE_HZ)


def _take(pieces: Iterator[NDArray[np.float32]], count: int | None) -> NDArray[np.float32]:
    """Return the first `count` samples of a track, or all of it; no more of it is decoded than needed."""
    taken: list[NDArray[np.float32]] = []
    total = 0
    for piece in pieces:
        taken.append(piece)
        total += len(piece)
        if count is not None and total >= count:
            break
    return np.concatenate(taken)[:count] if taken else np.zeros(0, np.float32)


def _blocks(container: InputContainer, stream: AudioStream) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Decode a stream to pairs (index of the first sample at the stream's own rate, mono samples (n,))."""
    if stream.codec_context.name in CHECKSUM_CODECS:
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    rate_hz = stream.codec_context.sample_rate
    origin = origin_seconds(container)
    index = 0
    for frame in container.decode(stream):
        if frame.sample_rate != rate_hz:
            raise ValueError(f"its sample rate changes from {rate_hz} to {frame.sample_rate} Hz")
        if frame.pts is not None and frame.time_base is not None:
            index = round((frame.pts * frame.time_base - origin) * rate_hz)
        samples = _mono(frame)
        yield index, samples
        index += len(samples)


def _mono(frame: AudioFrame) -> NDArray[np.float32]:
    name = frame.format.name
    if name.removesuffix("p") not in SAMPLE_SCALES:
        raise ValueError(f"its samples are of format {name}; expected one of {', '.join(SAMPLE_SCALES)}")
    return mono_samples(frame.to_ndarray(), name, len(frame.layout.channels))
