"""Data sets as they lie on a disk, one layout a file."""

from collections.abc import Mapping
from pathlib import Path

from sadgr.extract.clips import Clip, Source
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.beside import BesideSource
from sadgr.extract.sources.librispeech import LibriSpeechSource
from sadgr.extract.sources.manifest import ManifestSource
from sadgr.extract.sources.mmsa import MmsaSource
from sadgr.extract.sources.mosei import MoseiSource
from sadgr.extract.sources.mosi import MosiSource

Layout = (
    type[MmsaSource]
    | type[MosiSource]
    | type[MoseiSource]
    | type[LibriSpeechSource]
    | type[ManifestSource]
    | type[BesideSource]
)
LAYOUTS: Mapping[str, Layout] = {
    "mmsa": MmsaSource,
    "mosi": MosiSource,
    "mosei": MoseiSource,
    "librispeech": LibriSpeechSource,
    "manifest": ManifestSource,
    "media": BesideSource,
}
"""Name -> layout, in the order in which they are tried: what looks for one file comes before what looks through folders."""


def open_source(path: Path, layout: str | None = None) -> Source:
    """Open what lies at a path.

    Args:
        path: a folder or a file.
        layout: one of `LAYOUTS`; None recognises it.

    Raises:
        SourceError: nothing lies there, nothing that is known, or something of another layout.
    """
    if not path.exists():
        raise SourceError(f"source {path} does not exist")
    if layout is not None:
        return _named(path, layout)
    if BesideSource.is_media(path) and not BesideSource.recognises(path):
        raise SourceError(
            f"{path} has no text beside it; put its transcript or subtitles into {path.stem}.txt, .lab, .srt or .vtt"
        )
    for one in LAYOUTS.values():
        if one.recognises(path):
            return one(path)
    known = "; ".join(one.expected for one in LAYOUTS.values())
    raise SourceError(f"{path} has no known layout. Known are: {known}")


def _named(path: Path, name: str) -> Source:
    """Open a source of a layout that a person named."""
    if name not in LAYOUTS:
        raise SourceError(f"layout {name!r} is unknown; expected one of {', '.join(LAYOUTS)}")
    if LAYOUTS[name].recognises(path):
        return LAYOUTS[name](path)
    others = [other for other, one in LAYOUTS.items() if one.recognises(path)]
    hint = f"it can be read as {' or '.join(others)}" if others else "name another folder, or another layout"
    raise SourceError(f"{path} does not have the layout {name!r}: expected {LAYOUTS[name].expected}; {hint}")


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
