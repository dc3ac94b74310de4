"""The overview's numbers against a cache in which each is known, and its page in a browser."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from sadgr.cache import FeatureCache
from sadgr.cache.report import Facts, Site, Spoken, assets, gather, spoken
from sadgr.cache.report.build import cache_pages
from sadgr.cache.report.charts import chart
from sadgr.cache.report.facts import present_and_known
from sadgr.cache.report.overview import overview
from sadgr.cache.report.writing import write_site


@pytest.fixture(scope="module")
def facts(planted_cache: FeatureCache) -> Facts:
    return gather(planted_cache)


@pytest.fixture(scope="module")
def said(facts: Facts) -> Spoken:
    return spoken(facts)


def test_word_statistics_of_each_clip(said: Spoken) -> None:
    rows = said.clips
    assert rows["words"].tolist()[:5] == [2, 4, 1, 1, 0] and np.isnan(rows["words"].iloc[5])
    assert rows["seconds"].tolist()[:4] == [2.5, 4.0, 2.0, 3600.0]
    assert rows["rate"].tolist()[:4] == [1.0, 1.0, 1.0, 1 / 3600]  # from the first word's start, not from 0
    np.testing.assert_allclose(rows["score"].iloc[:3], [0.7, 0.5, 1.0], rtol=1e-6)
    assert np.isnan(rows["score"].iloc[3])  # its one word was interpolated: nothing is known, and 0 would be a lie
    assert rows["interpolated"].tolist()[:4] == [0, 1, 0, 1]
    assert np.isnan(rows.loc["without words", ["seconds", "rate", "score"]].astype(float)).all()


def test_confidence_is_counted_over_words_that_were_found(said: Spoken) -> None:
    # 0.8, 0.6, 0.9, 0.3, 0.3, 1.0 in bins of 0.05; stored as float32, 0.8, 0.6 and 0.3 lie just above their edges.
    assert said.scores.sum() == 6
    assert [int(said.scores[place]) for place in (6, 12, 16, 19)] == [2, 1, 1, 1 + (np.float32(0.9) > 0.95)]
    assert said.scores[17:19].sum() == 1  # 0.9


def test_totals_and_splits(facts: Facts, said: Spoken) -> None:
    about = overview(facts, said, ())
    assert about["totals"] == {
        "clips": 6,
        "speakers": 2,
        "timed_clips": 4,
        "hours": pytest.approx((2.5 + 4 + 2 + 3600) / 3600),
        "words": 8,
        "interpolated": 2,
    }
    assert [(row["split"], row["clips"], row["words"]) for row in about["splits"]] == [
        ("train", 3, 6),
        ("valid", 1, 1),
        ("test", 1, 1),
        ("without split", 1, 0),
    ]
    assert about["splits"][-1]["hours"] is None


def test_coverage_by_split_and_modality(facts: Facts, said: Spoken) -> None:
    found = overview(facts, said, ())["coverage"]
    assert found["splits"] == ["train", "valid", "test", "without split"]
    text, words = found["rows"]
    assert (text["modality"], words["modality"]) == ("text", "words")
    assert text["cells"][0] == {"present": 2, "absent": 1, "clips": 3}
    assert [cell["present"] for cell in text["cells"]] == [2, 0, 0, 0]
    assert [cell["present"] for cell in words["cells"]] == [3, 1, 1, 0]


def test_coverage_agrees_with_the_feature_sets_themselves(facts: Facts) -> None:
    for one in facts.feature_sets:
        present, known = present_and_known(facts, one)
        assert known.tolist() == [clip in one.entries() for clip in facts.labels.index]
        held = [clip in one.entries() and one.read(clip) is not None for clip in facts.labels.index]
        assert present.tolist() == held


def test_failures_by_reason_with_their_clips(facts: Facts, said: Spoken) -> None:
    text, words = overview(facts, said, ("fails",))["failures"]
    (kind,) = text["failed"]
    assert (kind["reason"], kind["clips"]) == ("no such file, N times tried", 2)
    assert dict(kind["examples"])["fails"] == "clip/fails.html"
    assert set(dict(kind["examples"]).values()) == {"clip/fails.html", None}
    assert (text["done"], text["absent"], text["left"]) == (2, 1, 1)
    assert words["flagged"] == 1 and words["left"] == 0


def test_disk_adds_up(facts: Facts, said: Spoken) -> None:
    rows = overview(facts, said, ())["disk"]
    everything = sum(path.stat().st_size for path in facts.cache.path.rglob("*") if path.is_file())
    mark = (facts.cache.path / "sadgr-cache.json").stat().st_size
    assert sum(row["bytes"] for row in rows) == everything - mark


def test_labels_are_counted_by_value_or_in_bins() -> None:
    few = chart("k", "t", np.array([1.0, -1.0, 1.0, np.nan]), "clips")
    assert few["names"] == ["-1", "1"] and few["counts"] == [1, 2]
    many = chart("k", "t", np.arange(1000) / 7, "clips")
    assert sum(many["counts"]) == 1000 and len(many["edges"]) == len(many["counts"]) + 1
    assert chart("k", "t", np.array([np.nan]), "clips")["counts"] == []


def test_a_data_set_without_features_says_so(tmp_path: Path, browser_page: Page) -> None:
    import pandas as pd

    from sadgr.cache import write_labels

    cache = FeatureCache.create(tmp_path / "cache")
    data = cache.create_dataset("bare")
    write_labels(data.path, pd.DataFrame({"text": ["a b"], "mode": ["train"]}, index=pd.Index(["one"], name="id")))
    facts = gather(cache)
    write_site(tmp_path / "site", cache_pages(Site("bare"), facts, ()))
    browser_page.goto((tmp_path / "site/index.html").as_uri())
    assert "no features yet" in browser_page.inner_text("main")
    assert browser_page.inner_text("#total-hours") == "unknown"  # and not 0.000
    browser_page.goto((tmp_path / "site/clips.html").as_uri())
    browser_page.wait_for_selector("#table[data-ready]")
    assert browser_page.locator("#table .id").all_inner_texts() == ["one"]


@pytest.fixture(scope="module")
def site(facts: Facts, said: Spoken, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overview") / "site"
    write_site(folder, cache_pages(Site("SADGR cache: planted & <b>"), facts, (), said=said))
    return folder


def test_the_page_shows_the_numbers_and_draws_the_charts(browser_page: Page, site: Path) -> None:
    page = browser_page
    page.goto((site / "index.html").as_uri())
    assert page.inner_text("#total-clips") == "6" and page.inner_text("#total-words") == "8"
    assert page.inner_text("h1") == "Overview of planted & <b>"
    cells = page.locator("#coverage tbody tr").first.locator("td").all_inner_texts()
    assert cells[1].strip() == "2 of 3, 1 lack it"
    assert page.locator(".chart canvas").count() == page.locator(".chart").count() == 4
    inked = page.evaluate(
        """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
          const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          const wanted = SADGR.colour('--series-1').match(/[0-9a-f]{2}/g).map((hex) => parseInt(hex, 16));
          let count = 0;
          for (let at = 0; at < pixels.length; at += 4) {
            if (wanted.every((value, channel) => Math.abs(pixels[at + channel] - value) < 3)) count += 1;
          }
          return count;
        })"""
    )
    assert min(inked) > 500, inked


def test_pointing_at_a_bar_tells_it_in_words(browser_page: Page, site: Path) -> None:
    page = browser_page
    page.goto((site / "index.html").as_uri())
    figure = page.locator(".chart", has_text="label").first
    over = figure.locator(".u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box
    told = set()
    for part in (0.15, 0.5, 0.85):
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
        page.wait_for_function("document.querySelector('.chart .readout').textContent !== ''")
        page.wait_for_timeout(50)
        told.add(figure.locator(".readout").inner_text())
    assert told == {"-1: 1 clip", "1: 3 clips", "2.5: 1 clip"}


def test_hostile_names_are_text(browser_page: Page, site: Path) -> None:
    page = browser_page
    page.goto((site / "index.html").as_uri())
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main i, main b, main img").count() == 0
    assert "<script>window.hacked = N</script>" in page.inner_text("#failures >> xpath=..")
    page.locator("summary", has_text="Settings").last.click()
    assert "<i>planted</i>" in page.inner_text("#sets >> xpath=..")


def test_every_static_file_is_in_the_site(site: Path) -> None:
    for file in assets(Site("x")):
        assert (site / file.path).read_bytes() == file.content
