"""How the Montreal Forced Aligner is run; light, so that command lines can show its defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

ENGLISH = "english"


def default_model(language: str) -> str:
    """Returns the name of MFA's own acoustic model and dictionary of a language, such as `mandarin_mfa`."""
    return "english_us_arpa" if language == ENGLISH else f"{language}_mfa"


@dataclass(frozen=True)
class MfaSettings:
    """How MFA is run.

    Attributes:
        command: Its program, such as `("mfa",)` or `("conda", "run", "-n", "aligner", "mfa")`.
        acoustic: Acoustic model: a name that `mfa model download` knows, or a file.
        dictionary: Pronunciation dictionary, likewise.
        g2p: Grapheme-to-phoneme model for words outside the dictionary, likewise; None leaves them unknown.
        jobs: Processes that it may use; it decides no result.
        beam: Beam of its first pass.
        retry_beam: Beam of its second pass, over utterances that failed in the first.
    """

    command: tuple[str, ...] = ("mfa",)
    acoustic: str = default_model(ENGLISH)
    dictionary: str = default_model(ENGLISH)
    g2p: str | None = None
    jobs: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    beam: int = 10
    retry_beam: int = 40

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError("the command that starts MFA is empty; give it as `mfa` or `conda run -n aligner mfa`")
        if not (self.jobs > 0 and 0 < self.beam < self.retry_beam):
            raise ValueError(
                f"jobs {self.jobs}, beam {self.beam}, retry beam {self.retry_beam}: expected 1 job or more and "
                "0 < beam < retry beam"
            )
