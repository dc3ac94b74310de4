"""Which of a source's clips a run is about, and which of those this process does."""

import unicodedata
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sadgr.extract.clips import Clip
from sadgr.extract.errors import SourceError
from sadgr.extract.shard import Shard


@dataclass(frozen=True)
class Choice:
    """What a person chose; the default is everything.

    Attributes:
        splits: only clips of these; empty for all.
        patterns: only clips whose id is one of these, or fits one (`*`, `?`, `[...]`), or stands in a file named by one,
            an id a line; empty for all.
        limit: at most so many, the first ones; None for all.
        shards: which part of the source this process does; each divides what the one before leaves; empty for all.
    """

    splits: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    limit: int | None = None
    shards: tuple[Shard, ...] = ()

    def of(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the chosen clips, in their order, whichever process does them.

        Raises:
            SourceError: a pattern fits no clip, a file of ids cannot be read or names a clip that the source does not, or
                nothing is left.
        """
        left = list(clips)
        if self.splits:
            left = [clip for clip in left if clip.columns.get("mode", "") in self.splits]
            if not left:
                known = sorted({str(clip.columns.get("mode", "")) for clip in clips} - {""})
                raise SourceError(
                    f"no clip of the source is in split {' or '.join(self.splits)}; its splits: {', '.join(known) or 'none'}"
                )
        if self.patterns:
            ids = {clip.clip_id for clip in clips}
            wanted = set[str]().union(*(_fitting(pattern, ids) for pattern in self.patterns))
            left = [clip for clip in left if clip.clip_id in wanted]
        if not left:
            raise SourceError("no clip is left of what was selected; check --split and --select against --check")
        return left[: self.limit]

    def here(self, clips: Sequence[Clip], chosen: Sequence[Clip]) -> list[Clip]:
        """Return those of the chosen clips that this process does, which may be none.

        The whole source is divided, not what was chosen of it: so a clip's process is the same whatever else was chosen, and
        whatever is done already.

        Args:
            clips: all that the source has.
            chosen: as `of` gives, or some of it.
        """
        left = list(clips)
        for shard in self.shards:
            left = shard.of(left)
        ids = {clip.clip_id for clip in left}
        return [clip for clip in chosen if clip.clip_id in ids]


def _fitting(pattern: str, ids: Collection[str]) -> set[str]:
    """Return the ids that a pattern means: an id itself comes first, since ids may hold `[` or be a file's name."""
    composed = unicodedata.normalize("NFC", pattern)
    if composed in ids:
        return {composed}
    with suppress(OSError, ValueError):  # too long, or no name that a file can have
        if Path(pattern).is_file():
            return _listed(Path(pattern), ids)
    if fitting := {one for one in ids if fnmatchcase(one, composed)}:
        return fitting
    raise SourceError(f"--select {pattern!r} is no clip of the source, no file of ids, and fits no id as a pattern")


def _listed(path: Path, ids: Collection[str]) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # what else `splitlines` splits at may stand in an id
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as a file of clip ids: {error}") from error
    wanted = {unicodedata.normalize("NFC", line.strip()) for line in lines if line.strip()}
    if strangers := sorted(wanted - set(ids)):
        raise SourceError(
            f"{path} names {len(strangers)} clips that the source does not have, such as {strangers[0]!r}; "
            "it must hold one clip id a line"
        )
    return wanted
