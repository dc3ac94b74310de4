"""Sites as values, and on disk: whole or not at all; and the look that all pages share."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page

from sadgr.cache import FeatureCache
from sadgr.cache.cli import main
from sadgr.cache.errors import NotWritableError, SelectionError
from sadgr.cache.ids import normalise_id
from sadgr.cache.report import (
    Column,
    File,
    NavEntry,
    Site,
    assets,
    cache_pages,
    choose_clips,
    clip_path,
    gather,
    href,
    write_site,
)
from sadgr.cache.report.page_data import as_json
from sadgr.cache.report.table import table_data

VENDOR = Path(__file__).parents[3] / "cache/report/static/vendor"
IDS = st.text(min_size=1, max_size=400).filter(lambda text: "\0" not in text)


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../up", "a//b", "a/./b", "a/../b", "nul\0"])
def test_no_file_leaves_the_site(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        File(path, b"")


@given(IDS, IDS)
def test_clip_pages_have_names_of_their_own_that_file_systems_take(one: str, other: str) -> None:
    paths = []
    for clip_id in (one, other):
        try:
            clip_id.encode()
        except UnicodeEncodeError:
            return
        path = clip_path(clip_id)
        File(path, b"")
        assert len(path.removeprefix("clip/").encode()) < 200
        assert set(href(path)) & set(' "<>#?') == set()
        paths.append(path)
    assert (paths[0] == paths[1]) == (normalise_id(one) == normalise_id(other))


def test_long_ids_that_begin_alike_differ() -> None:
    paths = {clip_path("x" * 10_000), clip_path("x" * 9_999 + "y"), clip_path("x" * 120), clip_path("x" * 121)}
    assert len(paths) == 4
    assert clip_path(clip_path("x" * 10_000).removeprefix("clip/").removesuffix(".html")) not in paths


def test_data_survive_the_way_into_a_script(browser_page: Page, tmp_path: Path) -> None:
    value = {
        "__proto__": "a name like others",
        "text": "</script><!-- ' \" \\ \u2028 שלום 𝄞",
        "array": np.array([[0.1, np.nan], [np.inf, -1.5]]),
        "number": np.float64(1 / 3),
        "flag": np.bool_(True),
    }
    site = Site("t")
    files = [*assets(site), *site.page("a/page.html", "clips.html", "t", data={"v & w": value}, clips=0, paged=0)]
    write_site(tmp_path / "site", files)
    browser_page.goto((tmp_path / "site/a/page.html").as_uri())
    got = json.loads(browser_page.evaluate("JSON.stringify(SADGR.data['v & w'])"))
    wanted = {**value, "array": [[0.1, None], [None, -1.5]], "number": 1 / 3, "flag": True}
    assert got == wanted
    with pytest.raises(ValueError, match="JSON"):
        as_json({"a": object()})


def test_pages_name_the_policy_first_and_hold_no_inline_script(planted_cache: FeatureCache) -> None:
    pages = [file for file in cache_pages(Site("t"), gather(planted_cache), ()) if file.path.endswith(".html")]
    assert {page.path for page in pages} == {"index.html", "clips.html"}
    for page in pages:
        html = bytes(page.content).decode()
        head = html.partition("<title>")[0]
        assert "default-src &#39;none&#39;" in head and "unsafe" not in head
        assert head.index("Content-Security-Policy") < html.index("<script")
        assert all(part.startswith(" defer src=") for part in html.split("<script")[1:])
        assert " style=" not in html and "http://" not in html and "https://" not in html


def test_the_policy_stops_what_gets_into_a_page_all_the_same(chromium, tmp_path: Path) -> None:
    """An inline script, and a request to a host, put into a page by hand: neither does anything."""
    (page_file,) = Site("t").page("p.html", "clips.html", "t", clips=0, paged=0)
    attack = b"<script>window.hacked = 1</script><img src='https://example.invalid/x.png' onerror='window.hacked = 2'></body>"
    write_site(
        tmp_path / "site", [*assets(Site("t")), File("p.html", bytes(page_file.content).replace(b"</body>", attack))]
    )
    page = chromium.new_page()
    asked, said = [], []
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto((tmp_path / "site/p.html").as_uri())
    assert page.evaluate("window.hacked") is None
    assert not [url for url in asked if not url.startswith("file:")]
    assert sum("Content Security Policy" in text for text in said) >= 2
    page.close()


def test_an_earlier_report_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "deep/site"
    assert write_site(folder, [File("a.html", b"1"), File("old/b.html", b"2")]) == 2
    write_site(folder, [File("a.html", b"3")])
    assert set(content_of(folder)) == {"a.html", "sadgr-report.json"} and (folder / "a.html").read_bytes() == b"3"
    assert [path.name for path in folder.parent.iterdir()] == ["site"]
    (tmp_path / "empty").mkdir()
    write_site(tmp_path / "empty", [File("a.html", b"1")])
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("mine")
    with pytest.raises(NotWritableError, match="no report of ours"):
        write_site(thesis, [File("a.html", b"1")])
    assert content_of(thesis) == {"chapter.tex": b"mine"}
    with pytest.raises(NotWritableError, match="no folder"):
        write_site(thesis / "chapter.tex", [])


def test_a_report_that_fails_halfway_leaves_the_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site(folder, [File("a.html", b"1")])
    before = content_of(folder)

    def breaking() -> Iterator[File]:
        yield File("a.html", b"2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_site(folder, breaking())
    with pytest.raises(ValueError, match="twice"):
        write_site(folder, [File("x", b"1"), File("x", b"2")])
    assert content_of(folder) == before and [path.name for path in tmp_path.iterdir()] == ["site"]


def test_files_are_copied_and_taken_one_at_a_time(tmp_path: Path) -> None:
    source = tmp_path / "sound.ogg"
    source.write_bytes(b"sound")
    folder = tmp_path / "site"
    seen = []

    def watched() -> Iterator[File]:
        yield File("media/sound.ogg", source)
        seen.append([path.name for path in tmp_path.glob(".tmp-*/media/*")])

    write_site(folder, watched())
    assert seen == [["sound.ogg"]] and (folder / "media/sound.ogg").read_bytes() == b"sound"


def test_vendored_parts_are_what_the_list_says() -> None:
    parts = json.loads((VENDOR / "VENDOR.json").read_text())
    listed = {file["path"]: file["sha256"] for part in parts for file in part["files"]}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    found.pop("VENDOR.json")
    assert found == listed
    for part in parts:
        assert any("LICENSE" in file["path"] for file in part["files"]), f"{part['name']} comes without its licence"


def test_two_packages_with_a_file_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="both bring"):
        list(assets(Site("t", packages=("sadgr.cache.report", "sadgr.cache.report"))))


def test_clips_are_chosen_by_id_and_pattern(planted_cache: FeatureCache, hostile: dict[str, str]) -> None:
    facts = gather(planted_cache)
    assert choose_clips(facts, most=2) == list(facts.labels.index)[:2]
    assert choose_clips(facts, ("fails", "video*")) == ["video$_$1", "fails"]
    assert choose_clips(facts, (hostile["script"],)) == [hostile["script"]]
    with pytest.raises(SelectionError, match="no clip 'nobody'"):
        choose_clips(facts, ("fails", "nobody"))


def test_table_columns_are_checked() -> None:
    with pytest.raises(ValueError, match="1 values for 2 clips"):
        table_data(["a", "b"], [Column("k", "t", [1])], ())
    with pytest.raises(ValueError, match="two columns"):
        table_data(["a"], [Column("k", "t", [1]), Column("k", "t", [1])], ())
    assert table_data(["a b", "c"], [], ["a b"])["links"] == ["clip/a%20b.html", None]


def test_more_navigation_and_columns_come_from_outside(planted_cache: FeatureCache, tmp_path: Path) -> None:
    site = Site("t", nav=(*Site("t").nav, NavEntry("More", "more.html")))
    facts = gather(planted_cache)
    column = Column("error", "error", [0.5, 0.25], "number")
    write_site(tmp_path / "site", cache_pages(site, facts, (), columns=[column], listed=["fails", "video$_$1"]))
    assert 'href="more.html"' in (tmp_path / "site/index.html").read_text()
    script = (tmp_path / "site/data/clips!clips.js").read_text()
    told = json.loads(json.loads(f"[{script.removeprefix('SADGR.take(').removesuffix(');' + chr(10))}]")[1])
    assert told["ids"] == ["fails", "video$_$1"]
    columns = {one["key"]: one["values"] for one in told["columns"]}
    assert columns["error"] == [0.5, 0.25] and columns["spoken.words"] == [None, 2]
    with pytest.raises(SelectionError, match="no clip 'nobody'"):
        list(cache_pages(site, facts, (), listed=["nobody"]))


def test_the_command_writes_a_report(planted_cache: FeatureCache, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = CliRunner().invoke(main, ["report", str(planted_cache.path), "-o", str(out), "--clips", "fails"])
    assert done.exit_code == 0, done.output
    assert "6 clips, 1 with a page" in done.output
    assert (out / "index.html").exists() and (out / "clip/fails.html").exists()
    again = CliRunner().invoke(main, ["report", str(planted_cache.path), "-o", str(tmp_path)])
    assert again.exit_code == 2 and "no report of ours" in again.output


CONTRAST = """
() => {
  const parsed = (hex) => hex.match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16) / 255);
  const luminance = (hex) => parsed(hex)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, channel) => sum + value * [0.2126, 0.7152, 0.0722][channel], 0);
  const contrast = (one, other) => {
    const [low, high] = [luminance(SADGR.colour(one)), luminance(SADGR.colour(other))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const found = {};
  for (const ground of ["--page", "--panel"]) {
    for (const text of ["--ink", "--muted", "--accent", "--warn", "--good", "--bad", "--focus",
      "--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"]) {
      found[`${text} on ${ground}`] = contrast(text, ground);
    }
  }
  found["--accent-ink on --accent"] = contrast("--accent-ink", "--accent");
  return found;
}
"""


@pytest.fixture(scope="module")
def built(planted_cache: FeatureCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("look") / "site"
    write_site(folder, cache_pages(Site("t"), gather(planted_cache), ()))
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_keep_the_contrast_of_wcag_aa(browser_page: Page, built: Path, scheme: str) -> None:
    browser_page.emulate_media(color_scheme=scheme)
    browser_page.goto((built / "index.html").as_uri())
    found = browser_page.evaluate(CONTRAST)
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}
    ground = browser_page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 600) == (scheme == "light")


@pytest.mark.parametrize("name", ["index.html", "clips.html"])
def test_pages_are_named_labelled_and_reached_by_keyboard(browser_page: Page, built: Path, name: str) -> None:
    page = browser_page
    page.goto((built / name).as_uri())
    assert page.locator("html[lang]").count() == page.locator("h1").count() == page.locator("main").count() == 1
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('a, button, input, [role=region], [role=img], meter')].filter((one) =>
          !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length
            || document.getElementById(one.getAttribute('aria-labelledby'))?.textContent)).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    focused = page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement); return [document.activeElement.textContent, s.outlineStyle, s.outlineWidth]; })()"
    )
    assert focused == ["Overview", "solid", "3px"]


def test_slash_leads_from_the_overview_to_the_search(browser_page: Page, built: Path) -> None:
    browser_page.goto((built / "index.html").as_uri())
    browser_page.keyboard.press("/")
    browser_page.wait_for_url("**/clips.html#search")
    browser_page.wait_for_selector("#table[data-ready]")
    assert browser_page.evaluate("document.activeElement.id") == "search"
