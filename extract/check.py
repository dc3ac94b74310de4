"""What a source holds and what is wrong with it, before a GPU is booked: everything that is cheap to read."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sadgr.align import Aligner, Alignment, Utterance, evenly_spaced, one_by_one
from sadgr.align.errors import AlignError
from sadgr.cache.console import Progress
from sadgr.extract.choice import Choice
from sadgr.extract.clips import Clip, Medium
from sadgr.extract.decoding import Decoders, Wanted
from sadgr.extract.errors import ExtractError, SourceError, StopRequested
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.probe import MediaInfo, probe
from sadgr.extract.media.span import SPAN_TOLERANCE_SECONDS
from sadgr.extract.published import EMOTION_RANGE, EMOTIONS, Published, published
from sadgr.extract.request import Request
from sadgr.extract.run import run
from sadgr.extract.sources import open_source

SHORT_SECONDS, LONG_SECONDS = 0.3, 60.0
"""A clip outside of these is no utterance as these data sets have them."""
EXAMPLES = 3
SAMPLE_CLIPS = 5

Probed = Mapping[Path, MediaInfo | str]
"""Media file -> what it holds, or why it cannot be read."""


@dataclass(frozen=True)
class Finding:
    """Something that a person should know: what, of how many clips, and the first of them."""

    what: str
    clips: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """What extraction would take on this machine, extrapolated from a few clips.

    Attributes:
        sample: clips that it was measured with.
        seconds: stage -> seconds of all clips.
        cache_bytes: size of the features.
        reason: why nothing could be measured; empty where it could.
    """

    sample: int
    seconds: Mapping[str, float]
    cache_bytes: int
    reason: str = ""


@dataclass(frozen=True)
class Checked:
    """What a source came to.

    Attributes:
        layout: how it lies.
        clips: how many clips were chosen.
        splits: split, or part where the layout has parts, -> clips.
        counted_by_others: who counted -> split -> clips; reported, never asserted.
        hours: of clips whose length is known.
        findings: what is wrong.
        estimate: what extraction would take.
    """

    layout: str
    clips: int
    splits: Mapping[str, int]
    counted_by_others: Mapping[str, Mapping[str, int]]
    hours: float
    findings: Sequence[Finding]
    estimate: Estimate

    def as_json(self) -> dict[str, Any]:
        """Return the same for `--json`."""
        return asdict(self)


def check(request: Request, aligner: Aligner | None, stop: Callable[[], bool], say: Callable[[str], None]) -> Checked:
    """Read tables and headers of a source, and time a few of its clips.

    Args:
        request: what would be extracted; its cache is not touched.
        aligner: that would be used.
        stop: asked between clips.
        say: told what goes on.

    Raises:
        SourceError: the source cannot be read at all.
        StopRequested: a signal came.
    """
    source = open_source(request.source, request.layout)
    try:
        every = list(source.clips())
    except ValueError as error:
        raise SourceError(str(error)) from error
    if not every:
        raise SourceError(f"the source holds no clip (read as {source.layout})")
    modalities = request.recipe.modalities if request.recipe else ("audio",)
    clips = [_within(clip, modalities) for clip in request.choice.here(every, request.choice.of(every))]
    facts = published(request.dataset, source.dataset, source.layout)
    probed = probe_all(clips, stop)
    lengths = {clip.clip_id: length for clip in clips if (length := length_of(clip, probed)) is not None}
    parts = "part" if any("part" in clip.columns for clip in clips) else "mode"
    hours = sum(lengths.values()) / 3600
    return Checked(
        layout=source.layout,
        clips=len(clips),
        splits=dict(Counter(str(clip.columns.get(parts) or "without a split") for clip in clips)),
        counted_by_others=facts.counts if facts else {},
        hours=hours,
        findings=[*_findings(clips, probed, lengths, facts)],
        estimate=_estimate(request, aligner, clips, lengths, stop, say),
    )


def _within(clip: Clip, modalities: Sequence[str]) -> Clip:
    """Leave out the media of modalities that are not wanted."""
    return replace(
        clip, audio=clip.audio if "audio" in modalities else None, video=clip.video if "video" in modalities else None
    )


def probe_all(clips: Iterable[Clip], stop: Callable[[], bool] = lambda: False) -> dict[Path, MediaInfo | str]:
    """Read the headers of all media, each once, in worker processes: some files make even that hang."""
    paths = list(dict.fromkeys(medium.path for clip in clips for medium in (clip.audio, clip.video) if medium))
    shown = Progress("media", len(paths))
    found: dict[Path, MediaInfo | str] = {}
    with Decoders(decode=_probe) as decoders:
        for path, pending in decoders.ahead(paths, lambda path: decoders.begin(Wanted(Medium(path)))):
            if stop():
                raise StopRequested
            try:
                found[path] = pending.result().content
            except MediaError as error:
                found[path] = str(error)
            shown.step()
    return found


def _probe(wanted: Wanted) -> MediaInfo:
    return probe(wanted.medium.path)


def length_of(clip: Clip, probed: Probed) -> float | None:
    """Return a clip's length in seconds; None where no readable medium tells."""
    for medium in (clip.audio, clip.video):
        if medium is not None and isinstance(info := probed.get(medium.path), MediaInfo):
            start, end = medium.span
            last = info.duration_seconds if end is None else min(end, info.duration_seconds)
            return max(0.0, last - (start or 0.0))
    return None


def _findings(
    clips: Sequence[Clip], probed: Probed, lengths: Mapping[str, float], facts: Published | None
) -> Iterator[Finding]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    ids = Counter(clip.clip_id for clip in clips)
    texts = Counter(" ".join(clip.words).casefold() for clip in clips if clip.words)
    for clip in clips:
        for what in (
            *(["the id stands twice"] if ids[clip.clip_id] > 1 else []),
            *([clip.fault] if clip.fault else _wrong(clip, probed, lengths, texts, facts)),
        ):
            found[what].append(clip.clip_id)
    for what in sorted(found, key=lambda what: -len(found[what])):
        yield Finding(what, len(found[what]), tuple(found[what][:EXAMPLES]))


def _wrong(
    clip: Clip, probed: Probed, lengths: Mapping[str, float], texts: Mapping[str, int], facts: Published | None
) -> Iterator[str]:
    yield from _wrong_with_media(clip, probed)
    yield from _wrong_with_text(clip, texts)
    yield from _wrong_with_labels(clip, facts)
    yield from _wrong_with_length(lengths.get(clip.clip_id))


def _wrong_with_media(clip: Clip, probed: Probed) -> Iterator[str]:
    for name, medium in (("audio", clip.audio), ("video", clip.video)):
        info = None if medium is None else probed.get(medium.path)
        if medium is None or info is None:
            continue
        if isinstance(info, str):
            reason = info.removeprefix(f"{medium.path}: ")
            yield f"{name} cannot be read: {reason}"
        elif not (info.has_audio if name == "audio" else info.has_video):
            yield f"its {name} file has no {name} stream"
        elif (medium.end_seconds or medium.start_seconds or 0.0) > info.duration_seconds + SPAN_TOLERANCE_SECONDS:
            yield f"its span runs over the end of its {name} file"


def _wrong_with_text(clip: Clip, texts: Mapping[str, int]) -> Iterator[str]:
    if not clip.words:
        yield "the transcript is empty"
    elif texts[" ".join(clip.words).casefold()] > 1:
        yield "another clip has the same transcript"


def _wrong_with_labels(clip: Clip, facts: Published | None) -> Iterator[str]:
    if "label" not in clip.columns:
        return
    low, high = (facts.low, facts.high) if facts else (-3.0, 3.0)
    ranges = {"label": (low, high)} | {f"label_{one}": (low, high) for one in "TAV"}
    ranges |= dict.fromkeys(EMOTIONS, EMOTION_RANGE)
    for name, (least, most) in ranges.items():
        value = clip.columns.get(name, "")
        if value == "" or value != value:  # NaN: no label
            if name == "label":
                yield "it has no label"
            continue
        try:
            fits = least <= float(value) <= most
        except ValueError:
            fits = False
        if not fits:
            yield f"{name} lies outside of [{least:g}, {most:g}]"


def _wrong_with_length(seconds: float | None) -> Iterator[str]:
    if seconds is not None and seconds < SHORT_SECONDS:
        yield f"it is shorter than {SHORT_SECONDS} s"
    if seconds is not None and seconds > LONG_SECONDS:
        yield f"it is longer than {LONG_SECONDS:g} s"


class _Even:
    """Stands in for word times that the cache already has."""

    name = "even"

    @property
    def settings(self) -> Mapping[str, Any]:
        """None: it goes into no cache that is kept."""
        return {}

    def align_all(self, utterances: Iterable[Utterance]) -> Iterator[Alignment]:
        """Give each word an equal share of the clip."""
        return one_by_one(lambda one: evenly_spaced(one.words, one.duration_seconds), utterances)


def _estimate(
    request: Request,
    aligner: Aligner | None,
    clips: Sequence[Clip],
    lengths: Mapping[str, float],
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Estimate:
    """Extract a few clips into a cache that is thrown away, and extrapolate: sound by length, the rest by clip."""
    good = [
        clip
        for clip in clips
        if not clip.fault and (lengths.get(clip.clip_id) or (clip.words and not clip.audio and not clip.video))
    ]
    sample = good[:: max(1, len(good) // SAMPLE_CLIPS)][:SAMPLE_CLIPS]
    if not sample:
        return Estimate(0, {}, 0, "no clip could be read")
    say(f"extracting {len(sample)} clips for an estimate")
    with tempfile.TemporaryDirectory(prefix="sadgr-check-") as folder:
        choice = Choice(patterns=tuple(clip.clip_id for clip in sample))
        trial = replace(request, cache=Path(folder) / "cache", dataset="estimate", choice=choice, retry_failed=False)
        try:
            summary = run(trial, aligner or _Even(), stop, lambda _: None)
        except (ExtractError, AlignError) as error:
            return Estimate(0, {}, 0, str(error))
        written = sum(path.stat().st_size for path in trial.cache.rglob("*.h5"))
    if not summary.finished:
        raise StopRequested
    by_clip = len(clips) / len(sample)
    sampled = sum(lengths.get(clip.clip_id, 0.0) for clip in sample)
    by_length = sum(lengths.values()) / sampled if sampled else by_clip
    seconds = {
        stage: spent * (by_length if stage in ("words", "audio") else by_clip)
        for stage, spent in summary.seconds.items()
        if stage in ("text", "audio", "video", "waiting") or (aligner and stage == "words")
    }
    return Estimate(len(sample), seconds, round(written * by_clip))
