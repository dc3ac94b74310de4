"""Whether a clip's word times are to be trusted as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from sadgr.align.words import Flag, WordTime

MOST_INTERPOLATED = 0.3
"""Share of words without a time of their own beyond which a clip is flagged as a whole."""

LOW_SCORE = 0.45
"""Mean score below which the transcript is probably not what is said.

PocketSphinx's means of clips with their own transcripts end, and those with another clip's begin, about here;
benchmarks/alignment.py measures both.
"""


def doubts(times: Sequence[WordTime]) -> str:
    """Says why a clip's word times should not be trusted; empty where there is no reason.

    Args:
        times: All words of one clip.
    """
    if not times:
        return ""
    scores = [word.score for word in times if word.flag is Flag.ALIGNED]
    interpolated = len(times) - len(scores)
    if interpolated > MOST_INTERPOLATED * len(times):
        return f"{interpolated} of {len(times)} words have no time of their own; theirs were interpolated"
    if scores and sum(scores) / len(scores) < LOW_SCORE:
        mean = sum(scores) / len(scores)
        return f"the mean score of its words is {mean:.2f}, below {LOW_SCORE}; is this transcript what is said?"
    return ""
