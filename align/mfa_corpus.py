"""What MFA reads: a folder a speaker, and in it a 16-bit wav and a .lab a clip, under names that no id can break."""

from __future__ import annotations

import hashlib
import wave
from dataclasses import dataclass
from pathlib import Path

from sadgr.align.pcm import pcm16
from sadgr.align.spoken import spoken_forms
from sadgr.align.words import Utterance


@dataclass(frozen=True)
class Entry:
    """One utterance of the corpus.

    Attributes:
        number: Its place in the batch.
        clip_id: Its clip.
        words: Words of its transcript.
        duration_seconds: Length of its sound.
        folder: Its speaker's folder.
        failure: Why it is not worth MFA's time; empty where it was written.
    """

    number: int
    clip_id: str
    words: tuple[str, ...]
    duration_seconds: float
    folder: str
    failure: str = ""

    @property
    def stem(self) -> str:
        """Name of its files without ending."""
        return f"u{self.number:06d}"


def write_entry(corpus: Path, number: int, utterance: Utterance) -> Entry:
    """Writes one utterance into the corpus, unless there is nothing to align."""
    said = " ".join(form for word in utterance.words for form in lab_words(word))
    failure = ""
    if not said:
        failure = "no word of its transcript can be spoken"
    elif not len(utterance.waveform) or not utterance.waveform.any():
        failure = "its sound is silent"
    speaker = hashlib.sha256(utterance.speaker.encode()).hexdigest()[:12] if utterance.speaker else "unknown"
    entry = Entry(number, utterance.clip_id, utterance.words, utterance.duration_seconds, speaker, failure)
    if not failure:
        folder = corpus / entry.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{entry.stem}.lab").write_text(said + "\n", encoding="utf-8")
        with wave.open(str(folder / f"{entry.stem}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(utterance.sample_rate_hz)
            file.writeframes(pcm16(utterance.waveform))
    return entry


def lab_words(word: str) -> tuple[str, ...]:
    """Writes a transcript's word as MFA should see it.

    In ASCII, what is said for it ("$5" is five dollars, "(umm)" is umm, which MFA would take for a noise). Letters of
    other languages stay, for the dictionary of that language, without the punctuation around them.
    """
    forms = spoken_forms(word)
    if not any(letter.isalpha() and not letter.isascii() for letter in word):
        return forms
    core = word.casefold().strip("\"'“”‘’«»()[]{}<>.,;:!?…-–—¿¡")
    return (core,) if forms and core else ()


def move(entry: Entry, source: Path, target: Path) -> None:
    """Moves an utterance's files to another corpus."""
    (target / entry.folder).mkdir(parents=True, exist_ok=True)
    for ending in (".lab", ".wav"):
        name = f"{entry.folder}/{entry.stem}{ending}"
        (source / name).rename(target / name)
