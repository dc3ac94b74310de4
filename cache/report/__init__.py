"""The report of a cache: a static site that opens from disk, without server or network.

Other packages build on it: a `Site` with more navigation and further template packages, `cache_pages` with more columns
and sections a clip, and `write_site`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sadgr.cache.report.build import cache_pages, choose_clips
    from sadgr.cache.report.facts import Facts, Spoken, gather, made_with, spoken
    from sadgr.cache.report.site import ClipPlace, File, NavEntry, Section, Site, assets, clip_path, clip_stem, href
    from sadgr.cache.report.table import Column
    from sadgr.cache.report.writing import write_site

__all__ = [
    "ClipPlace",
    "Column",
    "Facts",
    "File",
    "NavEntry",
    "Section",
    "Site",
    "Spoken",
    "assets",
    "cache_pages",
    "choose_clips",
    "clip_path",
    "clip_stem",
    "gather",
    "href",
    "made_with",
    "spoken",
    "write_site",
]

_HOMES = {
    "build": ("cache_pages", "choose_clips"),
    "facts": ("Facts", "Spoken", "gather", "made_with", "spoken"),
    "site": ("ClipPlace", "File", "NavEntry", "Section", "Site", "assets", "clip_path", "clip_stem", "href"),
    "table": ("Column",),
    "writing": ("write_site",),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
