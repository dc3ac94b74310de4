"""Screenshots of the reports for the documentation, from what `make demo` leaves: `.venv/bin/python scripts/screenshots.py`.

It writes both reports of the demo's synthetic clips into build/reports, and a picture a page into docs/pictures.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

DEMO, REPORTS, PICTURES = Path("build/demo"), Path("build/reports"), Path("docs/pictures")
PROGRAMS = Path(sys.executable).parent


def main() -> None:
    """Write reports and pictures."""
    cache, run = DEMO / "cache", DEMO / "run"
    choice = ("--dataset", "synthetic-demo")
    of_cache, of_run = REPORTS / "cache", REPORTS / "run"
    subprocess.run([PROGRAMS / "sadgr-cache", "report", cache, "-o", of_cache, *choice], check=True)
    other = REPORTS / "no-gate"
    subprocess.run([PROGRAMS / "sadgr-train", "fit", cache, other, "--gate", "none", *choice], check=True)
    subprocess.run([PROGRAMS / "sadgr-train", "report", run, cache, "-o", of_run, "--with", other, *choice], check=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
            for name, path in pages(of_cache, of_run).items():
                page.goto(path.resolve().as_uri())
                page.wait_for_timeout(700)  # plots are drawn and the waveform decoded
                page.screenshot(path=PICTURES / f"{name}-{scheme}.png")
        browser.close()


def pages(of_cache: Path, of_run: Path) -> dict[str, Path]:
    """Name -> the page that it shows."""
    return {
        "overview": of_cache / "index.html",
        "clips": of_cache / "clips.html",
        "clip": min((of_cache / "clip").glob("*.html")),
        "predictions": of_run / "predictions.html",
        "compared": of_run / "compared.html",
        "gate": min((of_run / "clip").glob("*.html")),
    }


if __name__ == "__main__":
    main()
