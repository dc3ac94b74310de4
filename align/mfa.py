"""The Montreal Forced Aligner, run as its own program: many utterances in one call, its outputs held against the inputs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from sadgr.align.errors import AlignerUnavailable, AlignmentFailed
from sadgr.align.mfa_corpus import Entry, move, write_entry
from sadgr.align.mfa_process import MfaProcess
from sadgr.align.mfa_settings import MfaSettings
from sadgr.align.textgrid import words_of_file
from sadgr.align.words import Alignment, Utterance

BATCH_CLIPS = 2000
"""Utterances in one call of MFA, or a few more: a speaker's are never torn apart, since MFA adapts to speakers."""

WIDENING = 10
"""How many times wider the beams are for those that MFA left out the first time, as its own warning suggests."""

CANNOT_ALIGN = "NoAlignmentsError"
"""What MFA ends with when it could align nothing at all: no fault of its installation."""

_KINDS = {"acoustic": (".zip",), "dictionary": (".dict", ".txt", ".yaml"), "g2p": (".zip",)}


class MfaAligner:
    """Forced alignment by MFA; a word that it finds has score 1, since MFA gives words no confidence.

    Args:
        settings: How it is run.
        stop: Asked while MFA runs; when it says so, MFA is ended and what it was at is left for the next run.
        say: Told what MFA says, a line at a time.

    Raises:
        AlignerUnavailable: A model is not there.
    """

    name = "mfa"

    def __init__(
        self,
        settings: MfaSettings | None = None,
        stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._how = settings or MfaSettings()
        self._process = MfaProcess(self._how.command, stop, say)
        self._say = say
        named = {"acoustic": self._how.acoustic, "dictionary": self._how.dictionary, "g2p": self._how.g2p}
        self._models = {kind: find_model(kind, name) for kind, name in named.items() if name}

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """MFA's version, hashes of its models, and the beams; asks the program for its version."""
        models = {kind: hashlib.sha256(path.read_bytes()).hexdigest() for kind, path in self._models.items()}
        beams = {"beam": self._how.beam, "retry_beam": self._how.retry_beam, "widening": WIDENING}
        return {"version": self._process.version(), "models": models, **beams, "rules": 1}

    def align_all(self, utterances: Iterable[Utterance]) -> Iterator[Alignment]:
        """Aligns utterances as they come, some 2000 in one call of MFA.

        Raises:
            AlignerUnavailable: MFA cannot be started, or ends with an error before it aligned anything.
        """
        waiting = iter(utterances)
        held: list[Utterance] = [first] if (first := next(waiting, None)) else []
        while held:
            with tempfile.TemporaryDirectory(prefix="sadgr-mfa-", ignore_cleanup_errors=True) as folder:
                work = Path(folder)
                if " " in folder:
                    raise AlignerUnavailable(f"MFA cannot work in {folder}: a space in its name; set TMPDIR elsewhere")
                entries: list[Entry] = []
                speaker = held[0].speaker
                for utterance in chain(held, waiting):
                    if len(entries) >= BATCH_CLIPS and (utterance.speaker != speaker or not speaker):
                        held = [utterance]
                        break
                    entries.append(write_entry(work / "corpus", len(entries), utterance))
                    speaker = utterance.speaker
                else:
                    held = []
                found = self._align(work, entries)
                if found is None:
                    return  # stopped
                yield from found

    def _align(self, work: Path, entries: Sequence[Entry]) -> list[Alignment] | None:
        """Runs MFA over a corpus, and once more over what it left out; None when it was stopped."""
        wanted = [entry for entry in entries if not entry.failure]
        beam, retry_beam = self._how.beam, self._how.retry_beam
        code, said = self._run(work, "corpus", wanted, beam, retry_beam)
        if code is None:
            return None
        if missing := [entry for entry in wanted if _alignment(entry, work / "corpus-out").failure]:
            self._say(
                f"mfa left out {len(missing)} of {len(wanted)} clips; once more with {WIDENING} times wider beams"
            )
            for entry in missing:
                move(entry, work / "corpus", work / "again")
            code, said = self._run(work, "again", missing, beam * WIDENING, retry_beam * WIDENING, may_fail=True)
            if code is None:
                return None
        again = {entry.number for entry in missing}
        results = []
        for entry in entries:
            result = _alignment(entry, work / ("again-out" if entry.number in again else "corpus-out"))
            if entry.number in again and result.failure:
                why = f"{result.failure}; tried with beams {beam}/{retry_beam} and {WIDENING} times wider"
                result = Alignment(entry.clip_id, (), why if code == 0 else f"{why}; MFA ended with: {said[-1]}")
            results.append(result)
        return results

    def _run(
        self, work: Path, corpus: str, entries: Sequence[Entry], beam: int, retry_beam: int, may_fail: bool = False
    ) -> tuple[int | None, list[str]]:
        """Calls `mfa align` for a folder of the work directory; gives exit code, None when stopped, and last words."""
        if not entries:
            return 0, []
        output = work / f"{corpus}-out"
        arguments = ["align", str(work / corpus), str(self._models["dictionary"]), str(self._models["acoustic"])]
        arguments += [
            str(output),
            "--output_format",
            "json",
            "--clean",
            "--overwrite",
            "--num_jobs",
            str(self._how.jobs),
        ]
        arguments += ["--temporary_directory", str(work / "temporary"), f"--beam={beam}", f"--retry_beam={retry_beam}"]
        if "g2p" in self._models:
            arguments += ["--g2p_model_path", str(self._models["g2p"])]
        if len({entry.folder for entry in entries}) == 1:  # else its processes share the work by speakers
            arguments.append("--single_speaker")
        code, said = self._process.run(arguments, root=work / "root")
        wrote_nothing = not any(output.rglob("*.json"))
        if code and wrote_nothing and not (may_fail or any(CANNOT_ALIGN in line for line in said)):
            last = " | ".join(said[-5:]) or "nothing"
            raise AlignerUnavailable(f"MFA ended with exit code {code} and aligned nothing. Its last words: {last}")
        return code, said or ["nothing"]


def find_model(kind: str, name: str) -> Path:
    """Finds a model's file, since each run has an MFA root of its own, where names mean nothing.

    Args:
        kind: `acoustic`, `dictionary` or `g2p`.
        name: A file, or a name that `mfa model download KIND` knows.

    Raises:
        AlignerUnavailable: No such file, and no such model in MFA's own folder.
    """
    if Path(name).is_file():
        return Path(name).resolve()
    folder = mfa_root() / "pretrained_models" / kind
    for ending in _KINDS[kind]:
        if (folder / f"{name}{ending}").is_file():
            return folder / f"{name}{ending}"
    raise AlignerUnavailable(
        f"MFA's {kind} model {name!r} is neither a file nor in {folder}; fetch it with `mfa model download {kind} {name}`"
    )


def mfa_root() -> Path:
    """MFA's own folder: `$MFA_ROOT_DIR`, or `~/Documents/MFA`."""
    return Path(os.environ.get("MFA_ROOT_DIR") or "~/Documents/MFA").expanduser()


def _alignment(entry: Entry, output: Path) -> Alignment:
    """Holds what MFA wrote for an utterance against its transcript."""
    if entry.failure:
        return Alignment(entry.clip_id, (), entry.failure)
    path = output / entry.folder / f"{entry.stem}.json"
    if not path.is_file():
        return Alignment(entry.clip_id, (), "MFA wrote no file for it")
    try:
        return Alignment(entry.clip_id, words_of_file(entry.clip_id, entry.words, entry.duration_seconds, path))
    except AlignmentFailed as error:
        return Alignment(entry.clip_id, (), error.reason.replace(f"{path}: ", ""))  # the file is gone by then
