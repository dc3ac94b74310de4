"""Word times of a source's clips as files, and as pictures, on the time line of their media files."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sadgr.align import Aligner, Utterance, WordTime
from sadgr.align.writers import as_csv, as_json, as_textgrid
from sadgr.cache import escape
from sadgr.cache.console import Progress
from sadgr.cache.publish import make_folder, writable
from sadgr.cache.publish import replace as replace_file
from sadgr.extract.alignment import usable_times, utterance_of
from sadgr.extract.choice import Choice
from sadgr.extract.clips import Clip, Medium
from sadgr.extract.decoding import Decoders
from sadgr.extract.errors import AbsentError, SourceError
from sadgr.extract.media.errors import MediaError
from sadgr.extract.sound import begin_sound
from sadgr.extract.sources import open_source, read_clips
from sadgr.extract.sources.beside import BesideSource

Format = Literal["json", "textgrid", "csv"]
_ENDINGS = {"json": ".json", "textgrid": ".TextGrid", "csv": ".csv"}


@dataclass(frozen=True)
class Aligned:
    """Words of one clip, or of all cues of one file.

    Attributes:
        name: the clip's id, or the file's name.
        times: its words, from the beginning of its media file.
        end_seconds: where its sound ends in that file.
        clips: what it was made from.
    """

    name: str
    times: tuple[WordTime, ...]
    end_seconds: float
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Written:
    """Numbers of clips that failed and of all, and whether all were looked at."""

    failed: int
    clips: int
    finished: bool


def write_words(
    source: Path,
    layout: str | None,
    choice: Choice,
    aligner: Aligner,
    form: Format,
    output: Path | None,
    plot: Path | None,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    put: Callable[[str], None],
) -> Written:
    """Align a source's clips and write their word times.

    The cues of a single subtitled file are joined, so that Praat can open the result over that file. JSON of several
    clips without output is a line a clip, with its id as `clip`.

    Args:
        source: what is aligned.
        layout: of the source; None recognises it.
        choice: which of its clips.
        aligner: finds the times.
        form: of the files.
        output: a file; or a folder, where there are several clips or it is one already; None gives the text to `put`.
        plot: picture of each clip; None draws none.
        stop: asked before every clip.
        say: told of clips that failed or are in doubt.
        put: takes text that has no file to go to.

    Raises:
        SourceError: the source cannot be read, or holds several clips and the form one.
        AlignerUnavailable: the aligner cannot work here.
        NotWritableError: the output cannot be written.
    """
    opened = open_source(source, layout)
    of_source = read_clips(opened)
    clips = choice.here(of_source, choice.of(of_source))
    is_recording = source.is_file() and isinstance(
        opened, BesideSource
    )  # a manifest is a file as well, of many recordings
    together = is_recording or len(of_source) == 1
    if form == "textgrid" and output is None and not together:
        raise SourceError(f"{source} holds {len(of_source)} clips and a TextGrid one; add -o FOLDER")
    into_folder = output is not None and (output.is_dir() or (not together and form != "csv"))
    if into_folder and output is not None:
        with writable(output):
            make_folder(output)
    with Decoders() as decoders:
        found = list(_aligned(clips, aligner, decoders, stop, say))
    results = [_joined(source.stem, found)] if together and len(of_source) > 1 and found else found
    if form == "csv":
        _put(as_csv({one.name: one.times for one in results}), output, into_folder, source.stem + ".csv", put)
    for one in results:
        if form != "csv":
            text = _text(form, one, named=not together and output is None)
            _put(text, output, into_folder, escape(one.name) + _ENDINGS[form], put)
        if plot is not None:
            with Decoders(workers=1) as decoders:
                _draw(plot if together else plot.with_stem(f"{plot.stem}-{escape(one.name)}"), one, decoders)
    return Written(len(clips) - len(found), len(clips), not stop())


def _aligned(
    clips: Sequence[Clip],
    aligner: Aligner,
    decoders: Decoders,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Iterator[Aligned]:
    """Give each clip that was aligned, and say why the others were not."""
    handed: dict[str, tuple[Clip, float]] = {}
    shown = Progress(f"word times ({aligner.name})", len(clips))

    def utterances() -> Iterator[Utterance]:
        for clip, pending in decoders.ahead(clips, lambda clip: begin_sound(clip, decoders)):
            if stop():
                return
            try:
                utterance, _ = utterance_of(clip, pending)
            except (AbsentError, MediaError) as error:
                say(f"{clip.clip_id}: failed: {error}")
                shown.step()
                continue
            handed[clip.clip_id] = (clip, utterance.duration_seconds)
            yield utterance

    for alignment in aligner.align_all(utterances()):
        clip, seconds = handed.pop(alignment.clip_id)
        shown.step()
        if alignment.failure:
            say(f"{clip.clip_id}: failed: {alignment.failure}")
            continue
        times, doubt = usable_times(clip, alignment, seconds)
        if doubt:
            say(f"{clip.clip_id}: flagged: {doubt}")
        begin = (clip.audio.start_seconds if clip.audio else None) or 0.0
        moved = tuple(
            replace(word, start_seconds=word.start_seconds + begin, end_seconds=word.end_seconds + begin)
            for word in times
        )
        yield Aligned(clip.clip_id, moved, begin + seconds, (clip,))


def _joined(name: str, parts: Sequence[Aligned]) -> Aligned:
    """Put the cues of one file together."""
    times = tuple(word for part in parts for word in part.times)
    clips = tuple(clip for part in parts for clip in part.clips)
    return Aligned(name, times, max(part.end_seconds for part in parts), clips)


def _text(form: Format, one: Aligned, named: bool) -> str:
    if form == "textgrid":
        return as_textgrid(one.times, one.end_seconds)
    content = {**({"clip": one.name} if named else {}), **as_json(one.times)}
    return json.dumps(content, ensure_ascii=False, indent=None if named else 2) + "\n"


def _put(text: str, output: Path | None, into_folder: bool, name: str, put: Callable[[str], None]) -> None:
    if output is None:
        put(text)
    else:
        replace_file(output / name if into_folder else output, text.encode("utf-8"))


def _draw(path: Path, one: Aligned, decoders: Decoders) -> None:
    from sadgr.extract.word_picture import word_picture

    first = one.clips[0]
    whole = replace(first, clip_id=one.name, transcript="", audio=first.audio and Medium(first.audio.path))
    utterance, _ = utterance_of(whole, begin_sound(whole, decoders))
    replace_file(path, word_picture(utterance, one.times, path.suffix.lstrip(".")))
