"""What the tests of a run's report look at."""

import json
from pathlib import Path
from typing import Any, NamedTuple

HOSTILE = "<script>alert(1)</script>"
HOSTILE_TEXT = f"{HOSTILE} \u05e9\u05dc\u05d5\u05dd " + "x" * 10_000


class Made(NamedTuple):
    """Two runs, the cache, and the report of the first one."""

    run: Path
    other: Path
    cache: Path
    site: Path

    def data(self, page: str, name: str) -> Any:
        """What a page's scripts find in `SADGR.data`."""
        script = (self.site / f"data/{page}!{name}.js").read_text(encoding="utf-8")
        return json.loads(json.loads(f"[{script.strip().removeprefix('SADGR.take(').removesuffix(');')}]")[1])


def silent(_: str) -> None:
    """Take a log line."""


def never() -> bool:
    """Do not ask for a stop."""
    return False
