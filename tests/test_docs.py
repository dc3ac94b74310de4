"""What the documentation shows is run."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sadgr.align import Aligner, Utterance

ROOT = Path(__file__).parents[1]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def test_the_aligner_of_ones_own_works() -> None:
    code, *_ = blocks("docs/alignment.md", "python")
    space: dict = {}
    exec(code, space)  # noqa: S102
    aligner: Aligner = space["MyAligner"]()
    sound = np.zeros(16000, np.float32)
    good, bad = aligner.align_all([Utterance("a", ("so", "it"), sound), Utterance("b", (), sound)])
    assert [word.start_seconds for word in good.words] == [0.0, 0.5] and bad.failure == "its transcript is empty"


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.slow
def test_the_tables_of_scaling_are_those_that_are_calculated() -> None:
    told = subprocess.run([sys.executable, ROOT / "benchmarks/scaling.py"], capture_output=True, text=True, check=True)
    document = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    for table in told.stdout.strip().split("\n\n"):
        assert table in document, table


@pytest.mark.parametrize(
    "document",
    ["README.md", "docs/alignment.md", "docs/method.md", "docs/scaling.md", "docs/sharing-a-cache.md"],
)
def test_options_that_are_named_exist(document: str) -> None:
    from sadgr.cache.cli import main as cache
    from sadgr.extract.align_cli import main as align
    from sadgr.extract.cli import main as extract
    from sadgr.train.cli import main as train

    commands = [align, extract, *cache.commands.values(), *train.commands.values()]
    known = {name for command in commands for one in command.params for name in one.opts}
    known |= {"--no-deps", "--index-url", "--single_speaker", "--cpus-per-task"}  # of other programs
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_0-9-]+", (ROOT / document).read_text(encoding="utf-8")))
    assert named <= known, named - known
