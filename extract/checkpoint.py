"""Where a frozen encoder's weights come from, and what identifies them."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sadgr.cache import file_sha256, fingerprint
from sadgr.extract.errors import ModelUnavailableError

Kind = Literal["text", "audio", "video"]
OFFLINE = "offline"
"""Model name that stands for the weights which package registries carry; see `sadgr.extract.offline`."""

# Where a file was written by and when is no part of what a model computes.
_VOLATILE = frozenset({"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype"})
_PROCESSOR_FILES = (
    "added_tokens.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)


@dataclass(frozen=True)
class ModelName:
    """What a person names a checkpoint by.

    Attributes:
        name: local folder, hub id, or `OFFLINE`.
        revision: the hub's commit; None means the newest, which the fingerprint then tells apart.
    """

    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Read `FOLDER`, `HUB_ID` or `HUB_ID@REVISION`."""
        if Path(text).expanduser().is_dir():
            return cls(str(Path(text).expanduser()))
        name, _, revision = text.partition("@")
        return cls(name, revision or None)

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


@dataclass(frozen=True)
class Checkpoint:
    """A folder that transformers can load, and its provenance.

    Attributes:
        short_name: for folder names and people.
        folder: the files.
        about: information for provenance that is not identity.
    """

    short_name: str
    folder: Path
    about: Mapping[str, Any] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Return `config.json` without what is no part of the computation."""
        content: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return {key: value for key, value in content.items() if key not in _VOLATILE}

    def identity(self) -> dict[str, Any]:
        """Return hashes of weights, tokenizer and processor, and the config: what decides the features."""
        weights = _weight_files(self.folder)
        if not weights:
            raise ModelUnavailableError(
                f"{self.folder} holds no weights (model*.safetensors or pytorch_model*.bin); name a complete folder"
            )
        files = [self.folder / name for name in _PROCESSOR_FILES if (self.folder / name).is_file()]
        return {
            "weights": fingerprint({"files": [file_sha256(path) for path in weights]}),
            "config": self.config(),
            "processor": {path.name: file_sha256(path) for path in files},
        }


def resolve(
    model: ModelName, kind: Kind, local_files_only: bool = False, say: Callable[[str], None] = lambda _: None
) -> Checkpoint:
    """Return the checkpoint of this name, fetching it where that is allowed.

    Args:
        model: local folder, hub id or `OFFLINE`.
        kind: which of the offline models `OFFLINE` means, and which option the remedy names.
        local_files_only: use what this machine already holds; `HF_HUB_OFFLINE=1` does the same.
        say: told, a line at a time, what takes long.

    Raises:
        ModelUnavailableError: it cannot be had; the message says what would help.
    """
    if model.name == OFFLINE:
        return _offline(kind, say)
    folder = Path(model.name)
    if folder.is_dir():
        checkpoint = Checkpoint(folder.resolve().name, folder, {"model": folder.resolve().name})
    else:
        say(f"{kind} model: {model}")
        folder = _from_hub(model, kind, local_files_only)
        checkpoint = Checkpoint(model.name.split("/")[-1], folder, {"model": model.name, "revision": folder.name})
    if not (folder / "config.json").is_file():
        raise ModelUnavailableError(f"{folder} holds no config.json, so it is no checkpoint that transformers can load")
    return checkpoint


def _offline(kind: Kind, say: Callable[[str], None]) -> Checkpoint:
    from sadgr.extract.offline import OFFLINE_MODELS, OfflineModelError, offline_model

    known = OFFLINE_MODELS[kind]
    try:
        folder = offline_model(kind, progress=say)
    except OfflineModelError as error:
        raise ModelUnavailableError(str(error)) from error
    about = {"model": known.name, "description": known.description, "licence": known.licence}
    return Checkpoint(known.name, folder, {**about, "package": known.requirement})


def _from_hub(model: ModelName, kind: Kind, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    def snapshot(local: bool, *patterns: str) -> Path:
        found = snapshot_download(
            model.name, revision=model.revision, allow_patterns=list(patterns), local_files_only=local
        )
        return Path(found)

    def fetch(local: bool) -> Path:
        folder = snapshot(local, "*.json", "*.txt", "*.model", "model*.safetensors")
        # Only where there are no safetensors: the hub often carries the same weights in several formats.
        return folder if list(folder.glob("model*.safetensors")) else snapshot(local, "pytorch_model*.bin")

    if model.revision and re.fullmatch(r"[0-9a-f]{40}", model.revision):
        # A commit never changes: what lies here whole needs no question to the hub.
        with suppress(OSError, HFValidationError):
            if _is_whole(folder := fetch(local=True)):
                return folder
    try:
        return fetch(local_files_only)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelUnavailableError(
            f"{kind} model {model} is no local folder and could not be had from the hub ({reason}). Any of these helps: "
            f"`--preset offline` (small models that need no hub), `--{kind}-model FOLDER` (a local copy), "
            "or access to the hub from this machine (fetch once, then HF_HUB_OFFLINE=1 works)"
        ) from error


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and bool(_weight_files(folder))


def _weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
