"""Writes media whose content is known: every picture bears its number, every sound one tone at a known time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

CELLS = 4
NUMBER_BITS = 13
CHECK = 7
"""A picture is 4 x 4 cells, black or white: 13 bits of its number, lowest first, then 3 of number mod 7."""
BLOCK_SAMPLES = 1024


@dataclass(frozen=True)
class Film:
    """A video stream.

    Attributes:
        starts: when each picture comes on display, seconds.
        last_seconds: how long the last stays.
        first_number: number of the first picture.
        grain: how noisy the pictures are, so that they take more than a few bytes.
        size: width and height as stored.
        turned: degrees by which a player has to turn the pictures counter-clockwise; None for no display matrix.
    """

    starts: Sequence[Fraction]
    last_seconds: Fraction = Fraction(1, 25)
    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=lambda: {"preset": "ultrafast"})
    size: tuple[int, int] = (64, 48)
    pixel_format: str = "yuv420p"
    time_base: Fraction = Fraction(1, 25)
    turned: int | None = None
    first_number: int = 0
    grain: int = 0
    is_default: bool = True

    @property
    def end(self) -> Fraction:
        """When the last picture leaves the display, seconds."""
        return self.starts[-1] + self.last_seconds


@dataclass(frozen=True)
class Sound:
    """An audio stream: silence, a tone in [onset, offset), silence; all seconds count from t = 0 of the file.

    Attributes:
        start: when the stream starts.
        seconds: when it ends.
        levels: the tone's amplitude in each channel.
    """

    hz: float = 440.0
    onset: float = 0.8
    offset: float = 1.6
    seconds: float = 2.4
    start: float = 0.0
    codec: str = "aac"
    rate: int = 16_000
    layout: str = "mono"
    levels: tuple[float, ...] = (0.5,)
    sample_format: str = "fltp"
    is_default: bool = True

    @property
    def level(self) -> float:
        """Amplitude of the tone in the mean of all channels."""
        return sum(self.levels) / len(self.levels)


def steady(count: int, rate: int = 25) -> list[Fraction]:
    """Return the starts of pictures at a constant rate."""
    return [Fraction(number, rate) for number in range(count)]


def picture(number: int, width: int, height: int) -> np.ndarray:
    """Return the picture of a number, (height, width, 3) uint8."""
    code = number | number % CHECK << NUMBER_BITS
    bits = np.array([code >> bit & 1 for bit in range(CELLS * CELLS)], np.uint8).reshape(CELLS, CELLS)
    rows, columns = np.arange(height) * CELLS // height, np.arange(width) * CELLS // width
    grey = 40 + 175 * bits[rows][:, columns]  # (height, width); within the range that every pixel format can show
    return np.ascontiguousarray(np.broadcast_to(grey[:, :, None], (height, width, 3)), dtype=np.uint8)


def samples_of(sound: Sound) -> np.ndarray:
    """Return what an audio stream holds, (channels, n) float32."""
    time = sound.start + np.arange(round((sound.seconds - sound.start) * sound.rate)) / sound.rate
    tone = np.sin(2 * np.pi * sound.hz * (time - sound.onset)) * ((time >= sound.onset) & (time < sound.offset))
    return (np.array(sound.levels)[:, None] * tone).astype(np.float32)


def write(
    path: Path,
    films: Iterable[Film] = (),
    sounds: Iterable[Sound] = (),
    muxer: Mapping[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Write a file with these streams, video first, in the order of their decoding times."""
    with av.open(str(path), "w", format=container_format, options=dict(muxer or {})) as container:
        prepared = [(add_film(container, film), film) for film in films]
        heard = [(add_sound(container, sound), sound) for sound in sounds]
        packets = [packet for stream, film in prepared for packet in encoded_film(stream, film)]
        packets += [packet for stream, sound in heard for packet in encoded_sound(stream, sound)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def add_film(container, film: Film):
    """Add a video stream."""
    stream = container.add_stream(film.codec, rate=int(1 / film.time_base), options=dict(film.options))
    stream.width, stream.height, stream.pix_fmt = *film.size, film.pixel_format
    stream.codec_context.time_base = film.time_base
    stream.disposition = Disposition.default if film.is_default else Disposition(0)
    if film.turned is not None:
        stream.set_display_rotation(film.turned)
    return stream


def add_sound(container, sound: Sound):
    """Add an audio stream."""
    stream = container.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
    stream.disposition = Disposition.default if sound.is_default else Disposition(0)
    return stream


def encoded_film(stream, film: Film):
    """Encode numbered pictures to packets."""
    lengths = {}
    for order, start in enumerate(film.starts):
        end = film.starts[order + 1] if order + 1 < len(film.starts) else film.end
        shown = picture(film.first_number + order, *shown_size(film))
        if film.grain:
            shown = (shown + np.random.default_rng(order).integers(0, film.grain, shown.shape)).astype(np.uint8)
        stored = np.ascontiguousarray(np.rot90(shown, -(film.turned or 0) // 90))
        frame = av.VideoFrame.from_ndarray(stored, "rgb24")
        frame.time_base, frame.pts = film.time_base, int(start / film.time_base)
        lengths[frame.pts] = int((end - start) / film.time_base)
        yield from lasting(stream.encode(frame), lengths)
    yield from lasting(stream.encode(), lengths)


def lasting(packets, lengths):
    """Tell the container how long each picture stays; encoders keep that to themselves."""
    for packet in packets:
        packet.duration = lengths[packet.pts]
        yield packet


def shown_size(film: Film) -> tuple[int, int]:
    """Return the width and height of the pictures as they are to be shown."""
    width, height = film.size
    return (height, width) if (film.turned or 0) // 90 % 2 else (width, height)


def encoded_sound(stream, sound: Sound):
    """Encode a tone to packets."""
    samples, offset = samples_of(sound), round(sound.start * sound.rate)
    for first in range(0, samples.shape[1], BLOCK_SAMPLES):
        block = np.ascontiguousarray(samples[:, first : first + BLOCK_SAMPLES])
        frame = av.AudioFrame.from_ndarray(block, "fltp", sound.layout)
        frame.sample_rate, frame.time_base, frame.pts = sound.rate, Fraction(1, sound.rate), offset + first
        yield from stream.encode(frame)
    yield from stream.encode()
