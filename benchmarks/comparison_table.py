"""Put the table of a comparison (`sadgr-train compare`) into docs/comparison.md, between the markers of its name.

`python benchmarks/comparison_table.py demo build/demo/compare`
"""

import argparse
import csv
import re
from pathlib import Path

from sadgr.cache.publish import replace as replace_file
from sadgr.train.checkpoint import read_json

PAGE = Path(__file__).parents[1] / "docs" / "comparison.md"
SADGR = "SADGR"
SURE = 0.05
Cells = dict[str, str]


def main() -> None:
    """Read, and write the page anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the place in the page, such as demo")
    parser.add_argument("run", type=Path, help="folder of sadgr-train compare")
    options = parser.parse_args()
    into_page(options.name, options.run)


def into_page(name: str, run: Path, page: Path = PAGE) -> None:
    """Replace what stands between a name's markers.

    Args:
        name: The markers' name.
        run: Folder of a comparison that learned sentiment as a number.
        page: The page.

    Raises:
        ValueError: It has no such markers.
    """
    begin, end = f"<!-- begin: {name} -->\n", f"\n<!-- end: {name} -->"
    text, found = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: begin + table(run) + end,
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if not found:
        raise ValueError(f"{page} has no lines {begin.strip()!r} and {end.strip()!r}")
    replace_file(page, text.encode())


def table(run: Path) -> str:
    """Markdown of RUN/compare.csv: best first, what it answers, and what must be known."""
    with (run / "compare.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["MAE"]))
    told = read_json(run / "compare.json")
    titles = [
        "model", "MAE", "Corr", "Acc-2 (-/+)", "F1 (-/+)", "MAE less SADGR's [95 %]", "p (Holm)", "parameters", "s an epoch",
        "ms a clip", "peak MB",
    ]  # fmt: skip
    lines = [_line(titles), "|---|" + "---:|" * (len(titles) - 1), *(_line(_cells(row)) for row in rows)]
    first = rows[0]
    what = (
        f"**Synthetic data**: {first['dataset']}, {told['split']} split, N = {first['N']}; seeds: {first['seeds']}, mean ± standard "
        "deviation over them."
    )
    return "\n\n".join([what, "\n".join(lines), answer(rows), "\n".join(f"- {note}" for note in told["notes"])])


def answer(rows: list[Cells]) -> str:
    """Say who wins, and which differences from SADGR are more than the choice of clips explains."""
    sure = [row for row in rows if row["p_holm"] and float(row["p_holm"]) < SURE]
    better, worse = (
        [row["model"] for row in sure if (float(row["difference"]) < 0) == is_better] for is_better in (True, False)
    )
    rivals = [row["model"] for row in rows if row["model"] != SADGR]
    alike = [name for name in rivals if name not in (*better, *worse)]
    return (
        f"Lowest MAE: **{rows[0]['model']}**. With p (Holm) below {SURE}, better than SADGR: {_listed(better)}; worse: "
        f"{_listed(worse)}; neither: {_listed(alike)}."
    )


def _cells(row: Cells) -> list[str]:
    def spread(key: str) -> str:
        return "undefined" if not row[key] else f"{float(row[key]):.3f} ± {float(row[f'{key}_std']):.3f}" if row[f"{key}_std"] else f"{float(row[key]):.3f}"  # fmt: skip

    def number(key: str, form: str, scale: float = 1.0) -> str:
        return format(float(row[key]) / scale, form) if row[key] else ""

    interval = [number(key, "+.3f") for key in ("difference", "difference_low", "difference_high")]
    return [
        row["model"],
        *(spread(key) for key in ("MAE", "Corr", "Non0_acc_2", "Non0_F1_score")),
        f"{interval[0]} [{interval[1]}, {interval[2]}]" if interval[0] else "",
        number("p_holm", ".4f"),
        number("parameters", ",.0f"),
        number("epoch_seconds", ".3g"),
        number("clip_milliseconds", ".3g"),
        number("peak_bytes", ",.0f", 1e6),
    ]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    main()
