"""CMU-MOSEI as published: transcripts with times, whole recordings, and segments of the films cut out of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sadgr.extract.clips import Clip, Medium
from sadgr.extract.errors import SourceError
from sadgr.extract.sources.folds import SPLITS_TABLE, folds_of
from sadgr.extract.sources.mosei_csd import CSD_FILE, read_csd_labels
from sadgr.extract.sources.mosei_csv import read_csv_labels
from sadgr.extract.sources.mosei_labels import NO_VALUES, Label, LabelTable
from sadgr.extract.sources.mosei_transcripts import Utterance, utterances
from sadgr.extract.sources.tree import Tree, find_tree, names_in, segment_of, strangers_in

TRANSCRIPTS = "Transcript/Segmented/Combined"


class MoseiSource:
    """CMU-MOSEI's raw files.

    A line of a transcript is a clip, and so is a segment of a film that no line names. A label that belongs to no clip
    of a video that lies here becomes a clip that says so; labels of videos of which nothing lies here are left out, so
    that a part of the data set can be read with the whole table.

    Args:
        path: the folder `Raw`, or the one that holds it.
    """

    layout = "mosei"
    dataset = "mosei"
    expected = f"Raw/{TRANSCRIPTS}/<video>.txt with Raw/Videos and Raw/Audio (CMU-MOSEI)"

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether transcripts of this layout lie here."""
        tree = find_tree(path, TRANSCRIPTS)
        return tree is not None and next((tree.raw / TRANSCRIPTS).glob("*.txt"), None) is not None

    def clips(self) -> Iterator[Clip]:
        """Give a clip an utterance, `<video>$_$<clip>`, by video and in the transcript's order."""
        tree = find_tree(self.path, TRANSCRIPTS)
        if tree is None:
            raise SourceError(f"{self.path} is not laid out as {self.expected}")
        media, labels, folds = _Media(tree.raw), labels_of(tree), folds_of(tree)
        transcripts = names_in(tree.raw / TRANSCRIPTS, ".txt")
        named: set[str] = set()
        joined: set[Label] = set()
        for video, path in transcripts.items():
            for said in utterances(video, path):
                label = labels.of(video, said.clip, said.start_seconds, said.end_seconds)
                joined |= {label} if label else set()
                named.add(f"{video}_{said.clip}")
                yield _clip(said, label, folds, media)
        for video, clip in sorted(filter(None, (segment_of(name) for name in media.segments.keys() - named))):
            label = labels.of(video, clip, None, None)
            joined |= {label} if label else set()
            yield _clip(Utterance(video, clip), label, folds, media)
        yield from strangers_in(media.segments)
        for video in sorted({*transcripts, *media.videos}):
            yield from _unjoined(video, labels, joined, folds)


def labels_of(tree: Tree) -> LabelTable:
    """Read the labels that lie beside the media: the SDK's, else those in CSV files; none where neither lies there.

    Raises:
        SourceError: what lies there cannot be used.
    """
    if found := tree.files(CSD_FILE):
        return LabelTable(found[0], read_csd_labels(found[0]))
    folders = [place for place in tree.places if place.name == "Labels"]
    paths = [path for folder in folders for path in names_in(folder, ".csv").values() if path.name != SPLITS_TABLE]
    return LabelTable(paths[0].parent, read_csv_labels(paths)) if paths else LabelTable(None, [])


class _Media:
    """Which media lie in the tree; each folder is listed once."""

    def __init__(self, raw: Path) -> None:
        self._segment_folder = raw / "Videos" / "Segmented" / "Combined"
        self._sound_folder = raw / "Audio" / "Full" / "WAV_16000"
        self.segments = names_in(self._segment_folder, ".mp4")
        self._films = names_in(raw / "Videos" / "Full" / "Combined", ".mp4")
        self._sounds = names_in(self._sound_folder, ".wav")

    @property
    def videos(self) -> set[str]:
        """Videos of which anything lies there."""
        of_segments = {found[0] for name in self.segments if (found := segment_of(name))}
        return {*self._films, *self._sounds, *of_segments}

    def video(self, said: Utterance) -> Medium:
        """Return the segment, else its span of the whole film; the segment's place where both are missing."""
        name = f"{said.video}_{said.clip}"
        if name not in self.segments and said.video in self._films and said.end_seconds is not None:
            return Medium(self._films[said.video], said.start_seconds, said.end_seconds)
        return Medium(self.segments.get(name, self._segment_folder / f"{name}.mp4"))

    def audio(self, said: Utterance) -> Medium:
        """Return the span of the whole sound, else of the film's sound; else the segment's; else the sound's place."""
        name = f"{said.video}_{said.clip}"
        whole = self._sounds.get(said.video) or self._films.get(said.video)
        if said.end_seconds is not None and (whole or name not in self.segments):
            whole = whole or self._sound_folder / f"{said.video}.wav"
            return Medium(whole, said.start_seconds, said.end_seconds)
        return Medium(self.segments.get(name, self._segment_folder / f"{name}.mp4"))


def _clip(said: Utterance, label: Label | None, folds: Mapping[str, str], media: _Media) -> Clip:
    columns = _columns(said.video, said.clip, label, folds)
    columns |= {"start": _or_empty(said.start_seconds), "end": _or_empty(said.end_seconds)}
    clip_id = f"{said.video}$_${said.clip}"
    if said.fault:
        return Clip(clip_id, "", columns=columns, fault=said.fault)
    return Clip(clip_id, said.text, media.audio(said), media.video(said), columns)


def _unjoined(video: str, labels: LabelTable, joined: set[Label], folds: Mapping[str, str]) -> Iterator[Clip]:
    """Give a clip a label that belongs to none."""
    for number, label in enumerate(labels.of_video(video), start=1):
        if label not in joined:
            clip = f"label {number}"
            columns = _columns(video, clip, label, folds)
            columns |= {"start": _or_empty(label.start_seconds), "end": _or_empty(label.end_seconds)}
            fault = (
                f"{labels.origin} has a label for {video}, {label.place}, and no clip lies there; correct the transcript's "
                "times, or leave it out"
            )
            yield Clip(f"{video}$_${clip}", "", columns=columns, fault=fault)


def _columns(video: str, clip: str, label: Label | None, folds: Mapping[str, str]) -> dict[str, str | float]:
    return {"video_id": video, "clip_id": clip, "mode": folds.get(video, ""), **(label.values if label else NO_VALUES)}


def _or_empty(seconds: float | None) -> str | float:
    return "" if seconds is None else seconds
