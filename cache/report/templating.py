"""The templates of a site's packages, and how they write numbers."""

import math
from functools import lru_cache

import jinja2


@lru_cache(maxsize=8)
def environment_of(packages: tuple[str, ...]) -> jinja2.Environment:
    """Return the templates of these packages; what they fill in is escaped, and a name that is not given is an error."""
    loaders = [jinja2.PackageLoader(package, "templates") for package in reversed(packages)]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": in_figures, "bytes": in_bytes}
    return environment


def in_figures(value: float | None, digits: int = 0) -> str:
    """Return a number for people, `unknown` where there is none; the templates' filter `count`."""
    return "unknown" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def in_bytes(size: int) -> str:
    """Return a size for people; the templates' filter `bytes`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
