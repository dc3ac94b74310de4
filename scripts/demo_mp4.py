"""Writes a demo clip: H.264 pictures and AAC speech in one small mp4."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from PIL import Image

AUDIO_RATE_HZ = 24_000
_AUDIO_BITS_PER_SECOND = 32_000
_X264_OPTIONS = {"crf": "30", "preset": "veryslow", "tune": "animation", "g": "24"}


def write_mp4(
    path: Path,
    pictures: Sequence[Image.Image],
    frames_per_second: int,
    speech: npt.NDArray[np.int16],
    speech_rate_hz: int,
) -> None:
    """Write pictures and speech that start together.

    Args:
        path: Where to; its folder must exist.
        pictures: RGB, all of one even size.
        frames_per_second: Of the pictures.
        speech: Mono int16, shape (samples,).
        speech_rate_hz: Of the speech; stored at `AUDIO_RATE_HZ`.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=frames_per_second, options=_X264_OPTIONS)
        video.width, video.height = pictures[0].size
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=AUDIO_RATE_HZ, layout="mono")
        audio.bit_rate = _AUDIO_BITS_PER_SECOND
        _encode_pictures(container, video, pictures, frames_per_second)
        _encode_speech(container, audio, speech, speech_rate_hz)


def _encode_pictures(
    container: av.container.OutputContainer,
    stream: VideoStream,
    pictures: Sequence[Image.Image],
    frames_per_second: int,
) -> None:
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, frames_per_second)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encode_speech(
    container: av.container.OutputContainer, stream: AudioStream, speech: npt.NDArray[np.int16], rate_hz: int
) -> None:
    frame = av.AudioFrame.from_ndarray(speech[np.newaxis, :], format="s16", layout="mono")  # (1, samples)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=AUDIO_RATE_HZ)
    for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(resampled))
    container.mux(stream.encode(None))
