"""A second reader of the cache, written from docs/cache-format.md alone: nothing here knows the package."""

import csv
import hashlib
import json
import re
from pathlib import Path
from urllib.parse import quote, unquote

import h5py
import numpy as np

FLAT = "mean mean_words"
NAMES = {
    "words": "text start end score flag",
    "text": "words tokens input_ids word_ids",
    "audio": "words frames",
    "video": "words frames seconds",
}


def escaped(text: str) -> str:
    return re.sub(r"^[.\- ]|[. ]$", lambda one: f"%{ord(one[0]):02X}", quote(text, safe="_-.$=+,@~ "))


def read(file: h5py.File, path: str) -> np.ndarray:
    parts = path.split("/")
    links = [file.get("/".join(parts[:depth]), getlink=True) for depth in range(1, len(parts) + 1)]
    if not all(isinstance(link, h5py.HardLink) for link in links):
        raise ValueError(f"{path} links elsewhere")
    data, made = file[path], file[path].id.get_create_plist()
    if data.external or data.is_virtual or {made.get_filter(n)[0] for n in range(made.get_nfilters())} - {3}:
        raise ValueError(f"{path} is not in this file alone")
    return np.array([one.decode("utf-8") for one in data[()]], str) if data.dtype.kind == "S" else data[()]


def read_shard(path: Path, fingerprint: str, names: list[str]) -> dict:
    whole = path.read_bytes()
    lines = f"SADGR shard 1\nfeatureset {fingerprint}\nbytes {len(whole) - 512}\nsha256 "
    if whole[:512] != f"{lines}{hashlib.sha256(whole[512:]).hexdigest()}\n".encode().ljust(512, b"\0"):
        raise ValueError(f"{path} is damaged or no shard of its feature set")
    clips: dict = {}
    with h5py.File(path, "r", locking=False) as file:
        tables = {name: read(file, name) for name in FLAT.split() if name in file}
        for row, (clip, present) in enumerate(zip(read(file, "ids"), read(file, "present"), strict=True)):
            inside = {name: f"clips/{escaped(clip)}/{name}" for name in names}
            arrays = {name: table[row] for name, table in tables.items() if not np.isnan(table[row]).any()}
            arrays |= {name: read(file, where) for name, where in inside.items() if where in file}
            clips[str(clip)] = arrays if present else None
    return clips


def read_feature_set(folder: Path) -> dict:
    about = json.loads((folder / "featureset.json").read_text("utf-8"))
    identity = {"schema": 1, "modality": about["modality"], "settings": about["settings"]}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    if hashlib.sha256(canonical.encode()).hexdigest() != about["fingerprint"]:
        raise ValueError(f"{folder} is not what its fingerprint says")
    clips: dict = {}
    for path in sorted(folder.glob("[!.]*.h5")):  # the last record counts
        clips |= read_shard(path, about["fingerprint"], NAMES[about["modality"]].split())
    return clips


def read_cache(root: Path) -> dict:
    """Data set -> "labels" -> id -> column -> text; and feature set -> id -> array's name -> array, or None."""
    if json.loads((root / "sadgr-cache.json").read_text("utf-8"))["version"] != 1:
        raise ValueError("not version 1")
    found: dict = {}
    for labels in root.glob("[!.]*/labels.csv"):
        with labels.open(encoding="utf-8", newline="") as file:
            rows = {row.pop("id"): row for row in csv.DictReader(file)}
        sets = {one.parent.name: read_feature_set(one.parent) for one in labels.parent.glob("[!.]*/featureset.json")}
        found[unquote(labels.parent.name, errors="strict")] = {"labels": rows, **sets}
    return found
