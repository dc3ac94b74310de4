"""The options by which commands choose where word times come from."""

import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sadgr.align.mfa_settings import ENGLISH, MfaSettings, default_model

if TYPE_CHECKING:
    from sadgr.align import Aligner

Command = TypeVar("Command", bound=Callable[..., Any])
_MFA = MfaSettings()


@dataclass(frozen=True)
class AlignerOptions:
    """What was asked for; `build` makes the aligner."""

    aligner: str
    alignments: Path | None
    language: str
    mfa_command: str
    mfa_acoustic: str | None
    mfa_dictionary: str | None
    mfa_g2p: str | None
    mfa_jobs: int
    mfa_beam: int
    mfa_retry_beam: int

    def build(self, stop: Callable[[], bool], say: Callable[[str], None]) -> "Aligner | None":
        """Make the aligner; None stands for word times that the cache has already.

        Args:
            stop: asked by an aligner that works long on many clips.
            say: told what it says.

        Raises:
            AlignerUnavailable: something it needs is missing.
        """
        if self.aligner == "cached":
            return None
        if self.alignments is not None and self.aligner != "textgrid":
            raise click.UsageError("--alignments goes with --aligner textgrid")
        if self.aligner == "textgrid":
            if self.alignments is None:
                raise click.UsageError("--aligner textgrid reads a folder: add --alignments FOLDER")
            from sadgr.align.textgrid import TextGridAligner

            return TextGridAligner(self.alignments)
        if self.aligner == "mfa":
            from sadgr.align.mfa import MfaAligner

            return MfaAligner(self.mfa_settings(), stop, say)
        if self.language != ENGLISH:
            raise click.UsageError(
                f"the embedded aligner knows English only, not {self.language}: choose --aligner mfa, whose models for "
                "many languages are at mfa-models.readthedocs.io, or --aligner textgrid for word times of your own"
            )
        from sadgr.align.pocketsphinx import PocketSphinxAligner

        return PocketSphinxAligner()

    def mfa_settings(self) -> MfaSettings:
        """Return how MFA is to be run."""
        given = {name: getattr(self, f"mfa_{name}") for name in ("g2p", "jobs", "beam")}
        given |= {
            "acoustic": self.mfa_acoustic or default_model(self.language),
            "dictionary": self.mfa_dictionary or default_model(self.language),
        }
        try:
            return MfaSettings(tuple(shlex.split(self.mfa_command)), **given, retry_beam=self.mfa_retry_beam)
        except ValueError as error:
            raise click.UsageError(str(error)) from error


_OPTIONS = (
    click.option(
        "--alignments",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Folder of TextGrids, MFA's JSON or CSV, LibriSpeech's .alignment.txt, or Whisper's word JSON.",
    ),
    click.option(
        "--language",
        default=ENGLISH,
        show_default=True,
        metavar="NAME",
        help="Of the speech. The embedded aligner knows English only; MFA takes its own models of that language.",
    ),
    click.option(
        "--mfa-command",
        default=shlex.join(_MFA.command),
        show_default=True,
        help="How MFA starts, such as 'conda run -n aligner mfa'.",
    ),
    click.option(
        "--mfa-acoustic", metavar="MODEL", show_default=f"{_MFA.acoustic}, or LANGUAGE_mfa", help="Name or file."
    ),
    click.option(
        "--mfa-dictionary", metavar="MODEL", show_default=f"{_MFA.dictionary}, or LANGUAGE_mfa", help="Name or file."
    ),
    click.option("--mfa-g2p", metavar="MODEL", help="For words outside the dictionary; without it they are unknown."),
    click.option("--mfa-jobs", type=int, default=_MFA.jobs, show_default="the processors", help="MFA's processes."),
    click.option("--mfa-beam", type=int, default=_MFA.beam, show_default=True, help="MFA's beam."),
    click.option(
        "--mfa-retry-beam",
        type=int,
        default=_MFA.retry_beam,
        show_default=True,
        help="MFA's beam for what failed at first; what it leaves out is tried once more with ten times wider ones.",
    ),
)


def aligner_options(*more: str) -> Callable[[Command], Command]:
    """Add the options to a command, which gets them as one argument, `aligner`.

    Args:
        more: values of `--aligner` that this command takes beside the aligners' names.
    """
    also = ", or those that sadgr-align put into CACHE (cached)" if more else ""
    choice = click.option(
        "--aligner",
        type=click.Choice(["pocketsphinx", "mfa", "textgrid", *more]),
        default="pocketsphinx",
        show_default=True,
        help="Where word times come from: the embedded aligner, the Montreal Forced Aligner, files (--alignments)"
        + also,
    )
    return lambda command: _with_options(command, (choice, *_OPTIONS))


def _with_options(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    names = [field.name for field in fields(AlignerOptions)]

    @functools.wraps(command)
    def gathered(**options: Any) -> Any:
        return command(aligner=AlignerOptions(**{name: options.pop(name) for name in names}), **options)

    decorated: Any = gathered
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
