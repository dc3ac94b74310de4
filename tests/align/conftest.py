"""Sound for the aligners' tests: shared recordings where they are present, and speech whose word times are known."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from numpy.typing import NDArray

RATE_HZ = 16000


class Speech(NamedTuple):
    """Synthetic speech and what its synthesiser says about it."""

    waveform: NDArray[np.float32]
    onsets_seconds: list[float]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("SADGR_SHARED_DATA", Path(__file__).parents[2].parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no shared recordings in {folder}; SADGR_SHARED_DATA names another place")
    return folder


@pytest.fixture(scope="session")
def speech() -> Speech:
    """'the juice of lemons makes fine punch', with the onset of each word as espeak-ng reports it."""
    pytest.importorskip("espeakng_loader", reason="speech is synthesised by espeakng-loader, of sadgr[g2p]")
    return synthesise("the juice of lemons makes fine punch")


@pytest.fixture(scope="session")
def narration(shared_data: Path) -> NDArray[np.float32]:
    """A real narrator with subtitles: the 16 kHz one of the film's two audio streams, float32, shape (n,)."""
    return decode(shared_data / "clips/nasa_webb.mp4", stream=1)


def decode(path: Path, stream: int = 0) -> NDArray[np.float32]:
    """One audio stream as mono 16 kHz float32, shape (n,)."""
    resampler = av.AudioResampler("flt", "mono", RATE_HZ)
    with av.open(str(path)) as container:
        decoded = [*container.decode(container.streams.audio[stream]), None]
    parts = [part.to_ndarray()[0] for frame in decoded for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float32)


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


def synthesise(text: str) -> Speech:
    """Says English text through espeak-ng."""
    import espeakng_loader

    retrieve, word_event, utf8 = 1, 1, 1
    library = espeakng_loader.load_library()
    rate_hz = library.espeak_Initialize(retrieve, 0, espeakng_loader.get_data_path().encode(), 0)
    assert rate_hz > 0, "espeak-ng did not start"
    samples: list[NDArray[np.int16]] = []
    onsets: list[float] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    def collect(wav, count, events):
        if count:
            samples.append(np.ctypeslib.as_array(wav, (count,)).copy())
        index = 0
        while events[index].type:
            if events[index].type == word_event:
                onsets.append(events[index].audio_position_ms / 1000)
            index += 1
        return 0

    library.espeak_SetSynthCallback(collect)
    library.espeak_SetVoiceByName(b"en-us")
    spoken = text.encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, 1, 0, utf8, None, None)
    library.espeak_Synchronize()
    sound = np.concatenate(samples).astype(np.float64) / 2**15
    at = np.arange(int(len(sound) * RATE_HZ / rate_hz)) * rate_hz / RATE_HZ
    resampled = np.interp(at, np.arange(len(sound)), sound)
    margin = np.random.default_rng(0).normal(scale=1e-3, size=RATE_HZ // 5)
    waveform = np.concatenate([margin, resampled, margin]).astype(np.float32)
    return Speech(waveform, [onset + len(margin) / RATE_HZ for onset in onsets])
