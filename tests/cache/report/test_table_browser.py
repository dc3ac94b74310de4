"""The table of clips in a real browser: quick with 25,000 rows, safe with hostile text, usable from the keyboard."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page

from sadgr.cache import FeatureCache, write_labels
from sadgr.cache.report import Facts, Site, Spoken, cache_pages, gather, write_site
from sadgr.cache.report.facts import SCORE_EDGES

ROWS = 25_000
ANSWER_MILLISECONDS = 200
MOST_TRIES = 15
"""The quickest of at least three answers counts, and of more while none was in time: others wait for what the machine
does besides."""
WORDS = (
    "well",
    "I",
    "think",
    "this",
    "film",
    "was",
    "great",
    "but",
    "the",
    "ending",
    "felt",
    "rather",
    "dull",
    "to me",
)

# From the event until the frame that shows its answer was painted: a task posted from a frame's callback runs after it.
UNTIL_PAINTED = """
async ([selector, kind, value]) => {
  const target = document.querySelector(selector);
  const begun = performance.now();
  if (kind === "input") { target.value = value; target.dispatchEvent(new Event("input", {bubbles: true})); }
  else target.click();
  await new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(null);
  }));
  return performance.now() - begun;
}
"""


def spoken_of(facts: Facts, seed: int = 0) -> Spoken:
    rng = np.random.default_rng(seed)
    n = len(facts.labels)
    clips = pd.DataFrame(
        {
            "words": rng.integers(1, 60, n).astype(float),
            "seconds": rng.uniform(0.5, 20, n),
            "rate": rng.uniform(1, 6, n),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "interpolated": rng.integers(0, 3, n).astype(float),
        },
        index=facts.labels.index,
    )
    return Spoken(None, clips, np.zeros(len(SCORE_EDGES) - 1, np.int64))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    data = FeatureCache.create(folder / "cache").create_dataset("synthetic")
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(
        {
            "text": [" ".join(rng.choice(WORDS, rng.integers(5, 40))) for _ in range(ROWS)],
            "mode": rng.choice(["train", "valid", "test"], ROWS),
            "speaker": [f"speaker {number}" for number in rng.integers(0, 900, ROWS)],
            "label": rng.integers(-15, 16, ROWS) / 5,
            "label_T": rng.normal(size=ROWS),
        },
        index=pd.Index([f"video{row // 7:05}$_${row % 7}" for row in range(ROWS)], name="id"),
    )
    labels.iloc[17_123, 0] = "only this clip says Zwetschgenkuchen"
    write_labels(data.path, labels)
    facts = gather(FeatureCache(folder / "cache"))
    # Spoken as of a feature set, so that the table has its columns.
    write_site(folder / "site", cache_pages(Site("synthetic"), facts, (), said=spoken_of(facts)))
    return folder / "site"


def opened(page: Page, site: Path) -> Page:
    page.goto((site / "clips.html").as_uri())
    page.wait_for_selector("#table[data-ready]")
    return page


def first_ids(page: Page, count: int = 5) -> list[str]:
    return page.locator("#table .tabulator-row .id").all_inner_texts()[:count]


def test_25000_rows_answer_at_once(browser_page: Page, many: Path) -> None:
    page = opened(browser_page, many)
    took: dict[str, float] = {}

    def time(what: str, *event: str | None) -> None:
        for tried in range(MOST_TRIES):
            took[what] = min(took.get(what, float("inf")), page.evaluate(UNTIL_PAINTED, event))
            if tried >= 2 and took[what] < ANSWER_MILLISECONDS:
                break

    for query in ("film", "great ending", "video00123", "zwetschgen", "no clip says this", ""):
        time(f"search {query!r}", "#search", "input", query)
    headings = page.locator("#table .tabulator-col")
    fields = [headings.nth(place).get_attribute("tabulator-field") for place in range(headings.count())]
    for field in fields:
        selector = f"#table .tabulator-col[tabulator-field={field}] button"
        time(f"sort by {page.locator(selector).inner_text()}", selector, "click", None)
    print(json.dumps(took, indent=1))
    assert len(fields) >= 10
    slow = {what: milliseconds for what, milliseconds in took.items() if milliseconds >= ANSWER_MILLISECONDS}
    assert not slow, f"milliseconds: {slow}"


def test_search_finds_what_is_there(browser_page: Page, many: Path) -> None:
    page = opened(browser_page, many)
    page.keyboard.press("/")
    page.keyboard.type("ZWETSCHGEN")
    assert page.locator("#found").inner_text() == "1 of 25,000 clips"
    assert first_ids(page) == [f"video{17_123 // 7:05}$_${17_123 % 7}"]
    page.locator("#search").fill("nothing says this")
    assert page.locator("#found").inner_text() == "0 of 25,000 clips"
    page.locator("#search").fill("")
    assert page.locator("#found").inner_text() == "25,000 of 25,000 clips"


def test_sorting_orders_all_rows_and_keeps_the_unknown_last(browser_page: Page, many: Path) -> None:
    page = opened(browser_page, many)
    values = page.evaluate("Object.fromEntries(SADGR.data.clips.columns.map((one) => [one.title, one.values]))")
    ids = page.evaluate("SADGR.data.clips.ids")
    heading = page.locator("#table .tabulator-col", has_text="confidence")
    field = heading.get_attribute("tabulator-field")
    for direction in ("descending", "ascending"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == direction
        known = [row for row in range(ROWS) if values["confidence"][row] is not None]
        known.sort(key=lambda row: values["confidence"][row], reverse=direction == "descending")
        assert first_ids(page) == [ids[row] for row in known[:5]]
        page.evaluate("document.querySelector('.tabulator-tableholder').scrollTop = 1e9")
        page.wait_for_function("document.querySelector('.tabulator-tableholder').scrollTop > 100000")
        page.wait_for_timeout(100)
        last = page.locator("#table .tabulator-row").last
        assert last.locator(f"[tabulator-field={field}] bdi").inner_text() == ""
        page.evaluate("document.querySelector('.tabulator-tableholder').scrollTop = 0")
        page.wait_for_timeout(100)
    # Numbers within ids sort as numbers do, and search and order work together.
    page.locator("#search").fill("video00001$")
    page.locator("#table .tabulator-col[tabulator-field=id] button").click()
    assert first_ids(page, 9) == [f"video00001$_${part}" for part in range(7)]


def test_keys_walk_through_the_rows(browser_page: Page, many: Path) -> None:
    page = opened(browser_page, many)
    focused = "document.activeElement.textContent"
    page.keyboard.press("j")
    page.wait_for_function(f"{focused} === 'video00000$_$0'")
    for _ in range(60):
        page.keyboard.press("j")
    page.wait_for_function(f"{focused} === 'video00008$_$4'")
    page.keyboard.press("k")
    page.wait_for_function(f"{focused} === 'video00008$_$3'")
    page.keyboard.press("/")
    page.keyboard.type("jk")  # typed, not walked
    assert page.locator("#search").input_value() == "jk"


@pytest.fixture(scope="module")
def few(planted_cache: FeatureCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "site"
    facts = gather(planted_cache)
    write_site(folder, cache_pages(Site("planted"), facts, list(facts.labels.index)))
    return folder


def test_hostile_ids_and_transcripts_are_text(browser_page: Page, few: Path, hostile: dict[str, str]) -> None:
    page = opened(browser_page, few)
    shown = page.locator("#table .tabulator-row .id").all_inner_texts()
    assert shown[:3] == ["video$_$1", hostile["script"], hostile["right to left"]]
    transcripts = page.locator("#table .tabulator-row [tabulator-field=c1] bdi").all_inner_texts()
    assert transcripts[1:4] == [hostile["image"], hostile["right to left"], hostile["long"][:120]]
    assert page.locator("#table script, #table img").count() == 0
    assert page.evaluate("window.hacked") is None
    page.locator("#search").fill("onerror")
    assert page.locator("#found").inner_text() == "1 of 6 clips"
    # A name written from right to left turns nothing around it: its row is as wide and high as others.
    page.locator("#search").fill("")
    heights = {round(row.bounding_box()["height"]) for row in page.locator("#table .tabulator-row").all()}
    assert len(heights) == 1


def test_every_row_leads_to_its_clips_page(browser_page: Page, few: Path) -> None:
    page = opened(browser_page, few)
    ids = page.evaluate("SADGR.data.clips.ids")
    for place, clip_id in enumerate(ids):
        opened(page, few)
        for _ in range(place + 1):
            page.keyboard.press("j")
        page.wait_for_function("(id) => document.activeElement.textContent === id", arg=clip_id)
        page.keyboard.press("Enter")
        page.wait_for_url("**/clip/*.html")
        assert page.locator("h1").inner_text() == clip_id
