"""Fetches the front-end parts of the reports anew: `python scripts/vendor.py`. Needs npm.

cache/report/static/vendor/VENDOR.json names packages, versions, licences and the SHA-256 of every file. A file that npm
gives otherwise is refused. To take another version, write it into VENDOR.json and empty the hashes of its files; they
are filled in.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parents[1] / "cache/report/static/vendor"


def main() -> None:
    listed = VENDOR / "VENDOR.json"
    parts = json.loads(listed.read_text(encoding="utf-8"))
    fetched = {(part["name"], file["path"]): fetch(part, file) for part in parts for file in part["files"]}
    for (_, path), content in fetched.items():  # nothing is written before all hashes fit
        (VENDOR / path).write_bytes(content)
        print(f"{VENDOR.name}/{path}: {len(content):,} bytes")
    listed.write_text(json.dumps(parts, indent=2) + "\n", encoding="utf-8")


def fetch(part: dict[str, Any], file: dict[str, str]) -> bytes:
    """Return a file of a package, whose hash is filled in where none stands there."""
    content = unpacked(f"{part['name']}@{part['version']}")[f"package/{file['from']}"]
    found = hashlib.sha256(content).hexdigest()
    if file["sha256"] and file["sha256"] != found:
        sys.exit(
            f"{part['name']}@{part['version']}: {file['from']} has SHA-256 {found}, VENDOR.json says {file['sha256']}; "
            "empty that line only if the version was changed on purpose"
        )
    file["sha256"] = found
    return content


@cache
def unpacked(package: str) -> dict[str, bytes]:
    """Return path -> content of all files of an npm package, which is fetched once."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts", package]
        name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
        with tarfile.open(Path(folder) / name) as archive:
            files = ((member, archive.extractfile(member)) for member in archive if member.isfile())
            return {member.name: opened.read() for member, opened in files if opened}


if __name__ == "__main__":
    main()
