"""Words and their times: aligners, readers of alignments, and the pooling of audio frames into words."""

from sadgr.align.errors import AlignError, AlignerUnavailable, AlignmentFailed, PoolingError
from sadgr.align.grid import FrameGrid
from sadgr.align.pooling import Pooled, pool_blocks, pool_inside, pool_words
from sadgr.align.quality import doubts
from sadgr.align.transcript import WORD_SPLITTING_VERSION, split_words
from sadgr.align.words import Aligner, Alignment, Flag, Utterance, WordTime, evenly_spaced, one_by_one

__all__ = [
    "WORD_SPLITTING_VERSION",
    "AlignError",
    "Aligner",
    "AlignerUnavailable",
    "Alignment",
    "AlignmentFailed",
    "Flag",
    "FrameGrid",
    "Pooled",
    "PoolingError",
    "Utterance",
    "WordTime",
    "doubts",
    "evenly_spaced",
    "one_by_one",
    "pool_blocks",
    "pool_inside",
    "pool_words",
    "split_words",
]
