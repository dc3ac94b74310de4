"""A static site as pure values: pages made from templates and data, each a file with its content.

Pages open from disk: no page asks for anything over the network, and none runs a script that does not lie beside it. A
browser lets no page read files from disk, so data come as scripts that hand their value over by calling `SADGR.take`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sadgr.cache.ids import escape
from sadgr.cache.report.page_data import data_path, taking
from sadgr.cache.report.templating import environment_of

LONGEST_STEM = 120
"""Characters of an escaped clip id in a file's name, from which on it is cut; file systems take 255 bytes a name."""
STYLE_NONCE = "sadgr-report"
"""Lets parts that bring a style sheet of their own insert it (wavesurfer.js: `cspNonce`); scripts have no such way."""
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' file:",
        f"style-src 'self' file: 'nonce-{STYLE_NONCE}'",
        "img-src 'self' file: data: blob:",
        "media-src 'self' file: data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Not even a transcript that got around all escaping could run, or send anything anywhere. Firefox takes no file for
`'self'`, hence `file:`."""


@dataclass(frozen=True)
class File:
    """One file of a site.

    Attributes:
        path: where in the site, relative, parts separated by `/`.
        content: its bytes, or a file to copy.
    """

    path: str
    content: bytes | Path

    def __post_init__(self) -> None:
        """Keep every file inside the site."""
        parts = self.path.split("/")
        if not self.path or any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise ValueError(f"{self.path!r} is no path of a file inside a site")


@dataclass(frozen=True)
class ClipPlace:
    """A clip among those that have a page.

    Attributes:
        clip_id: the clip.
        previous: path of the page before it, in the site; None where it is the first.
        next: likewise of the one after it.
    """

    clip_id: str
    previous: str | None
    next: str | None


Section = Mapping[str, Any]
"""Something more that a clip's page shows, as plain data; seconds count from the clip's start. One of

    {"title": str, "kind": "curve", "unit": str, "series": [{"name": str, "seconds": [...], "values": [...]}]}
    {"title": str, "kind": "table", "columns": [str, ...], "rows": [[cell, ...], ...]}
    {"title": str, "kind": "text", "text": str}

each with a "note" (str) perhaps. A cell is text, a number, None, or {"text": str, "href": path in the site}.
"""


@dataclass(frozen=True)
class NavEntry:
    """An entry of the navigation that every page shows: its title, and the path of its page in the site."""

    title: str
    path: str


@dataclass(frozen=True)
class Site:
    """What the pages of a site have in common.

    Attributes:
        title: shown at the head of every page.
        nav: the navigation; `OVERVIEW` and `CLIPS` are the pages that `cache_pages` makes.
        packages: Python packages with a folder `templates`, and `static` perhaps; templates of later ones may extend
            those of earlier ones (`base.html`), and win where two have one name.
        footer: one line at the foot of every page: what the site was made of, and with.
    """

    title: str
    nav: tuple[NavEntry, ...] = (NavEntry("Overview", "index.html"), NavEntry("Clips", "clips.html"))
    packages: tuple[str, ...] = ("sadgr.cache.report",)
    footer: str = ""

    def page(
        self,
        path: str,
        template: str,
        title: str,
        data: Mapping[str, Any] | None = None,
        scripts: Sequence[str] = (),
        styles: Sequence[str] = (),
        **context: Any,
    ) -> Iterator[File]:
        """Give a page, and the data that its scripts find in `SADGR.data`.

        Args:
            path: of the page in the site, ending in `.html`.
            template: name of a Jinja2 template; it extends `base.html`.
            title: of the page.
            data: name -> what JSON can hold, numpy's arrays and numbers among it; numbers that are not finite become
                null. Handed over before any of `scripts` runs, as `SADGR.data[name]`.
            scripts: in `static/`, such as `overview.js` or `vendor/uplot.js`; loaded in this order, after `sadgr.js`.
            styles: style sheets in `static/`, after `sadgr.css`.
            context: further variables of the template. It also gets `site`, `path`, `title`, `root` (`../` as often as
                the page lies deep) and the function `link(site path)`; `previous` and `next` (site paths) are what j and
                k go to.

        Raises:
            ValueError: a path leads out of the site, or data cannot be written as JSON.
        """
        root = "../" * path.count("/")
        taken = [File(data_path(path, name), taking(name, value)) for name, value in (data or {}).items()]
        html = (
            environment_of(self.packages)
            .get_template(template)
            .render(
                **{"previous": None, "next": None, **context},
                site=self,
                path=path,
                title=title,
                root=root,
                policy=CONTENT_SECURITY_POLICY,
                nonce=STYLE_NONCE,
                link=lambda target: root + href(target),
                scripts=["static/sadgr.js", *(file.path for file in taken), *(f"static/{name}" for name in scripts)],
                styles=["static/sadgr.css", *(f"static/{name}" for name in styles)],
            )
        )
        yield File(path, html.encode("utf-8"))
        yield from taken


def clip_path(clip_id: str) -> str:
    """Return the path of a clip's page in a site; also the stem for its other files, see `clip_stem`."""
    return f"clip/{clip_stem(clip_id)}.html"


def clip_stem(clip_id: str) -> str:
    """Return what files of a clip are called: its escaped id, which is cut and carries a hash where it is very long."""
    name = escape(clip_id)
    if len(name) <= LONGEST_STEM:
        return name
    # No escaped id holds an exclamation mark, so that no other clip's name can be this one.
    return f"{name[: LONGEST_STEM - 20].rstrip('%. ')}!{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def href(path: str) -> str:
    """Return a site's path as a link holds it: an escaped id's `%` is itself escaped."""
    return quote(path, safe="/!~")


def assets(site: Site) -> Iterator[File]:
    """Give everything static that the site's pages use.

    Raises:
        ValueError: two of the site's packages bring a file of one name.
    """
    seen: dict[str, str] = {}
    for package in site.packages:
        folder = files(package) / "static"
        for path, found in _walk(folder, "static") if folder.is_dir() else ():
            if path in seen:
                raise ValueError(f"{package} and {seen[path]} both bring {path}; rename one of them")
            seen[path] = package
            yield File(path, found.read_bytes())


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _walk(entry, f"{path}/{entry.name}")
        elif not entry.name.startswith("."):
            yield f"{path}/{entry.name}", entry
