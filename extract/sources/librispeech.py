"""LibriSpeech: `<part>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt` with `<id>.flac` beside it."""

from collections.abc import Iterator
from pathlib import Path

from sadgr.extract.clips import Clip, Medium
from sadgr.extract.errors import SourceError

_SPLITS = {"train": "train", "dev": "valid", "test": "test"}


class LibriSpeechSource:
    """LibriSpeech, one of its parts, or one speaker's folder of a part.

    Args:
        path: the folder.
    """

    layout = "librispeech"
    dataset = "librispeech"
    expected = "LibriSpeech's folders with *.trans.txt"

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether transcripts of this layout lie here or below."""
        patterns = ("*/*/*.trans.txt", "*/*/*/*.trans.txt", "*/*.trans.txt")
        return path.is_dir() and any(next(path.glob(pattern), None) is not None for pattern in patterns)

    def clips(self) -> Iterator[Clip]:
        """Give a clip an utterance, by its published id; the split follows from the part's name."""
        for transcripts in sorted(self.path.rglob("*.trans.txt")):
            speaker = transcripts.parent.parent.name
            part = transcripts.resolve().parents[2].name
            split = _SPLITS.get(part.split("-")[0], "")
            for number, line in enumerate(_lines(transcripts), start=1):
                clip_id, _, text = line.partition(" ")
                if not clip_id.startswith(f"{speaker}-"):
                    raise SourceError(
                        f"{transcripts}, line {number}: {line[:60]!r} is not `ID TEXT` of speaker {speaker}"
                    )
                columns: dict[str, str | float] = {"mode": split, "speaker": speaker, "part": part}
                yield Clip(clip_id, text, audio=Medium(transcripts.parent / f"{clip_id}.flac"), columns=columns)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as UTF-8 text: {error}") from error
