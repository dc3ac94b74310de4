"""Cuts without re-encoding: by copying packets, and by an mp4's edit list."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

Edit = tuple[Fraction, Fraction]
"""Start within the media and length, seconds."""


def copy_cut(source: Path, path: Path, start: Fraction, seconds: Fraction, keeps_head: bool = True) -> Path:
    """Cut [start, start + seconds) out of a file without re-encoding.

    With its head as `ffmpeg -ss START -i SOURCE -t SECONDS -c copy` does: all packets from the key frame before `start`
    on; in mp4 an edit list hides what comes too early. Without as `ffmpeg -i SOURCE -ss START -t SECONDS -c copy` does:
    the video starts late, with the first key frame after `start`.
    """
    keys = [time for time, is_key in packet_times(source) if is_key]
    head = max(key for key in keys if key <= start)
    firsts = {"video": head if keeps_head else min(key for key in keys if key >= start)}
    firsts["audio"] = head if keeps_head else start
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None or not firsts[packet.stream.type] <= packet.pts * packet.time_base < start + seconds:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copies[packet.stream.index]
            new.mux(packet)
    return path


def packet_times(source: Path) -> list[tuple[Fraction, bool]]:
    """Return the presentation time, seconds, of each packet of a file's first video stream, and whether it is a key."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        return [(packet.pts * packet.time_base, packet.is_keyframe) for packet in packets]


def edit_list(path: Path, edits: Sequence[Edit]) -> Path:
    """Give every track of an mp4 whose index stands at its end these edits, as a phone does that trims a film."""
    content = path.read_bytes()
    moov = content.index(b"moov") - 4
    boxes = bytearray(content[moov:])
    movie_scale = _number(boxes, boxes.index(b"mvhd") + 16)
    tracks = [at for at in range(len(boxes)) if boxes[at : at + 4] == b"trak"]
    for track in reversed(tracks):
        track_scale = _number(boxes, boxes.index(b"mdhd", track) + 16)
        edts, elst = boxes.index(b"edts", track), boxes.index(b"elst", track)
        old_size, encoder_delay = _number(boxes, elst - 4), _number(boxes, elst + 16)
        entries = [
            struct.pack(">IIHH", round(length * movie_scale), round(start * track_scale) + encoder_delay, 1, 0)
            for start, length in edits
        ]
        new = struct.pack(">I4sII", 16 + 12 * len(edits), b"elst", 0, len(edits)) + b"".join(entries)
        boxes[elst - 4 : elst - 4 + old_size] = new
        for parent in (4, track, edts):  # moov, trak, edts
            struct.pack_into(">I", boxes, parent - 4, _number(boxes, parent - 4) + len(new) - old_size)
    path.write_bytes(content[:moov] + bytes(boxes))
    return path


def _number(boxes: bytearray, at: int) -> int:
    return int(struct.unpack_from(">I", boxes, at)[0])
