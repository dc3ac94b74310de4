"""CMU-MOSI as published: segments as `Raw/Video/Segmented/<video>_<n>.mp4`, their text in `<video>.annotprocessed`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sadgr.cache import normalise_id
from sadgr.extract.clips import Clip, Medium
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.mosi_folds import FOLDS
from sadgr.extract.sources.tables import number, read_table
from sadgr.extract.sources.tree import Tree, find_tree, lines_of, names_in, segment_of, strangers_in

TRANSCRIPTS = "Transcript/Segmented"
LABEL_FILE = "OpinionLevelSentiment.csv"
_LABEL_COLUMNS = ("start", "end", "video", "segment", "label")
_DELIMITER = "_DELIM_"

Segment = tuple[str, str]
"""Video and number, such as ("03bSnISJMiM", "12")."""


@dataclass(frozen=True)
class Spoken:
    """What a transcript says of a segment, or why it says nothing of use."""

    text: str = ""
    fault: str = ""


class MosiSource:
    """CMU-MOSI's raw files.

    A segment is a clip as soon as a transcript, the table of labels or a media file names it; what is missing of it is
    empty. The split is that of the published standard folds.

    Args:
        path: the folder `Raw`, or the one that holds it.
    """

    layout = "mosi"
    dataset = "mosi"
    expected = f"Raw/{TRANSCRIPTS}/<video>.annotprocessed with Raw/Video/Segmented/<video>_<n>.mp4 (CMU-MOSI)"

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether transcripts of this layout lie here."""
        tree = find_tree(path, TRANSCRIPTS)
        return tree is not None and next((tree.raw / TRANSCRIPTS).glob("*.annotprocessed"), None) is not None

    def clips(self) -> Iterator[Clip]:
        """Give a clip a segment, `<video>$_$<n>`, by video and number."""
        tree = find_tree(self.path, TRANSCRIPTS)
        if tree is None:
            raise SourceError(f"{self.path} is not laid out as {self.expected}")
        films, sounds = tree.raw / "Video" / "Segmented", tree.raw / "Audio" / "WAV_16000" / "Segmented"
        videos, wavs = names_in(films, ".mp4"), names_in(sounds, ".wav")
        spoken, labels = _transcripts(tree.raw / TRANSCRIPTS), _labels(tree)
        of_media = {found for name in (*videos, *wavs) if (found := segment_of(name))}
        for video, segment in sorted({*spoken, *labels, *of_media}, key=_order):
            said = spoken.get((video, segment), Spoken())
            columns: dict[str, str | float] = {"video_id": video, "clip_id": segment, "mode": FOLDS.get(video, "")}
            columns |= labels.get((video, segment), {"label": "", "start": "", "end": ""})
            name, clip_id = f"{video}_{segment}", f"{video}$_${segment}"
            if said.fault:
                yield Clip(clip_id, "", columns=columns, fault=said.fault)
                continue
            film = Medium(videos.get(name, films / f"{name}.mp4"))
            sound = Medium(wavs[name]) if name in wavs else film
            yield Clip(clip_id, said.text, sound, film, columns)
        yield from strangers_in({**wavs, **videos})


def _order(segment: Segment) -> tuple[str, int, int, str]:
    """Order by video, then by number; lines that name no segment come last."""
    video, name = segment
    return (video, 0, int(name), name) if name.isdecimal() else (video, 1, 0, name)


def _transcripts(folder: Path) -> dict[Segment, Spoken]:
    """Read `<n>_DELIM_<TEXT>`, a line a segment."""
    found: dict[Segment, Spoken] = {}
    for video, path in names_in(folder, ".annotprocessed").items():
        for line in lines_of(path):
            segment, delimiter, text = line.text.partition(_DELIMITER)
            where, segment = f"{path}, line {line.number}", segment.strip()
            if not (delimiter and segment.isdecimal()):
                fault = line.fault or f"{where}: {line.text[:60]!r} is not `<n>{_DELIMITER}<TEXT>`; correct it"
                found[video, f"line {line.number}"] = Spoken(fault=fault)
            elif (video, segment) in found:
                fault = f"{where}: segment {segment} stands there twice; take one out"
                found[video, f"line {line.number}"] = Spoken(fault=fault)
            else:
                found[video, segment] = Spoken(fault=line.fault) if line.fault else Spoken(text.strip())
    return found


def _labels(tree: Tree) -> dict[Segment, dict[str, str | float]]:
    """Read `start,end,video,segment,label`, a row a segment, without a header."""
    found: dict[Segment, dict[str, str | float]] = {}
    for path in tree.files(LABEL_FILE):
        for line, row in enumerate(read_table(path, _LABEL_COLUMNS).to_dict("records"), start=1):
            where = f"{path}, row {line}"
            try:
                video, segment = normalise_id(row["video"].strip()), row["segment"].strip()
                values = {name: number(row[name].strip(), name) for name in ("label", "start", "end")}
            except ValueError as error:
                raise SourceError(f"{where}: {error}; expected {','.join(_LABEL_COLUMNS)}") from error
            if "/" in video or not segment.isdecimal():
                raise SourceError(f"{where}: video {video!r}, segment {segment!r} name no file; correct them")
            if (video, segment) in found:
                raise SourceError(f"{where}: segment {segment} of {video} has a label already; take one out")
            found[video, segment] = {name: "" if value is None else value for name, value in values.items()}
    return found
