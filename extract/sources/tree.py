"""What CMU's raw data sets share: where the tree begins, what its folders hold, and its transcripts' lines."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sadgr.cache import normalise_id
from sadgr.extract.clips import Clip
from sadgr.extract.errors import SourceError


@dataclass(frozen=True)
class Tree:
    """Where a raw data set lies.

    Attributes:
        raw: the folder `Raw`, or whichever holds `Transcript`.
        places: folders in which tables may lie beside it, in the order in which they are searched.
    """

    raw: Path
    places: tuple[Path, ...]

    def files(self, pattern: str) -> list[Path]:
        """Return the files of that name in the first of the places that has any, sorted."""
        for place in self.places:
            if found := sorted(path for path in place.glob(pattern) if path.is_file()):
                return found
        return []


def find_tree(path: Path, transcripts: str) -> Tree | None:
    """Return the tree whose `Raw` is a path or lies in it; None where there is none.

    Args:
        path: what was given as the source.
        transcripts: folder of the transcripts below `Raw`; a tree has one.
    """
    for raw in (path / "Raw", path):
        if (raw / transcripts).is_dir():
            top = raw.resolve().parent if raw == path and raw.resolve().name == "Raw" else path
            places = (top, raw, top / "Labels", raw / "Labels")
            return Tree(raw, tuple(dict.fromkeys(places)))
    return None


def names_in(folder: Path, ending: str) -> dict[str, Path]:
    """Return the files of one ending in a folder, by their names without it; nothing where there is no such folder.

    One listing of a folder takes the place of a question a clip, of which a network file system answers some hundred a
    second. Names are in NFC, as ids are; the paths are as they lie on the disk.

    Raises:
        SourceError: the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SourceError(
            f"{folder} cannot be listed: {error.strerror or error}; give yourself the right to"
        ) from error
    # macOS leaves `._x.mp4` beside x.mp4 on other file systems: no media.
    wanted = [name for name in names if name.endswith(ending) and name != ending and not name.startswith("._")]
    return {normalise_id(name.removesuffix(ending)): folder / name for name in wanted}


def segment_of(name: str) -> tuple[str, str] | None:
    """Return video and number of a segment's file `<video>_<number>`; None where it has another name."""
    found = re.fullmatch(r"(.+)_(\d+)", name, re.ASCII | re.DOTALL)
    return (found[1], found[2]) if found else None


def strangers_in(files: Mapping[str, Path]) -> Iterator[Clip]:
    """Give a clip, which says why it cannot be used, for each file that is not named as a segment."""
    for name, path in files.items():
        if segment_of(name) is None:
            fault = f"{path} is not named `<video>_<number>{path.suffix}`; rename it, or take it out of the segments"
            yield Clip(name, "", fault=fault)


@dataclass(frozen=True)
class Line:
    """One line of a transcript that is not blank.

    Attributes:
        number: from 1.
        text: what stands there, without its end.
        fault: why it cannot be used; empty where it can.
    """

    number: int
    text: str
    fault: str = ""


def lines_of(path: Path) -> Iterator[Line]:
    """Give the lines of a transcript; one that is no UTF-8 text says so, and the others go on.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    # Only "\n" ends a line: what else `splitlines` takes for an end may stand in a transcript.
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        text = raw.decode("utf-8", errors="replace").rstrip("\r")
        try:
            raw.decode("utf-8")
            fault = f"{path}, line {number}, holds a NUL character; take it out" if "\0" in text else ""
        except UnicodeDecodeError:
            fault = f"{path}, line {number}, is no UTF-8 text; save the file as UTF-8"
        if text.strip():
            yield Line(number, text, fault)
