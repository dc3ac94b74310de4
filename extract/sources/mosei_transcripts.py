"""CMU-MOSEI's transcripts: `<video>___<clip>___<start>___<end>___<text>`, a line a clip."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sadgr.extract.sources.tables import number, span_fault
from sadgr.extract.sources.tree import Line, lines_of

_BETWEEN = "___"


@dataclass(frozen=True)
class Utterance:
    """What a line says.

    Attributes:
        video: its video.
        clip: its number in the video, or `line <number>` where the line does not say.
        start_seconds: where it begins in the video; None where the line does not say.
        end_seconds: where it ends.
        text: the transcript.
        fault: why the line cannot be used; empty where it can.
    """

    video: str
    clip: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    text: str = ""
    fault: str = ""


def utterances(video: str, path: Path) -> Iterator[Utterance]:
    """Give what each line of a video's transcript says; a line that cannot be used says why, and the others go on.

    Raises:
        SourceError: the file cannot be read.
    """
    seen: set[str] = set()
    for line in lines_of(path):
        said = _parse(video, path, line)
        if said.clip in seen:
            where = f"{path}, line {line.number}"
            said = Utterance(
                video, f"line {line.number}", fault=f"{where}: clip {said.clip} stands there twice; take one out"
            )
        seen.add(said.clip)
        yield said


def _parse(video: str, path: Path, line: Line) -> Utterance:
    where = f"{path}, line {line.number}"
    clip, *rest = _after(video, line.text).split(_BETWEEN, 3)
    if len(rest) != 3 or not clip.strip().isdecimal():
        fault = f"{where}: {line.text[:60]!r} is not `{video}___<clip>___<start>___<end>___<text>`; correct it"
        return Utterance(video, f"line {line.number}", fault=line.fault or fault)
    clip = clip.strip()
    try:
        start, end = number(rest[0].strip(), "its start"), number(rest[1].strip(), "its end")
        wrong = "it has no times" if start is None or end is None else span_fault(start, end)
    except ValueError as error:
        start, end, wrong = None, None, str(error)
    fault = line.fault or (f"{where}: {wrong}; correct its times" if wrong else "")
    return Utterance(video, clip, start, end, "" if fault else rest[2].strip(), fault)


def _after(video: str, text: str) -> str:
    """Return what follows a video's id in a line; nothing where the line does not begin with it.

    An id may end in `_` and so run into what stands between; the file's name says where it ends.
    """
    for between in re.finditer(f"(?={_BETWEEN})", text):
        if unicodedata.normalize("NFC", text[: between.start()]) == video:
            return text[between.start() + len(_BETWEEN) :]
    return ""
