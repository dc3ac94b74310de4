"""A clip's page in a real browser: opened from disk, as a reader of a report does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sadgr.cache import FeatureCache
from sadgr.cache.report import Site, cache_pages, clip_path, gather, write_site

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>\u202egnp.exe"
CURSOR = "document.getElementById('cursor').getAttribute('aria-valuenow')"


def write_report(cache: Path, out: Path, sections: Any = lambda _: ()) -> Path:
    facts = gather(FeatureCache(cache))
    write_site(out, cache_pages(Site("t"), facts, facts.data.ids(), sections=sections))
    return out


def open_page(page: Page, out: Path, clip_id: str) -> None:
    page.goto((out / clip_path(clip_id)).as_uri())


def cursor(page: Page) -> float:
    return float(page.evaluate(CURSOR))


def until(page: Page, condition: str, seconds: float = 10) -> None:
    """Wait by asking again: the page's policy forbids the eval by which Playwright would wait inside it."""
    for _ in range(round(seconds / 0.02)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"not so within {seconds} s: {condition}")


@pytest.fixture
def report(recorded: Callable[..., Any], tmp_path: Path) -> Path:
    return write_report(recorded().cache, tmp_path / "report")


def test_a_click_on_a_word_moves_the_cursor_to_its_start_and_plays_it(
    browser_page: Page, report: Path, planting
) -> None:
    open_page(browser_page, report, "b")
    expect(browser_page.locator(".word")).to_have_count(4)
    browser_page.evaluate(
        "window.seen = []; document.getElementById('sound').addEventListener('seeking', (e) => seen.push(e.target.currentTime))"
    )
    browser_page.evaluate(
        "window.played = 0; document.getElementById('sound').addEventListener('playing', () => played += 1)"
    )
    for place in (3, 1):
        browser_page.locator(".word").nth(place).click()
        until(browser_page, "played > 0 && document.getElementById('sound').paused")
        assert browser_page.evaluate("seen[0]") == pytest.approx(planting.starts[place], abs=1e-3)
        # After the word the cursor stands at its start again.
        assert cursor(browser_page) == pytest.approx(planting.starts[place], abs=1e-9)
        assert browser_page.evaluate("document.getElementById('sound').currentTime") == pytest.approx(
            planting.starts[place], abs=1e-3
        )
        expect(browser_page.locator(".word.now")).to_have_text(planting.words[place])
        browser_page.evaluate("seen = []; played = 0")


def test_space_plays_and_pauses(browser_page: Page, report: Path) -> None:
    open_page(browser_page, report, "a")
    browser_page.keyboard.press("Space")
    until(browser_page, f"Number({CURSOR}) > 0.2")
    expect(browser_page.locator("#play")).to_have_text("Pause")
    browser_page.keyboard.press("Space")
    expect(browser_page.locator("#play")).to_have_text("Play")
    assert 0.2 < cursor(browser_page) <= 2.1


def test_j_and_k_go_to_the_neighbours(browser_page: Page, report: Path) -> None:
    open_page(browser_page, report, "a")
    browser_page.keyboard.press("j")
    browser_page.wait_for_url((report / clip_path("b")).as_uri())
    browser_page.keyboard.press("j")
    browser_page.wait_for_url((report / clip_path("c")).as_uri())
    browser_page.keyboard.press("j")  # the last one: nothing further
    browser_page.keyboard.press("k")
    browser_page.wait_for_url((report / clip_path("b")).as_uri())
    expect(browser_page.locator("h1")).to_have_text("b")


def test_lanes_share_one_axis(browser_page: Page, report: Path, planting) -> None:
    """Words, frames, waveform and spectrogram lie where their times say, within a pixel."""
    open_page(browser_page, report, "a")
    tracks = browser_page.locator("#tracks").bounding_box()
    length = float(browser_page.locator("#tracks").get_attribute("data-seconds"))
    assert length == pytest.approx(planting.seconds, abs=0.1)
    for place, (start, end) in enumerate(zip(planting.starts, planting.ends, strict=True)):
        box = browser_page.locator(".word").nth(place).bounding_box()
        assert box["x"] - tracks["x"] == pytest.approx(start / length * tracks["width"], abs=1)
        assert box["width"] == pytest.approx((end - start) / length * tracks["width"], abs=1.5)
    for place, at in enumerate((0.0, 0.5, 1.0, 1.5)):
        box = browser_page.locator(".frame").nth(place).bounding_box()
        assert box["x"] - tracks["x"] == pytest.approx(at / length * tracks["width"], abs=1)
    assert browser_page.locator("#spectrogram").bounding_box()["width"] == pytest.approx(tracks["width"], abs=1)
    assert browser_page.locator("#spectrogram").evaluate("image => image.complete && image.naturalWidth") > 100
    assert browser_page.locator("#wave canvas").count() > 0
    assert browser_page.locator(".curve canvas").count() == 2


def test_a_click_on_a_lane_and_the_arrow_keys_move_the_cursor(browser_page: Page, report: Path) -> None:
    open_page(browser_page, report, "a")
    box = browser_page.locator(".lane.spectrogram").bounding_box()
    length = float(browser_page.locator("#tracks").get_attribute("data-seconds"))
    browser_page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 60)
    assert cursor(browser_page) == pytest.approx(0.75 * length, abs=length / box["width"])
    browser_page.locator("#cursor").focus()
    before = cursor(browser_page)
    browser_page.keyboard.press("ArrowLeft")
    assert cursor(browser_page) == pytest.approx(before - 0.1)
    browser_page.keyboard.press("Home")
    assert cursor(browser_page) == 0


def test_zoom_widens_the_time_line_and_keeps_words_at_their_times(browser_page: Page, report: Path, planting) -> None:
    open_page(browser_page, report, "a")
    narrow = browser_page.locator("#tracks").bounding_box()["width"]
    for _ in range(4):
        browser_page.locator("#wider").click()
    wide = browser_page.locator("#tracks").bounding_box()
    length = float(browser_page.locator("#tracks").get_attribute("data-seconds"))
    assert wide["width"] > 2 * narrow
    box = browser_page.locator(".word").nth(3).bounding_box()
    assert box["x"] - wide["x"] == pytest.approx(planting.starts[3] / length * wide["width"], abs=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hostile_text_is_text(browser_page: Page, recorded: Callable[..., Any], tmp_path: Path, scheme: str) -> None:
    texts = (HOSTILE, "שלום", "x" * 10_000, "&lt;b&gt;")
    transcript = " ".join(texts)
    out = write_report(
        recorded(ids=(HOSTILE, "b"), texts=texts, transcript=transcript).cache,
        tmp_path / "report",
        lambda _: (
            {"title": HOSTILE, "kind": "text", "text": HOSTILE},
            {
                "title": "t",
                "kind": "table",
                "columns": [HOSTILE],
                "rows": [[HOSTILE], [{"text": HOSTILE, "href": "index.html"}], [1.5], [None]],
            },
            {
                "title": "c",
                "kind": "curve",
                "unit": HOSTILE,
                "series": [{"name": HOSTILE, "seconds": [0.1, 0.2], "values": [1.0, None]}],
            },
        ),
    )
    browser_page.emulate_media(color_scheme=scheme)
    open_page(browser_page, out, HOSTILE)
    assert browser_page.locator(".clip-id").text_content() == HOSTILE
    assert browser_page.locator("#transcript bdi").text_content() == transcript
    assert browser_page.locator(".word bdi").all_text_contents() == list(texts)
    browser_page.locator(".word").nth(0).click()
    assert HOSTILE in browser_page.locator("#at").text_content()
    assert browser_page.locator("img[src=x], script:not([src])").count() == 0
    assert browser_page.title() == f"{HOSTILE} · t"
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page itself scrolls sideways"
    )


def test_a_clip_whose_media_are_gone_still_shows_words_and_features(
    browser_page: Page, recorded: Callable[..., Any], tmp_path: Path
) -> None:
    made = recorded()
    made.video.unlink()
    out = write_report(made.cache, tmp_path / "report")
    open_page(browser_page, out, "a")
    assert "no such file any more" in browser_page.locator("[data-fault]").first.text_content()
    assert browser_page.locator("audio, .frame, #wave").count() == 0
    browser_page.locator(".word").nth(1).click()
    assert cursor(browser_page) == 0.75
    assert browser_page.locator(".curve canvas").count() == 2


def test_it_can_be_used_on_a_narrow_screen(browser_page: Page, report: Path) -> None:
    browser_page.set_viewport_size({"width": 390, "height": 800})
    open_page(browser_page, report, "a")
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page itself scrolls sideways"
    )
    assert browser_page.locator("#tracks").bounding_box()["width"] <= 390
