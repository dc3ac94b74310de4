"""Synthetic speech for the demo: espeak-ng through ctypes, with prosody that follows a sentiment."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from random import Random

import espeakng_loader
import numpy as np
import numpy.typing as npt
from demo_sentences import STRONGEST_SENTIMENT

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_PARAMETER_NUMBERS = {"rate_words_per_minute": 1, "volume_percent": 2, "pitch_percent": 3, "range_percent": 4}

_WaveCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker's own voice, before any sentiment.

    Attributes:
        name: espeak-ng voice with its variant, e.g. `en-us+f2`.
        pitch_percent: Base pitch on espeak-ng's scale of 0 to 99.
        rate_words_per_minute: Base speaking rate.
    """

    name: str
    pitch_percent: int
    rate_words_per_minute: int


@dataclass(frozen=True, slots=True)
class Prosody:
    """The four espeak-ng parameters of one utterance, each on espeak-ng's own scale."""

    rate_words_per_minute: int
    pitch_percent: int
    range_percent: int
    volume_percent: int

    def __post_init__(self) -> None:
        """Refuse what espeak-ng would silently clip, or what nobody could follow."""
        limits = {"rate_words_per_minute": (110, 220), "pitch_percent": (0, 99)}
        limits |= {"range_percent": (0, 99), "volume_percent": (40, 110)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {low} to {high}: change the voice's base")


def prosody_for(voice: Voice, sentiment: float, rng: Random) -> Prosody:
    """Let sentiment move a voice: positive is higher, livelier, faster and louder; negative is the reverse.

    Args:
        voice: Whose voice.
        sentiment: The voice's sentiment in [-3, 3].
        rng: Source of the small variation between utterances of one sentiment.

    Returns:
        The parameters to speak with.
    """
    level = sentiment / STRONGEST_SENTIMENT
    return Prosody(
        rate_words_per_minute=round(voice.rate_words_per_minute * (1 + 0.12 * level + rng.uniform(-0.03, 0.03))),
        pitch_percent=round(voice.pitch_percent + 20 * level + rng.uniform(-3, 3)),
        range_percent=round(50 + 38 * level + rng.uniform(-5, 5)),
        volume_percent=round(76 + 16 * level + rng.uniform(-4, 4)),
    )


class Speech:
    """The espeak-ng library, loaded once; it keeps global state, so one at a time."""

    def __init__(self) -> None:
        self._library = ctypes.cdll.LoadLibrary(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path()
        self.sample_rate_hz: int = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), 0)
        if self.sample_rate_hz <= 0:
            raise RuntimeError(f"espeak-ng found no voices in {data_path}: reinstall espeakng-loader")
        self._chunks: list[npt.NDArray[np.int16]] = []
        self._callback = _WaveCallback(self._keep)  # kept alive here: C holds a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _keep(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).astype(np.int16))
        return 0

    def say(self, text: str, voice: Voice, prosody: Prosody) -> npt.NDArray[np.int16]:
        """Speak one sentence.

        Args:
            text: English text.
            voice: Whose voice.
            prosody: How to speak.

        Returns:
            Mono int16 samples at `sample_rate_hz`, shape (samples,), silence at both ends cut.

        Raises:
            RuntimeError: The voice is unknown, or nothing was spoken.
        """
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise RuntimeError(f"espeak-ng has no voice {voice.name!r}: choose one of its espeak-ng-data/voices")
        for name, number in _PARAMETER_NUMBERS.items():
            self._library.espeak_SetParameter(number, getattr(prosody, name), 0)
        self._chunks.clear()
        # Breathy voices mix in noise, which espeak-ng seeds by the clock when it starts.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        utf8 = text.encode() + b"\0"
        self._library.espeak_Synth(utf8, len(utf8), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        if not self._chunks:
            raise RuntimeError(f"espeak-ng spoke nothing for {text!r}")
        samples = np.concatenate(self._chunks)
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 100)
        return samples[loud[0] : loud[-1] + 1]
