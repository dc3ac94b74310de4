"""Media with a transcript beside them (`talk.wav`, `talk.lab` or `talk.txt`), alone or in folders: each is a clip.

A corpus made for the Montreal Forced Aligner, with a folder a speaker, has this layout.
"""

from collections.abc import Iterator
from pathlib import Path

from sadgr.extract.clips import Clip
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.subtitles import AUDIO_ENDINGS, media_beside

_TRANSCRIPTS = (".lab", ".txt")


class TranscriptSource:
    """A media file with its transcript, or a folder of such pairs; a folder below it is a speaker.

    Args:
        path: media file or folder.
    """

    layout = "transcripts"
    dataset = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether there is a media file with a transcript beside it, here or one folder below."""
        return any(media_beside(folder, _TRANSCRIPTS) for folder in _folders(path))

    def clips(self) -> Iterator[Clip]:
        """Give a clip a pair; its id is the file's name without ending, after its speaker's folder where it has one."""
        for folder in _folders(self.path):
            speaker = "" if folder == self.path else folder.name
            for media, transcript in media_beside(folder, _TRANSCRIPTS):
                yield Clip(
                    f"{speaker}/{media.stem}" if speaker else media.stem,
                    _text(transcript),
                    audio=media,
                    video=None if media.suffix.lower() in AUDIO_ENDINGS else media,
                    columns={"speaker": speaker},
                )


def _folders(path: Path) -> list[Path]:
    below = sorted(one for one in path.iterdir() if one.is_dir()) if path.is_dir() else []
    return [path, *below]


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as UTF-8 text: {error}; save it as UTF-8") from error
