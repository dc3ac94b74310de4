"""Sound and picture of a clip, for its page: decoded from the span that the clip is, and made small.

Time 0 is where the clip begins, counted from the recording's origin: the earliest start of its chosen streams, and never
before time stamp 0, as extraction counts.
"""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from sadgr.cache.errors import CacheError
from sadgr.cache.media_paths import MediaPath

RATE_HZ = 16_000
OPUS_BITS_A_SECOND = 24_000
THUMBNAIL_PIXELS = (240, 180)
_WARM_UP_SECONDS = Fraction(1, 2)
"""Decoders need what went before the place that they are asked for."""
_JITTER_SAMPLES = RATE_HZ // 50
"""Time stamps in whole milliseconds waver; only a larger step is a hole in the sound."""

AnyStream = TypeVar("AnyStream", bound=Stream)
Sound = npt.NDArray[np.float32]


class MediaUnreadableError(CacheError):
    """A medium is not there, or cannot be decoded; the message names it and says why."""


def read_sound(medium: MediaPath) -> Sound:
    """Decode a clip's sound to mono at 16 kHz.

    Returns:
        (n,) float32, full scale = 1; silence where the recording has a hole.

    Raises:
        MediaUnreadableError: no such file, no sound in it, or damaged.
    """
    begin = Fraction(medium.start_seconds or 0.0)
    end = None if medium.end_seconds is None else Fraction(medium.end_seconds)
    try:
        with av.open(_url(medium.path), metadata_errors="replace") as container:
            stream = _chosen(list(container.streams.audio), container.streams.best("audio"))
            if not isinstance(stream, AudioStream):
                raise MediaUnreadableError(f"{medium.path}: this file has no sound")
            zero = _origin(container) + begin
            _seek(container, stream, zero)
            return _placed(_mono(container, stream, zero), None if end is None else round((end - begin) * RATE_HZ))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaUnreadableError(_why(medium.path, error)) from error


def _mono(container: InputContainer, stream: AudioStream, zero: Fraction) -> Iterator[tuple[int, Sound]]:
    """Give sound block by block, with the sample that each begins at, counted from the clip's start."""
    mean = av.AudioResampler("fltp")
    resampler = av.AudioResampler("flt", "mono", RATE_HZ)
    for decoded in container.decode(stream):
        for frame in mean.resample(decoded):
            mixed = av.AudioFrame.from_ndarray(frame.to_ndarray().mean(axis=0, keepdims=True), "flt", "mono")
            mixed.sample_rate, mixed.pts, mixed.time_base = frame.sample_rate, frame.pts, frame.time_base
            yield from _timed(resampler.resample(mixed), zero)
    yield from _timed(resampler.resample(None), zero)


def _timed(frames: Sequence[av.AudioFrame], zero: Fraction) -> Iterator[tuple[int, Sound]]:
    for frame in frames:
        if frame.pts is None or frame.time_base is None:
            raise ValueError("sound without time stamps")
        yield round((frame.pts * frame.time_base - zero) * RATE_HZ), frame.to_ndarray()[0]


def _placed(blocks: Iterator[tuple[int, Sound]], count: int | None) -> Sound:
    """Return the blocks one after another from sample 0 on, up to `count` samples; silence where there is a hole."""
    parts: list[Sound] = [np.zeros(0, np.float32)]
    done, follows = 0, None
    for stated, samples in blocks:
        place = follows if follows is not None and abs(stated - follows) <= _JITTER_SAMPLES else stated
        follows = place + len(samples)
        if count is not None and place >= count:
            break
        if place > done:
            parts.append(np.zeros(place - done, np.float32))
            done = place
        parts.append(samples[done - place :])
        done += len(parts[-1])
    return np.concatenate(parts)[:count]


def read_frames(medium: MediaPath, seconds: Sequence[float]) -> list[Image.Image]:
    """Decode the video frames that are shown nearest to these times, as small pictures.

    Args:
        medium: the clip's video.
        seconds: times from the clip's start, ascending.

    Raises:
        MediaUnreadableError: no such file, no picture in it, or damaged.
    """
    try:
        with av.open(_url(medium.path), metadata_errors="replace") as container:
            streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
            stream = _chosen(streams, container.streams.best("video"))
            if not isinstance(stream, VideoStream):
                raise MediaUnreadableError(f"{medium.path}: this file has no picture")
            zero = _origin(container) + Fraction(medium.start_seconds or 0.0)
            _seek(container, stream, zero + Fraction(seconds[0] if seconds else 0.0))
            return _nearest(container, stream, [float(zero) + one for one in seconds])
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaUnreadableError(_why(medium.path, error)) from error


def _nearest(container: InputContainer, stream: VideoStream, wanted: Sequence[float]) -> list[Image.Image]:
    """Return the picture nearest to each of the wanted time stamps; only pictures in question are converted."""
    aspect = stream.sample_aspect_ratio
    pictures: list[Image.Image] = []
    before: VideoFrame | None = None
    for frame in container.decode(stream):
        if frame.time is None:
            raise ValueError("pictures without time stamps")
        while len(pictures) < len(wanted) and frame.time >= wanted[len(pictures)]:
            at = wanted[len(pictures)]
            earlier = before is not None and before.time is not None and at - before.time <= frame.time - at
            pictures.append(_thumbnail(before if before is not None and earlier else frame, aspect))
        if len(pictures) == len(wanted):
            return pictures
        before = frame
    if before is None:
        raise ValueError("no picture can be decoded")
    return pictures + [_thumbnail(before, aspect)] * (len(wanted) - len(pictures))


def _thumbnail(frame: VideoFrame, aspect: Fraction | None) -> Image.Image:
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    if aspect:  # pixels that are not square
        picture = picture.resize((max(1, round(picture.width * aspect)), picture.height))
    if frame.rotation:
        picture = picture.rotate(frame.rotation, expand=True)
    picture.thumbnail(THUMBNAIL_PIXELS)
    return picture


def jpeg(picture: Image.Image) -> bytes:
    """Return a picture as JPEG."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def opus(sound: Sound) -> bytes:
    """Return mono sound at 16 kHz as Opus in Ogg, 24 kbit/s.

    Args:
        sound: (n,) float32; what is louder than full scale is clipped.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        # Constrained: a rate that goes by the sound takes half as much again for a tone.
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono", options={"vbr": "constrained"})
        stream.bit_rate = OPUS_BITS_A_SECOND
        frame = av.AudioFrame.from_ndarray((np.clip(sound, -1, 1) * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


def _url(path: Path) -> str:
    """Return the path as FFmpeg takes it literally, whatever colons its name holds."""
    return f"file:{path}"


def _chosen(candidates: Sequence[AnyStream], best: Stream | None) -> AnyStream | None:
    """Return the stream that extraction reads: the default one, else FFmpeg's best."""
    default = [one for one in candidates if one.disposition & Disposition.default]
    if len(default) == 1:
        return default[0]
    return next((one for one in candidates if one is best), next(iter(candidates), None))


def _origin(container: InputContainer) -> Fraction:
    videos = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    sound = _chosen(list(container.streams.audio), container.streams.best("audio"))
    picture = _chosen(videos, container.streams.best("video"))
    chosen: list[Stream] = [one for one in (sound, picture) if one is not None]
    starts = [one.start_time * one.time_base for one in chosen if one.start_time is not None and one.time_base]
    return max(Fraction(0), min(starts, default=Fraction(0)))


def _seek(container: InputContainer, stream: AudioStream | VideoStream, stamp_seconds: Fraction) -> None:
    """Go to a place at or before a time stamp, where that saves anything."""
    target = stamp_seconds - _WARM_UP_SECONDS
    if target > 1 and stream.time_base:
        container.seek(int(target / stream.time_base), stream=stream)


def _why(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file any more"
    return f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
