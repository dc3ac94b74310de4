"""What is here and what is missing on this machine, with a remedy for each: `sadgr-extract --doctor`."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal

from packaging.requirements import Requirement

from sadgr.align import AlignerUnavailable
from sadgr.align.errors import UnpronounceableWord
from sadgr.align.mfa_settings import MfaSettings
from sadgr.extract.errors import ExtractError, ModelUnavailableError
from sadgr.extract.presets import Preset

State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: what it is.
        state: `ok`; `missing`, which extraction cannot do without; or `optional`, not here and not always needed.
        detail: what was found, or what to do about it.
    """

    name: str
    state: State
    detail: str


def examine(models: Preset, preset: str, aligner: str, mfa: MfaSettings) -> Iterator[Finding]:
    """Look at everything that an extraction may need; nothing is downloaded.

    Args:
        models: the encoders that would be used.
        preset: the preset that they come from.
        aligner: name of the aligner that would be used.
        mfa: how MFA would be run.
    """
    yield from (_package(name) for name in ("sadgr", "torch", "transformers", "h5py", "av"))
    yield _checked("other packages", "missing", _other_packages)
    without_mfa: State = "missing" if aligner == "mfa" else "optional"
    yield _checked("device", "missing", _device)
    yield _checked("aligner: pocketsphinx", "missing", _pocketsphinx)
    yield _checked("pronunciations of unknown words", "optional", _pronunciation)
    yield _checked("aligner: mfa", without_mfa, lambda: f"MFA {_mfa_version(mfa)}, `{' '.join(mfa.command)}`")
    for kind, name in (("acoustic", mfa.acoustic), ("dictionary", mfa.dictionary), ("g2p", mfa.g2p)):
        if name:
            yield _checked(f"mfa {kind} model", without_mfa, lambda kind=kind, name=name: _mfa_model(kind, name))  # type: ignore[misc]
    for kind in ("text", "audio", "video"):
        yield _checked(f"{kind} model", "missing", lambda kind=kind: _model(models, kind))  # type: ignore[misc]
    if preset != "offline":
        yield _checked("models of --preset offline", "optional", _offline)
    yield _checked("temporary folder", "missing", _temporary)


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "missing", f"pip install {name}")


def _checked(name: str, otherwise: State, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", look())
    except (AlignerUnavailable, UnpronounceableWord, ExtractError, ImportError, OSError, RuntimeError) as error:
        return Finding(name, otherwise, str(error))


def _other_packages() -> str:
    needed = [Requirement(text) for text in requires("sadgr") or ()]
    wanted = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    lacking = []
    for one in wanted:
        try:
            if not one.specifier.contains(version(one.name), prereleases=True):
                lacking.append(f"{one} (it is {version(one.name)})")
        except PackageNotFoundError:
            lacking.append(str(one))
    if lacking:
        raise ExtractError(f"{', '.join(lacking)} missing; pip install sadgr again")
    return f"all {len(wanted)} that sadgr needs"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return f"no GPU; {torch.get_num_threads()} CPU threads"


def _pocketsphinx() -> str:
    from sadgr.align.pocketsphinx import PocketSphinxAligner

    return f"pocketsphinx {PocketSphinxAligner().settings['version']} with its English model"


def _pronunciation() -> str:
    from sadgr.align.phonemes import EspeakPronouncer

    pronouncer = EspeakPronouncer()
    pronouncer.pronounce("zorbled")
    return f"espeak-ng through phonemizer {pronouncer.settings['phonemizer']}"


def _mfa_version(mfa: MfaSettings) -> str:
    from sadgr.align.mfa_process import MfaProcess

    return MfaProcess(mfa.command, lambda: False, lambda _: None).version()


def _mfa_model(kind: str, name: str) -> str:
    from sadgr.align.mfa import find_model

    return str(find_model(kind, name))


def _model(models: Preset, kind: str) -> str:
    from sadgr.extract.checkpoint import OFFLINE, resolve

    name = getattr(models, kind)
    if name.name == OFFLINE:
        return _offline(kind)
    try:
        checkpoint = resolve(name, kind, local_files_only=True)  # type: ignore[arg-type]
    except ModelUnavailableError as error:
        raise ExtractError(
            f"{name} is not on this machine; the first run fetches it from the hub. Without a hub: --preset offline, or "
            f"--{kind}-model FOLDER"
        ) from error
    return f"{name} in {checkpoint.folder}"


def _offline(*kinds: str) -> str:
    from sadgr.extract.offline import OFFLINE_MODELS, offline_folder

    wanted = kinds or tuple(OFFLINE_MODELS)
    lacking = [kind for kind in wanted if offline_folder(kind) is None]  # type: ignore[arg-type]
    if "video" in lacking and not _is_installed("onnx"):
        raise ExtractError("the video model comes as ONNX, and the package onnx is missing: pip install '.[offline]'")
    if lacking:
        names = " and ".join(OFFLINE_MODELS[kind].name for kind in lacking)  # type: ignore[index]
        raise ExtractError(f"{names} not here yet; the first run downloads and converts them (600 MB in all)")
    return ", ".join(OFFLINE_MODELS[kind].name for kind in wanted)  # type: ignore[index]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _temporary() -> str:
    folder = tempfile.gettempdir()
    return f"{folder}, {shutil.disk_usage(folder).free / 1e9:.0f} GB free (MFA works there; TMPDIR names another)"
