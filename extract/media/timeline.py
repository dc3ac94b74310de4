"""When a video stream's frames are on display, told from its packets, without decoding; headers are not trusted."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sadgr.extract.media.container import seconds_text, time_base_seconds
from sadgr.extract.media.errors import MediaError


class Stamp(NamedTuple):
    """One packet or frame of a video stream; all times in the stream's time base."""

    presentation: int
    duration: int
    is_key: bool
    is_hidden: bool


@dataclass(frozen=True)
class Timeline:
    """The frames of a video stream that can be shown, in the order of display.

    Attributes:
        stamps: (n,) int64 presentation time stamps, strictly increasing, n >= 1.
        seconds: (n,) float64, the same in seconds from the recording's origin.
        end_seconds: when the last frame leaves the display.
        key_stamps: (k,) int64 presentation time stamps of the key frames, increasing; k may be 0.
        hidden_count: how many packets or frames were left out.
    """

    stamps: NDArray[np.int64]
    seconds: NDArray[np.float64]
    end_seconds: float
    key_stamps: NDArray[np.int64]
    hidden_count: int

    def __post_init__(self) -> None:
        if len(self.stamps) == 0 or len(self.stamps) != len(self.seconds):
            raise ValueError(f"{len(self.stamps)} stamps and {len(self.seconds)} times; expected as many, at least one")
        if np.any(np.diff(self.stamps) <= 0):
            raise ValueError("the stamps must be strictly increasing")


def packet_stamps(container: InputContainer, stream: VideoStream, path: Path) -> list[Stamp] | None:
    """Read the stamps of a stream's packets, in the file's order.

    Returns:
        The stamps, or None when a packet has no presentation time stamp.

    Raises:
        MediaError: when the demuxer marks a packet as damaged.
    """
    stamps = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue  # PyAV's mark for the end of the stream
        if packet.is_corrupt:
            time = seconds_text(packet.pts, time_base_seconds(stream))
            raise MediaError(f"{path}: damaged or truncated in a video packet at {time}; fetch it again")
        if packet.pts is None:
            return None
        stamps.append(Stamp(packet.pts, packet.duration or 0, packet.is_keyframe, packet.is_discard))
    return stamps


def frame_stamps(container: InputContainer, stream: VideoStream, path: Path) -> list[Stamp]:
    """Decode a whole stream for the stamps of its frames, where its packets do not tell.

    A decoder puts its frames out in the order of display, but where the file holds no presentation time stamps (AVI) it
    can number them in another order. So the stamps are sorted.

    Raises:
        MediaError: when the frames have no time stamps, or two have the same.
    """
    stamps = [(frame.pts, frame.key_frame) for frame in container.decode(stream)]
    known = sorted((stamp, is_key) for stamp, is_key in stamps if stamp is not None)
    if len({stamp for stamp, _ in known}) != len(stamps):
        raise MediaError(f"{path}: its video frames have no time stamps of their own; convert it to mp4")
    return [Stamp(stamp, 0, is_key, False) for stamp, is_key in known]


def build_timeline(
    stamps: list[Stamp], time_base: Fraction, origin: Fraction, are_decoded: bool = False
) -> Timeline | None:
    """Order the frames that can be shown.

    Left out are frames that the container hides (an edit list's head), those before the origin, and packets that come,
    in the file or on display, before the first key frame: nothing can decode them.

    Args:
        stamps: of packets or frames, in the file's order.
        time_base: seconds per unit of the stamps.
        origin: time stamp, in seconds, of the recording's t = 0.
        are_decoded: whether the stamps are of frames, so that nothing has to be asked of key frames.

    Returns:
        The timeline, or None when nothing is left to show.
    """
    head = 0 if are_decoded else next((number for number, stamp in enumerate(stamps) if stamp.is_key), 0)
    decodable = stamps[head:]
    first_shown = max(Fraction(decodable[0].presentation), origin / time_base) if decodable else Fraction(0)
    shown = {s.presentation: s for s in decodable if not s.is_hidden and s.presentation >= first_shown}
    if not shown:
        return None
    ordered = np.array(sorted(shown), dtype=np.int64)
    end = int(ordered[-1]) + (shown[int(ordered[-1])].duration or _usual_step(ordered))
    return Timeline(
        stamps=ordered,
        seconds=np.array([float(int(stamp) * time_base - origin) for stamp in ordered]),
        end_seconds=float(end * time_base - origin),
        key_stamps=np.array(sorted(stamp.presentation for stamp in decodable if stamp.is_key), dtype=np.int64),
        hidden_count=len(stamps) - len(ordered),
    )


def first_lost(announced: Timeline, decoded: Timeline) -> int | None:
    """Return the stamp of the first frame that packets announce but a decoder left out, once it had begun; or None."""
    due = announced.stamps[announced.stamps > decoded.stamps[0]]
    lost = due[~np.isin(due, decoded.stamps)]
    return int(lost[0]) if len(lost) else None


def _usual_step(stamps: NDArray[np.int64]) -> int:
    """Return the median step, for a last frame whose packet states no duration."""
    return int(np.median(np.diff(stamps))) if len(stamps) > 1 else 1
