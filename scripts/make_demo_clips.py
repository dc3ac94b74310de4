"""Makes the demo's talking clips and their label.csv: `python scripts/make_demo_clips.py examples/demo/talking`.

Needs the extra `g2p` (espeak-ng). Every random choice is seeded by the clip's name, so a second run gives the same
labels, speech and pictures.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
from demo_cast import SPEAKERS, Speaker
from demo_face import draw_face
from demo_motion import FRAMES_PER_SECOND, mouth_openings, poses_for
from demo_mp4 import write_mp4
from demo_sentences import LINES, STRONGEST_SENTIMENT, Line
from demo_voice import Speech, prosody_for

SILENCE_BEFORE_SECONDS = 0.20
SILENCE_AFTER_SECONDS = 0.30
LARGEST_DEPARTURE = 0.4


@dataclass(frozen=True, slots=True)
class Row:
    """One row of label.csv, its columns in MMSA's names and order."""

    video_id: str
    clip_id: str
    text: str
    label: float
    label_T: float
    label_A: float
    label_V: float
    annotation: str
    mode: str


def row_for(speaker: Speaker, clip_id: str, line: Line) -> Row:
    """Label one clip.

    Voice and face depart from the delivery by the same amount in opposite directions: each alone is a noisy witness,
    and their mean is the clip's label.
    """
    delivery = line.delivery_sentiment
    room = min(LARGEST_DEPARTURE, STRONGEST_SENTIMENT - abs(delivery))
    departure = round(Random(f"labels/{speaker.video_id}/{clip_id}").uniform(-room, room), 1)  # noqa: S311
    return Row(
        video_id=speaker.video_id,
        clip_id=clip_id,
        text=line.text,
        label=delivery,
        label_T=line.words_sentiment,
        label_A=round(delivery + departure, 1),
        label_V=round(delivery - departure, 1),
        annotation="Neutral" if delivery == 0 else "Positive" if delivery > 0 else "Negative",
        mode=speaker.mode,
    )


def rows() -> Iterator[tuple[Speaker, Row]]:
    """Give every clip's speaker and labels, in the order of label.csv."""
    for speaker in SPEAKERS:
        for number, line in enumerate(LINES[speaker.video_id], start=1):
            yield speaker, row_for(speaker, f"{number:04d}", line)


def with_silence(speech: npt.NDArray[np.int16], rate_hz: int) -> tuple[npt.NDArray[np.int16], int]:
    """Put silence around speech so that it fills whole video frames.

    Returns:
        The longer speech, shape (samples,), and its number of video frames.
    """
    before = round(SILENCE_BEFORE_SECONDS * rate_hz)
    shortest = before + speech.size + round(SILENCE_AFTER_SECONDS * rate_hz)
    frame_count = -(-shortest * FRAMES_PER_SECOND // rate_hz)  # rounded up
    total = round(frame_count * rate_hz / FRAMES_PER_SECOND)
    return np.pad(speech, (before, total - before - speech.size)), frame_count


def make_clip(path: Path, speaker: Speaker, row: Row, speech: Speech) -> None:
    """Speak, draw and write one clip."""
    rng = Random(f"clip/{row.video_id}/{row.clip_id}")  # noqa: S311
    spoken = speech.say(row.text, speaker.voice, prosody_for(speaker.voice, row.label_A, rng))
    samples, frame_count = with_silence(spoken, speech.sample_rate_hz)
    openings = mouth_openings(samples, speech.sample_rate_hz, frame_count)
    pictures = [draw_face(speaker.look, pose) for pose in poses_for(openings, row.label_V, rng)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, pictures, FRAMES_PER_SECOND, samples, speech.sample_rate_hz)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo's talking clips and their label.csv.")
    parser.add_argument("folder", type=Path, help="where label.csv and Raw/ go, e.g. examples/demo/talking")
    folder: Path = parser.parse_args().folder
    speech = Speech()
    labelled = list(rows())
    for speaker, row in labelled:
        path = folder / "Raw" / row.video_id / f"{row.clip_id}.mp4"
        make_clip(path, speaker, row, speech)
        print(f"{path}  {path.stat().st_size / 1000:.1f} KB")
    with (folder / "label.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(Row.__annotations__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for _, row in labelled)


if __name__ == "__main__":
    main()
