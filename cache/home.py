"""Where a user's own files are kept between runs."""

import os
from pathlib import Path


def default_home() -> Path:
    """Return `$SADGR_HOME`, else `$XDG_CACHE_HOME/sadgr`, else `~/.cache/sadgr`."""
    if home := os.environ.get("SADGR_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sadgr"
