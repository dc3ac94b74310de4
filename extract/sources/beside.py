"""Media with their text beside them: `talk.mp4` and `talk.srt` or `.vtt` (each cue a clip), or `.lab` or `.txt` (one clip).

A single file, or folders of them to any depth. `talk.wav` beside `talk.mp4` is that film's sound. A corpus made for the
Montreal Forced Aligner, with a folder a speaker, has this layout.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysubs2

from sadgr.extract.clips import Clip, Medium

_SUBTITLES = (".srt", ".vtt")
_TRANSCRIPTS = (".lab", ".txt")
_VIDEO = frozenset([".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"])
_AUDIO = frozenset([".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus"])
# "NAR: ..." or ">> ANNA: ..." names who speaks; nobody says it.
_SPEAKER_TAG = re.compile(r"^(?:>>\s*)?([A-Z][A-Z .'-]{0,30}):\s+")


@dataclass(frozen=True)
class Recording:
    """Files of one name.

    Attributes:
        name: path below the source without ending.
        speaker: the folder that it lies in, where that is not the source itself.
        audio: file with the sound.
        video: file with the picture; None where there is none.
        text: subtitles or transcript; None where there is none.
    """

    name: str
    speaker: str
    audio: Path
    video: Path | None
    text: Path | None


class BesideSource:
    """Media files with text beside them.

    Args:
        path: a media file, or a folder.
    """

    layout = "media with text"
    dataset = None
    expected = "a media file (or a folder of them) with .srt, .vtt, .lab or .txt beside it"

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether there is a media file with text beside it."""
        return any(one.text is not None for one in _recordings(path))

    @staticmethod
    def is_media(path: Path) -> bool:
        """Whether this is a single media file, by its ending."""
        return path.is_file() and path.suffix.lower() in _VIDEO | _AUDIO

    def clips(self) -> Iterator[Clip]:
        """Give a clip a transcript, or a cue, `<name>$_$<number>`; media without text have an empty transcript."""
        for one in _recordings(self.path):
            if one.text is not None and one.text.suffix.lower() in _SUBTITLES:
                yield from _cues(one)
                continue
            transcript, fault = ("", "") if one.text is None else _transcript(one.text)
            columns: dict[str, str | float] = {"speaker": one.speaker}
            yield Clip(one.name, transcript, *_media(one), columns, fault)


def _recordings(path: Path) -> Iterator[Recording]:
    """Give the recordings at or below a path, in the order of their names."""
    folder = path.parent if path.is_file() else path
    files = sorted(folder.iterdir() if path.is_file() else folder.rglob("*")) if folder.is_dir() else []
    beside: dict[Path, dict[str, Path]] = {}
    for file in files:
        beside.setdefault(file.with_suffix(""), {})[file.suffix.lower()] = file
    for stem, endings in beside.items():
        video = next((endings[one] for one in endings if one in _VIDEO and endings[one].is_file()), None)
        audio = next((endings[one] for one in endings if one in _AUDIO and endings[one].is_file()), video)
        if audio is None or (path.is_file() and path not in (video, audio)):
            continue
        text = next((endings[one] for one in (*_SUBTITLES, *_TRANSCRIPTS) if one in endings), None)
        speaker = "" if stem.parent == folder else stem.parent.name
        yield Recording(stem.relative_to(folder).as_posix(), speaker, audio, video, text)


def _transcript(path: Path) -> tuple[str, str]:
    """Return a transcript, or why it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return "", f"{path} cannot be read as UTF-8 text: {error}; save it as UTF-8"
    if "\0" in text:
        return "", f"{path} holds NUL characters, so it is no UTF-8 text; save it as UTF-8"
    return " ".join(text.split()), ""


def _cues(one: Recording) -> Iterator[Clip]:
    """Give a clip a cue; subtitles that cannot be read make one clip that says so."""
    video_id = one.name
    try:
        events = list(pysubs2.load(str(one.text), encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, pysubs2.exceptions.Pysubs2Error) as error:
        yield Clip(one.name, "", *_media(one), fault=f"{one.text} cannot be read as subtitles: {error}")
        return
    for number, event in enumerate(events, start=1):
        text = " ".join(event.plaintext.split())
        tag = _SPEAKER_TAG.match(text)
        backwards = event.end <= event.start
        columns: dict[str, str | float] = {"video_id": video_id, "clip_id": str(number)}
        columns["speaker"] = tag[1] if tag else one.speaker
        yield Clip(
            f"{video_id}$_${number}",
            text[tag.end() :] if tag else text,
            *_media(one, *(() if backwards else (event.start / 1000, event.end / 1000))),
            columns,
            f"{one.text}: its cue {number} ends before it begins; correct its times" if backwards else "",
        )


def _media(one: Recording, *span: float) -> tuple[Medium, Medium | None]:
    """Return a recording's sound and picture, or a span of both."""
    return Medium(one.audio, *span), None if one.video is None else Medium(one.video, *span)
