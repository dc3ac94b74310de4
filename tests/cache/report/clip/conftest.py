"""A recording with planted sound and pictures, and a cache of a clip of it."""

import wave
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from sadgr.cache import (
    ClipRecord,
    FeatureCache,
    FeatureSetSpec,
    FeatureWriter,
    RunLog,
    create_feature_set,
    file_sha256,
    source_digest,
    write_labels,
)
from sadgr.cache.media_paths import MediaPath, note_media

RATE_HZ = 16_000
FRAMES_A_SECOND = 10
WORDS = ("how", "was", "it", "then")
STARTS, ENDS = np.array([0.25, 0.75, 1.25, 1.5]), np.array([0.5, 1.0, 1.375, 1.9])
SCORES = np.array([0.25, 0.5, 0.0, 1.0], np.float32)
FLAGS = np.array([0, 0, 1, 0], np.uint8)
SECONDS = 2.0


def planted_sound(seconds: float = SECONDS) -> np.ndarray:
    """A tone of 1 kHz within each word, silence between them."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    inside = ((time[:, None] >= STARTS) & (time[:, None] < ENDS)).any(axis=1)
    return (0.5 * np.sin(2 * np.pi * 1000 * time) * inside).astype(np.float32)


def level_of(frame: int) -> int:
    """Grey level of a video frame."""
    return 20 + 10 * (frame % 20)


def record_video(path: Path, seconds: float = SECONDS, sound: np.ndarray | None = None) -> Path:
    """Write a film whose frames have the grey level that `level_of` says, with sound where it is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=FRAMES_A_SECOND)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = None if sound is None else file.add_stream("aac", rate=RATE_HZ, layout="mono")
        for number in range(round(FRAMES_A_SECOND * seconds)):
            for packet in video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), level_of(number), np.uint8))):
                file.mux(packet)
        if audio is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
            for packet in audio.encode(frame):
                file.mux(packet)
        for stream in file.streams:
            for packet in stream.encode():
                file.mux(packet)
    return path


def record_sound(path: Path, sound: np.ndarray) -> Path:
    """Write 16-bit mono WAV."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes((sound * 32767).round().astype("<i2").tobytes())
    return path


@dataclass(frozen=True)
class Recorded:
    """A cache with clips of a recording, and what was planted."""

    cache: Path
    video: Path
    text_norms: np.ndarray
    frame_norms: np.ndarray


WORDS_SPEC = FeatureSetSpec("words", "planted", {"aligner": "planted"})


def words_arrays(texts: tuple[str, ...] = WORDS) -> dict[str, np.ndarray]:
    return {"text": np.array(texts, dtype=str), "start": STARTS, "end": ENDS, "score": SCORES, "flag": FLAGS}


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Recorded]:
    """Give a function that writes a recording, and a cache of clips that are all of it."""

    def make(
        ids: tuple[str, ...] = ("a", "b", "c"),
        transcript: str = " ".join(WORDS),
        texts: tuple[str, ...] = WORDS,
        tell: bool = True,
    ) -> Recorded:
        video = record_video(tmp_path / "source/clip.mp4", sound=planted_sound())
        cache = FeatureCache.create(tmp_path / "cache")
        data = cache.create_dataset("synthetic")
        write_labels(
            data.path,
            pd.DataFrame({"text": transcript, "mode": "test", "label": 1.25}, index=pd.Index(ids, name="id")),
        )
        heard = {"media": file_sha256(video), "span": [None, None]}
        rng = np.random.default_rng(0)
        text = rng.integers(-8, 8, (len(texts), 3)).astype(np.float32)  # float16 holds them exactly
        frames = rng.integers(-8, 8, (4, 5)).astype(np.float32)
        specs = {
            "words": WORDS_SPEC,
            "text": FeatureSetSpec("text", "tiny", {"encoder": {"weights": "t"}}),
            "video": FeatureSetSpec("video", "tiny", {"encoder": {"weights": "v"}}),
        }
        arrays = {
            "words": words_arrays(texts),
            "text": {"words": text},
            "video": {"frames": frames, "seconds": np.array([0.0, 0.5, 1.0, 1.5])},
        }
        sources = {
            "words": source_digest(**heard, transcript=" ".join(texts)),
            "text": source_digest(transcript=" ".join(texts)),
            "video": source_digest(**heard),
        }
        for kind, spec in specs.items():
            with FeatureWriter(create_feature_set(data.path, spec), "link") as writer:
                for clip_id in ids:
                    writer.add(ClipRecord(clip_id, sources[kind], arrays[kind]))
        if tell:
            with RunLog(cache.path, {}) as log:
                both = {kind: MediaPath(video) for kind in ("audio", "video")}
                note_media(log.path, "synthetic", dict.fromkeys(ids, both))
        norms = (np.sqrt((one.astype(float) ** 2).sum(axis=1)) for one in (text, frames))
        return Recorded(cache.path, video, *norms)

    return make


@pytest.fixture
def planting():
    """The helpers above, for test files: importlib mode lets no test import another file."""

    class Planting:
        rate_hz, seconds, words, starts, ends, scores, flags = RATE_HZ, SECONDS, WORDS, STARTS, ENDS, SCORES, FLAGS
        sound = staticmethod(planted_sound)
        level_of = staticmethod(level_of)
        video = staticmethod(record_video)
        wav = staticmethod(record_sound)
        words_arrays = staticmethod(words_arrays)
        words_spec = WORDS_SPEC

    return Planting
