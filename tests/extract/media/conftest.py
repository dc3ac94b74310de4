"""Makes media whose content is known: films of numbered pictures and planted tones."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

BITS = 8


class Studio:
    """Writes test media into a folder; a picture's number stands in blocks of black and white along its top."""

    def __init__(self, folder: Path):
        self.folder = folder

    @staticmethod
    def picture(number, width=64, height=48):
        """Blue, with the number's bits in the top half (least significant left) and a red block at bottom left."""
        pixels = np.full((height, width, 3), (30, 60, 140), np.uint8)
        for bit in range(BITS):
            pixels[: height // 2, bit * width // BITS : (bit + 1) * width // BITS] = 255 * (number >> bit & 1)
        pixels[height // 2 :, : width // 4] = (220, 30, 30)
        return pixels

    @staticmethod
    def number_of(pixels):
        height, width = pixels.shape[:2]
        rows = slice(height // 8, height // 2 - height // 8)
        blocks = (pixels[rows, bit * width // BITS + 2 : (bit + 1) * width // BITS - 2] for bit in range(BITS))
        return sum((block.mean() > 127) << bit for bit, block in enumerate(blocks))

    def numbers_of(self, frames):
        return [int(self.number_of(pixels)) for pixels in frames.pixels]

    def film(
        self,
        name,
        count=60,
        codec="libx264",
        options=None,
        size=(64, 48),
        stamps=None,
        rotation=None,
        pixel_format="yuv420p",
        tone=None,
        muxer=None,
    ):
        """Write a film at 25 frames a second; `stamps` are in frames; `tone` is (samples (1, n), rate, start seconds)."""
        path = self.folder / name
        with av.open(str(path), "w", options=muxer or {}) as container:
            video = container.add_stream(codec, rate=25, options=options or {})
            video.width, video.height, video.pix_fmt = *size, pixel_format
            if rotation is not None:
                video.set_display_rotation(rotation)
            audio = None if tone is None else container.add_stream("aac", rate=tone[1], layout="mono")
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(self.picture(number, *size), "rgb24")
                frame.pts, frame.time_base = number if stamps is None else stamps[number], Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode())
            if audio is not None:
                self._encode_sound(container, audio, *tone)
        return path

    def sound(self, name, samples, rate, codec, layout="mono", options=None, start=0.0):
        """Write sound; `samples` (channels, n) float."""
        path = self.folder / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout, options=options or {})
            self._encode_sound(container, stream, samples, rate, start, layout)
        return path

    @staticmethod
    def _encode_sound(container, stream, samples, rate, start=0.0, layout="mono"):
        for first in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, first : first + 1024], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first + round(start * rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    def song_with_cover(self, name, seconds=1.0, rate=44100):
        """Write an MP3 of silence with cover art."""
        path = self.folder / name
        with av.open(str(path), "w") as container:
            audio = container.add_stream("libmp3lame", rate=rate, layout="mono")
            cover = container.add_stream("mjpeg")
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            container.mux(cover.encode(av.VideoFrame.from_ndarray(self.picture(1), "rgb24")))
            self._encode_sound(container, audio, np.zeros((1, round(seconds * rate))), rate)
        return path

    def cut(self, source, name, start, seconds, keep_head):
        """Copy packets of [start, start + seconds) without re-encoding, with the head that decoding needs or without."""
        path = self.folder / name
        with av.open(str(source)) as old, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new:
            stream = old.streams.video[0]
            copy = new.add_stream_from_template(stream)
            offset = round(Fraction(str(start)) / stream.time_base)
            for packet in old.demux(stream):
                if packet.dts is None or packet.pts * stream.time_base >= start + seconds:
                    continue
                if packet.pts < offset and not keep_head:
                    continue
                packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, copy
                new.mux(packet)
        return path


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)
