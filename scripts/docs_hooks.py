"""What `make docs` does with links that lead out of docs/ into the checkout: the site does not hold those files."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Write the path within the checkout in place of such a link.

    Args:
        markdown: of the page.
        page: mkdocs' page, whose place under docs/ links are relative to.
    """
    folder = ROOT.joinpath("docs", page.file.src_uri).parent

    def instead(link: re.Match[str]) -> str:
        title, target = link[1], link[2]
        path = (folder / target).resolve()
        if "://" in target or path.is_relative_to(ROOT / "docs") or not path.exists():
            return link[0]  # a link that leads nowhere stays, for mkdocs to refuse
        place = path.relative_to(ROOT).as_posix()
        return f"`{place}`" if title in (place, target, f"`{place}`") else f"{title} (`{place}`)"

    return _LINK.sub(instead, markdown)
