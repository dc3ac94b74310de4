"""Sampled video frames out of any media file, whole or a span of it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sadgr.extract.media.completeness import check_complete
from sadgr.extract.media.container import (
    choice_text,
    open_media,
    origin_seconds,
    seconds_text,
    stamps_packets,
    time_base_seconds,
    video_stream,
)
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.picking import FrameMissed, pick_by_number, pick_by_stamp
from sadgr.extract.media.sampling import UNIFORM, Sampling, choose_frames, shown_during
from sadgr.extract.media.span import Span
from sadgr.extract.media.timeline import Timeline, build_timeline, first_lost, frame_stamps, packet_stamps

VIDEO_POLICY: dict[str, str | int] = {
    "version": 3,
    "decoder": "pyav",
    "stream": "the default, else FFmpeg's best",
    "orientation": "display matrix",
    "origin": "earliest chosen stream, not before time stamp 0",
}
HIDING_CODECS = frozenset({"vp8", "libvpx"})
"""Some of their packets hold a frame that is never shown."""
MOST_PIXEL_BYTES = 3 * 2**29
"""Sixteen pictures of 8K. Decoders hold them twice for a moment, and a fast film at many frames a second has no end."""


@dataclass(frozen=True)
class VideoFrames:
    """Frames sampled from a clip.

    Attributes:
        pixels: (Lv, H, W, 3) uint8 RGB, upright.
        seconds: (Lv,) float64, when each came on display, from the clip's start; strictly increasing, >= 0.
        remark: which of several video streams was chosen, and that all had to be decoded where it had; or empty.
        fallback: what stands in for the frames that were asked for, or empty.
    """

    pixels: NDArray[np.uint8]
    seconds: NDArray[np.float64]
    remark: str = ""
    fallback: str = ""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be (Lv, H, W, 3) uint8, not {self.pixels.shape} {self.pixels.dtype}")
        if self.seconds.shape != self.pixels.shape[:1] or len(self.seconds) == 0:
            raise ValueError(f"seconds must be ({len(self.pixels)},), at least one, not {self.seconds.shape}")
        if self.seconds[0] < 0 or np.any(np.diff(self.seconds) <= 0):
            raise ValueError("seconds must be >= 0 and strictly increasing")


@dataclass(frozen=True)
class _Choice:
    """Frames chosen from a timeline: indices (m,), stamps (m,), times (m,) from the clip's start; see `VideoFrames`."""

    indices: NDArray[np.intp]
    stamps: NDArray[np.int64]
    seconds: NDArray[np.float64]
    fallback: str


def read_frames(
    path: Path,
    sampling: Sampling | int = UNIFORM,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> VideoFrames:
    """Decode sampled frames of a clip.

    Args:
        path: a media file.
        sampling: which frames; a number stands for so many, uniformly.
        start_seconds: start of the clip within the recording, from its origin (see `container`); None for t = 0.
        end_seconds: end of the clip (exclusive); None for the end of the video stream.

    Returns:
        The frames, each once. A frame that was on display before the clip's start counts from that start. Where key frames
        are wanted and the clip has none, frames sampled uniformly stand in, and `fallback` says so.

    Raises:
        ValueError: for fewer than one frame, or a span that is empty or not finite.
        StreamAbsent: when the file has no video stream (cover art is none).
        MediaError: when the file is unreadable, damaged or truncated, or ends before the span does; or when so many
            frames are asked for that memory would not hold them.
    """
    if isinstance(sampling, int):
        sampling = Sampling(frames=sampling)
    span = Span.of(start_seconds, end_seconds)
    with open_media(path) as container:
        stream = video_stream(container, path)
        announced = _announced(path, container, stream)
        frames = None if announced is None else _read_by_packets(path, container, stream, announced, span, sampling)
    return frames if frames is not None else _read_by_decoding(path, announced, span, sampling)


def _announced(path: Path, container: InputContainer, stream: VideoStream) -> Timeline | None:
    """Return the frames that the packets of a file just opened announce; None where packets do not tell."""
    if not stamps_packets(container):
        return None
    stamps = packet_stamps(container, stream, path)
    timeline = build_timeline(stamps or [], time_base_seconds(stream), origin_seconds(container))
    if timeline is not None:
        check_complete(path, container, stream, Fraction(timeline.end_seconds))
    return timeline


def _read_by_packets(
    path: Path, container: InputContainer, stream: VideoStream, timeline: Timeline, span: Span, sampling: Sampling
) -> VideoFrames | None:
    """Decode chosen ones of the frames that the packets announce; None where the decoder does not follow."""
    choice = _choose(path, timeline, span, sampling)
    _check_size(path, stream, len(choice.indices))
    try:
        pixels = pick_by_stamp(container, stream, path, timeline, choice.stamps)
    except FrameMissed:
        return None
    return VideoFrames(pixels, choice.seconds, choice_text(container, stream), choice.fallback)


def _read_by_decoding(path: Path, announced: Timeline | None, span: Span, sampling: Sampling) -> VideoFrames:
    """Decode the stream twice from its start: once for the times of its frames, once for the chosen ones."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        stamps = frame_stamps(container, stream, path)
        timeline = build_timeline(stamps, time_base_seconds(stream), origin_seconds(container), are_decoded=True)
        if timeline is None:
            raise MediaError(
                f"{path}: no frame of its video can be decoded; a file cut without re-encoding must start with a key "
                "frame: cut it again with re-encoding"
            )
        check_complete(path, container, stream, Fraction(timeline.end_seconds))
        if announced is not None and stream.codec_context.name not in HIDING_CODECS:
            lost = first_lost(announced, timeline)
            if lost is not None:
                time = seconds_text(lost, time_base_seconds(stream))
                raise MediaError(f"{path}: damaged: its video frame of {time} cannot be decoded; fetch it again")
    choice = _choose(path, timeline, span, sampling)
    with open_media(path) as container:
        stream = video_stream(container, path)
        _check_size(path, stream, len(choice.indices))
        numbers = choice.indices + timeline.hidden_count  # only frames before the origin are hidden here
        pixels = pick_by_number(container, stream, path, numbers)
        said = choice_text(container, stream)
    remark = "; ".join(filter(None, (said, "seeking or its packets do not lead to its frames: decoded from the start")))
    return VideoFrames(pixels, choice.seconds, remark, choice.fallback)


def _check_size(path: Path, stream: VideoStream, count: int) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if count * width * height * 3 > MOST_PIXEL_BYTES:
        raise MediaError(
            f"{path}: {count} video frames of {width} x {height} take {count * width * height * 3 / 2**30:.1f} GiB; at "
            f"most {MOST_PIXEL_BYTES / 2**30:.1f} are taken at once: ask for fewer, or cut the recording into clips"
        )


def _choose(path: Path, timeline: Timeline, span: Span, sampling: Sampling) -> _Choice:
    span.check_within(timeline.end_seconds, f"{path} (video)")
    shown = shown_during(timeline.seconds, span)
    end = timeline.end_seconds if span.end_seconds is None else min(span.end_seconds, timeline.end_seconds)
    on_display = np.maximum(timeline.seconds[shown], span.start_seconds)
    if len(on_display) == 0:
        raise MediaError(f"{path}: no video frame is shown before {span.end_seconds} s; correct the span")
    within, fallback = sampling.choose(on_display, end, np.isin(timeline.stamps[shown], timeline.key_stamps)), ""
    if len(within) == 0:
        within, fallback = (
            choose_frames(on_display, end, sampling.frames),
            "no key frame lies in the clip: sampled uniformly",
        )
    indices = within + shown.start
    return _Choice(indices, timeline.stamps[indices], on_display[within] - span.start_seconds, fallback)
