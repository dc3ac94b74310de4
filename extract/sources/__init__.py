"""Data sets as they lie on a disk, one layout a file."""

from pathlib import Path

from sadgr.extract.clips import Clip, Source
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.beside import BesideSource
from sadgr.extract.sources.librispeech import LibriSpeechSource
from sadgr.extract.sources.mmsa import MmsaSource

_LAYOUTS = (MmsaSource, LibriSpeechSource, BesideSource)


def open_source(path: Path) -> Source:
    """Recognise what lies at a path.

    Raises:
        SourceError: nothing lies there, or nothing that is known.
    """
    if not path.exists():
        raise SourceError(f"source {path} does not exist")
    if BesideSource.is_media(path) and not BesideSource.recognises(path):
        raise SourceError(
            f"{path} has no text beside it; put its transcript or subtitles into {path.stem}.txt, .lab, .srt or .vtt"
        )
    for layout in _LAYOUTS:
        if layout.recognises(path):
            return layout(path)
    raise SourceError(
        f"{path} has no known layout. Known are: a folder with label.csv and Raw/<video_id>/<clip_id>.mp4 (MMSA), "
        "LibriSpeech's folders with *.trans.txt, and a media file (or a folder of them) with .srt, .vtt, .lab or .txt beside it"
    )


def read_clips(source: Source) -> list[Clip]:
    """Return a source's clips.

    Raises:
        SourceError: there is none, or two have one id.
    """
    try:
        clips = list(source.clips())
    except ValueError as error:
        raise SourceError(str(error)) from error
    if not clips:
        raise SourceError(f"the source holds no clip (read as {source.layout})")
    seen: set[str] = set()
    for clip in clips:
        if clip.clip_id in seen:
            raise SourceError(f"clip id {clip.clip_id!r} stands twice in the source; ids must differ")
        seen.add(clip.clip_id)
    return clips
