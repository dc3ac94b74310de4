"""A run's report in a real browser: what the pages show is what was computed, and hostile text stays text."""

import math
from pathlib import Path

import pytest
from playwright.sync_api import Page

from sadgr.cache.report import clip_path
from sadgr.train.apply import run_predict
from sadgr.train.opened import Source, open_run
from sadgr.train.significance import compare_runs
from sadgr.train.studies.gate_curve import gate_curve
from sadgr.train.studies.timed_clip import timed_clip
from tests.train.report_site.made import HOSTILE, HOSTILE_TEXT, Made, silent

SERIES = {
    "gate": "mean",
    "lower quartile of dimensions": "lower_quartile",
    "upper quartile of dimensions": "upper_quartile",
    "lowest seed": "low",
    "highest seed": "high",
}
CELLS = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"


def opened(page: Page, made: Made, path: str) -> Page:
    page.goto((made.site / path).as_uri())
    return page


def test_every_page_opens_from_disk(browser_page: Page, made: Made) -> None:
    pages = sorted(path.relative_to(made.site).as_posix() for path in made.site.rglob("*.html"))
    assert len([one for one in pages if one.startswith("clip/")]) == 4  # those of the test split
    assert {"index.html", "clips.html", "predictions.html", "compared.html"} <= set(pages)
    for path in pages:
        opened(browser_page, made, path).wait_for_load_state("load")
        assert "synthetic data" in browser_page.title(), path
        titles = browser_page.locator("header nav a").all_inner_texts()
        assert titles == ["Overview", "Clips", "Predictions", "Runs compared"], path


def test_the_gate_s_curve_in_the_page_is_the_model_s(browser_page: Page, made: Made) -> None:
    run = open_run(made.run, Source(made.cache), silent)
    timed = timed_clip(run.data, run.selection, HOSTILE, run.widths)
    curve = gate_curve(run.models, timed)
    page = opened(browser_page, made, clip_path(HOSTILE))
    page.wait_for_load_state("load")
    for title, name in SERIES.items():
        rows = page.locator(f"table.values[data-series='{title}'] tbody tr").evaluate_all(CELLS)
        seconds = [float(row[0]) for row in rows]
        values = [math.nan if row[1] in ("", "None") else float(row[1]) for row in rows]
        assert seconds == curve.seconds.tolist()
        for value, expected in zip(values, getattr(curve, name).tolist(), strict=True):
            assert value == expected or (math.isnan(value) and math.isnan(expected)), title
    own = page.locator('table.values[data-series="the clip\'s one gate"] tbody tr').evaluate_all(CELLS)
    assert [float(row[1]) for row in own] == [curve.clip_gate] * 2
    drawn = page.evaluate("SADGR.data.clip.curves.find(one => one.unit.startsWith('gate')).series[0].values")
    assert [math.nan if value is None else value for value in drawn] == pytest.approx(
        curve.mean.tolist(), abs=0, nan_ok=True
    )


def test_a_clip_s_prediction_is_predict_s(browser_page: Page, made: Made) -> None:
    rows = {row["clip_id"]: row for row in run_predict(made.run, Source(made.cache), silent)[0]}
    page = opened(browser_page, made, clip_path(HOSTILE))
    cells = page.locator("section:has(h2 bdi:text-is('Prediction')) tbody tr").evaluate_all(CELLS)
    told = dict(cells)
    row = rows[HOSTILE]
    assert float(told["prediction"]) == row["prediction"] and told["polarity"] == row["polarity"]
    assert (float(told["lowest seed"]), float(told["highest seed"])) == (row["low"], row["high"])
    assert float(told["gate, mean over its dimensions"]) == row["gate_mean"]


def test_neighbours_lead_to_their_pages(browser_page: Page, made: Made) -> None:
    page = opened(browser_page, made, clip_path(HOSTILE))
    section = page.locator("section:has(h2 bdi:text-is('Nearest in the aligned space'))")
    cells = section.locator("tbody tr").evaluate_all(CELLS)
    assert len(cells) == 10
    for half in (cells[:5], cells[5:]):
        cosines = [float(row[3]) for row in half]
        assert cosines == sorted(cosines, reverse=True) and -1 <= min(cosines) <= max(cosines) <= 1
    for link in section.locator("a").all():
        target = link.evaluate("one => one.href")
        assert Path(page.evaluate("url => decodeURIComponent(new URL(url).pathname)", target)).is_file()


def test_errors_are_listed_the_worst_first(browser_page: Page, made: Made) -> None:
    rows = {row["clip_id"]: row for row in run_predict(made.run, Source(made.cache), silent)[0]}
    page = opened(browser_page, made, "predictions.html")
    found = page.locator("#worst tbody tr").evaluate_all("rows => rows.map(row => ({...row.dataset}))")
    errors = [float(row["error"]) for row in found]
    assert len(found) == 4 and errors == sorted(errors, reverse=True)
    for row in found:
        if row["clip"] in rows:
            assert float(row["prediction"]) == rows[row["clip"]]["prediction"]
        assert float(row["error"]) == pytest.approx(abs(float(row["prediction"]) - float(row["truth"])), abs=1e-6)
    page.locator(f"#worst tr[data-clip='{HOSTILE}'] a").click()
    assert page.locator("h1").inner_text() == HOSTILE
    page.keyboard.press("j")
    page.wait_for_url("**/clip/v3*")


def test_the_pointer_tells_a_point_and_a_click_opens_it(browser_page: Page, made: Made) -> None:
    page = opened(browser_page, made, "predictions.html")
    page.wait_for_selector("#scatter-plots[data-ready]")
    points = made.data("predictions", "scatter")
    (panel,) = points["panels"]
    place = points["ids"].index(HOSTILE)
    over = page.locator("#scatter-plots .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None

    def padded(values: list[float]) -> tuple[float, float]:
        room = (max(values) - min(values) or 1) * 0.05
        return min(values) - room, max(values) + room

    (left, right), (bottom, top) = padded(panel["x"]), padded(panel["y"])
    x = box["x"] + box["width"] * (panel["x"][place] - left) / (right - left)
    y = box["y"] + box["height"] * (top - panel["y"][place]) / (top - bottom)
    page.mouse.move(x, y)
    readout = page.locator("#scatter-plots .readout")
    page.wait_for_function("() => document.querySelector('#scatter-plots .readout').textContent !== ''")
    assert readout.inner_text().startswith(f"{HOSTILE}: truth ")
    page.mouse.click(x, y)
    page.wait_for_url("**/clip/**")
    assert page.locator("h1").inner_text() == HOSTILE


def test_plots_are_drawn_in_light_and_dark(browser_page: Page, made: Made) -> None:
    page = opened(browser_page, made, "predictions.html")
    page.wait_for_selector("#scatter-plots[data-ready]")
    ink = "() => [...document.querySelectorAll('canvas')].map(one => new Set(one.getContext('2d').getImageData(0, 0, one.width, one.height).data).size)"
    assert all(colours > 8 for colours in page.evaluate(ink)) and page.locator("canvas").count() == 2
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => getComputedStyle(document.body).backgroundColor === 'rgb(20, 22, 26)'")
    assert all(colours > 8 for colours in page.evaluate(ink)) and page.locator("canvas").count() == 2


def test_counts_keep_their_contrast_on_the_deepest_tint(browser_page: Page, made: Made) -> None:
    page = opened(browser_page, made, "predictions.html")
    measured = """() => {
      const cell = document.querySelector(".confusion td");
      cell.className = "number heat-10";
      const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
      const light = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
          .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const style = getComputedStyle(cell);
      const [low, high] = [light(style.color), light(style.backgroundColor)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    }"""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate(measured) >= 4.5, scheme


def test_runs_stand_beside_each_other(browser_page: Page, made: Made) -> None:
    page = opened(browser_page, made, "compared.html")
    row = page.locator("#compared tr[data-metric=MAE]")
    _, found = compare_runs(made.run, made.other, "test", "MAE", 1111)
    means = row.locator("[data-mean]").evaluate_all("cells => cells.map(cell => Number(cell.dataset.mean))")
    assert means == pytest.approx([found.first, found.second], abs=1e-6)
    assert float(str(row.locator("[data-difference]").get_attribute("data-difference"))) == found.difference
    assert float(str(row.locator("[data-p]").get_attribute("data-p"))) == found.p


def test_hostile_text_is_text(browser_page: Page, made: Made) -> None:
    page = opened(browser_page, made, "predictions.html")
    row = page.locator(f"#worst tr[data-clip='{HOSTILE}']")
    assert row.locator("th").inner_text() == HOSTILE
    shown = row.locator(".transcript").inner_text()
    assert HOSTILE_TEXT.startswith(shown.removesuffix("…")) and len(shown) == 201
    assert page.evaluate("document.querySelectorAll('script:not([src])').length") == 0
    page = opened(browser_page, made, clip_path(HOSTILE))
    assert HOSTILE_TEXT in page.locator("body").inner_text()
