"""How a demo face moves: mouth with the voice, expression with the sentiment, blinks and small head motion."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import numpy as np
import numpy.typing as npt
from demo_face import Pose
from demo_sentences import STRONGEST_SENTIMENT

FRAMES_PER_SECOND = 12
_BLINK = (0.45, 0.0, 0.5)  # eyelids in the three pictures of a blink


def mouth_openings(samples: npt.NDArray[np.int16], sample_rate_hz: int, frame_count: int) -> list[float]:
    """Follow the loudness of speech, one value a video frame.

    Args:
        samples: Mono speech, shape (samples,).
        sample_rate_hz: Its rate.
        frame_count: Video frames wanted, at `FRAMES_PER_SECOND`.

    Returns:
        `frame_count` openings in [0, 1]; 1 is the utterance's loudest moments.
    """
    starts = [frame * sample_rate_hz // FRAMES_PER_SECOND for frame in range(frame_count + 1)]
    chunks = [samples[start:end].astype(np.float64) for start, end in pairwise(starts)]
    loudness = np.array([math.sqrt(np.mean(chunk**2)) if chunk.size else 0.0 for chunk in chunks])
    openings: list[float] = np.clip(loudness / np.percentile(loudness, 90), 0.0, 1.0).tolist()
    return openings


def _eyelids(frame_count: int, rng: Random) -> list[float]:
    eyelids = [1.0] * frame_count
    frame = round(rng.uniform(0.4, 1.4) * FRAMES_PER_SECOND)
    while frame + len(_BLINK) <= frame_count:
        eyelids[frame : frame + len(_BLINK)] = _BLINK
        frame += round(rng.uniform(1.6, 3.2) * FRAMES_PER_SECOND)
    return eyelids


def poses_for(openings: list[float], sentiment: float, rng: Random) -> list[Pose]:
    """Plan every video frame of a clip.

    Args:
        openings: The mouth's, one a frame, in [0, 1].
        sentiment: The face's sentiment in [-3, 3].
        rng: Source of blinks and of the head's own rhythm.

    Returns:
        One pose a frame. A cheerful head moves more than a gloomy one; where it sits does not tell them apart.
    """
    level = sentiment / STRONGEST_SENTIMENT
    liveliness = 1.0 + 0.6 * level
    phases = [rng.uniform(0, math.tau) for _ in range(4)]
    poses = []
    for frame, (opening, lid) in enumerate(zip(openings, _eyelids(len(openings), rng), strict=True)):
        seconds = frame / FRAMES_PER_SECOND
        wave_expression, wave_x, wave_y, wave_roll = (
            math.sin(math.tau * rate_hz * seconds + phase)
            for rate_hz, phase in zip((0.4, 0.30, 0.55, 0.35), phases, strict=True)
        )
        poses.append(
            Pose(
                expression=max(-1.0, min(1.0, level + 0.06 * wave_expression)),
                opening=opening,
                eyelids=lid,
                shift_x=1.0 * liveliness * wave_x,
                shift_y=0.8 * liveliness * wave_y,
                roll_radians=0.008 * liveliness * wave_roll,
            )
        )
    return poses
