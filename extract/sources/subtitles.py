"""Media files with subtitles beside them (`talk.mp4`, `talk.srt` or `talk.vtt`): each cue is a clip."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pysubs2

from sadgr.extract.clips import Clip
from sadgr.extract.errors import SourceError

_SUBTITLES = (".srt", ".vtt")
_MEDIA = frozenset(
    [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus"]
)
AUDIO_ENDINGS = frozenset([".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus"])
# "NAR: ..." or ">> ANNA: ..." names who speaks; nobody says it.
_SPEAKER_TAG = re.compile(r"^(?:>>\s*)?([A-Z][A-Z .'-]{0,30}):\s+")


class SubtitleSource:
    """A media file with subtitles, or a folder of such pairs.

    Args:
        path: media file or folder.
    """

    layout = "subtitles"
    dataset = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether there is a media file with subtitles beside it."""
        return bool(media_beside(path, _SUBTITLES))

    def clips(self) -> Iterator[Clip]:
        """Give a clip a cue; its id is `<file name without ending>$_$<number of the cue>`."""
        for media, subtitles in media_beside(self.path, _SUBTITLES):
            for number, (start, end, text) in enumerate(_cues(subtitles), start=1):
                tag = _SPEAKER_TAG.match(text)
                columns: dict[str, str | float] = {"video_id": media.stem, "clip_id": str(number)}
                columns["speaker"] = tag[1] if tag else ""
                yield Clip(
                    f"{media.stem}$_${number}",
                    text[tag.end() :] if tag else text,
                    audio=media,
                    video=None if media.suffix.lower() in AUDIO_ENDINGS else media,
                    start_seconds=start,
                    end_seconds=end,
                    columns=columns,
                )


def media_beside(path: Path, endings: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return media files, at this path or in this folder, that have a file with one of these endings beside them.

    Returns:
        Pairs of media file and the other, sorted; where it has several, the one whose ending is named first.
    """
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    media = [file for file in files if file.suffix.lower() in _MEDIA and file.is_file()]
    beside = [(file, file.with_suffix(ending)) for file in media for ending in endings]
    found = {file: other for file, other in reversed(beside) if other.is_file()}
    return sorted(found.items())


def _cues(path: Path) -> list[tuple[float, float, str]]:
    """Return (start in seconds, end in seconds, text) of each cue."""
    try:
        events = pysubs2.load(str(path), encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pysubs2.exceptions.Pysubs2Error) as error:
        raise SourceError(f"{path} cannot be read as subtitles: {error}") from error
    cues = [(event.start / 1000, event.end / 1000, " ".join(event.plaintext.split())) for event in events]
    if backwards := [cue for cue in cues if cue[1] <= cue[0]]:
        raise SourceError(f"{path}: the cue {backwards[0][2][:40]!r} ends before it begins; correct its times")
    return cues
