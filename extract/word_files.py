"""Word times of a source's clips as files, and as pictures."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import click

from sadgr.align import Aligner, Utterance, WordTime
from sadgr.align.writers import as_csv, as_json, as_textgrid
from sadgr.cache import escape
from sadgr.cache.console import EXIT_UNFINISHED
from sadgr.cache.publish import replace, writable
from sadgr.extract.alignment import usable_times, utterance_of
from sadgr.extract.clips import Clip
from sadgr.extract.errors import AbsentError
from sadgr.extract.media.errors import MediaError
from sadgr.extract.sources import open_source, read_clips

Format = Literal["json", "textgrid", "csv"]
_ENDINGS = {"json": ".json", "textgrid": ".TextGrid"}


def write_words(
    source: Path,
    aligner: Aligner,
    form: Format,
    output: Path | None,
    plot: Path | None,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> tuple[int, int]:
    """Align a source's clips and write or print their word times.

    JSON of several clips on stdout is a line a clip, with its id as `clip`. A TextGrid holds one clip, so several of
    them need a folder.

    Args:
        source: what is aligned.
        aligner: finds the times.
        form: of the files.
        output: a file, or a folder for several clips; None prints.
        plot: picture of each clip; None draws none.
        stop: asked before every clip.
        say: told of clips that failed or are in doubt.

    Returns:
        Number of clips that failed, and of all.

    Raises:
        SourceError: the source cannot be read.
        AlignerUnavailable: the aligner cannot work here.
        NotWritableError: the output cannot be written.
    """
    clips = read_clips(open_source(source))
    single = len(clips) == 1
    if form == "textgrid" and output is None and not single:
        raise click.UsageError(f"{source} holds {len(clips)} clips and a TextGrid one; add -o FOLDER")
    if output is not None and not single and form != "csv":
        with writable(output):
            output.mkdir(parents=True, exist_ok=True)
    found: dict[str, Sequence[WordTime]] = {}
    for clip, duration_seconds, times in _aligned(clips, aligner, stop, say):
        found[clip.clip_id] = times
        if plot is not None:
            named = plot if single else plot.with_stem(f"{plot.stem}-{escape(clip.clip_id)}")
            _draw(named, utterance_of(clip), times)
        if form != "csv":
            text = _one(form, times, duration_seconds, "" if single or output else clip.clip_id)
            _put(text, output if single or output is None else output / f"{escape(clip.clip_id)}{_ENDINGS[form]}")
    if form == "csv":
        _put(as_csv(found), output)
    if stop():
        raise SystemExit(EXIT_UNFINISHED)
    return len(clips) - len(found), len(clips)


def _aligned(
    clips: Sequence[Clip], aligner: Aligner, stop: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[tuple[Clip, float, Sequence[WordTime]]]:
    """Give each clip that was aligned with its seconds and words, and say why the others were not."""
    handed: dict[str, tuple[Clip, float]] = {}

    def utterances() -> Iterator[Utterance]:
        for clip in clips:
            if stop():
                return
            try:
                utterance = utterance_of(clip)
            except (AbsentError, MediaError) as error:
                say(f"{clip.clip_id}: failed: {error}")
                continue
            handed[clip.clip_id] = (clip, utterance.duration_seconds)
            yield utterance

    for alignment in aligner.align_all(utterances()):
        clip, duration_seconds = handed.pop(alignment.clip_id)
        if alignment.failure:
            say(f"{clip.clip_id}: failed: {alignment.failure}")
            continue
        times, doubt = usable_times(clip, alignment, duration_seconds)
        if doubt:
            say(f"{clip.clip_id}: flagged: {doubt}")
        yield clip, duration_seconds, times


def _one(form: Format, times: Sequence[WordTime], duration_seconds: float, clip_id: str) -> str:
    if form == "textgrid":
        return as_textgrid(times, duration_seconds)
    named: Mapping[str, str] = {"clip": clip_id} if clip_id else {}
    return json.dumps({**named, **as_json(times)}, ensure_ascii=False, indent=None if clip_id else 2) + "\n"


def _put(text: str, path: Path | None) -> None:
    if path is None:
        click.echo(text, nl=False)
    else:
        replace(path, text.encode("utf-8"))


def _draw(path: Path, utterance: Utterance, times: Sequence[WordTime]) -> None:
    from sadgr.extract.word_picture import word_picture

    replace(path, word_picture(utterance, times, path.suffix.lstrip(".") or "png"))
