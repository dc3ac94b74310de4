"""What may go wrong between a transcript and its word times."""


class AlignError(Exception):
    """Any failure of this package."""


class AlignmentFailed(AlignError):
    """One utterance could not be aligned; the message says which and why.

    Args:
        clip_id: The utterance's clip.
        reason: What was found, what was expected, and where there is one, the remedy.
    """

    def __init__(self, clip_id: str, reason: str) -> None:
        super().__init__(clip_id, reason)
        self.clip_id = clip_id
        self.reason = reason

    def __str__(self) -> str:
        return f"clip {self.clip_id!r} could not be aligned: {self.reason}"


class AlignerUnavailable(AlignError):
    """A package, model or folder that an aligner needs is missing; the message names the remedy."""


class UnpronounceableWord(AlignError):
    """One word has no pronunciation in English sounds; its time will have to be interpolated."""


class PoolingError(AlignError):
    """Word times and audio frames do not belong together."""
