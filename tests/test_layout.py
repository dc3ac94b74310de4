"""The rooms of the house: who may import whom, and what must not reach --help."""

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "align": {"align"},
    "cache": {"cache"},
    "extract": {"extract", "align", "cache"},
    "train": {"train", "cache"},
}
HEAVY = {"torch", "transformers", "pandas", "h5py", "av", "matplotlib", "sklearn", "pocketsphinx", "praatio"}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, wherever in it, with the line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: name the package in full"
            yield node.lineno, node.module or ""


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_point_one_way(package: str) -> None:
    assert files(package)
    for file in files(package):
        for line, module in imports(file):
            where = f"{file.relative_to(ROOT)}:{line}"
            first, *rest = module.split(".")
            assert first not in MAY_IMPORT, f"{where} imports {module!r}; write sadgr.{module}"
            if first == "sadgr":
                assert rest and rest[0] in MAY_IMPORT[package], f"{where}: {package}/ may not import {module}"
            assert not (package == "cache" and first in {"torch", "transformers"}), (
                f"{where}: cache/ works without torch"
            )


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "scripts"])
def test_nobody_imports_by_folder_name(folder: str) -> None:
    for file in files(folder):
        for line, module in imports(file):
            assert module.split(".")[0] not in MAY_IMPORT, f"{file.relative_to(ROOT)}:{line} imports {module!r}"


def test_the_rule_finds_what_it_forbids(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("def f():\n    from sadgr.train import x\nimport cache.store\n")
    assert set(imports(file)) == {(2, "sadgr.train"), (3, "cache.store")}


def test_every_folder_of_a_package_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(["sadgr", *file.parent.relative_to(ROOT).parts]) for package in MAY_IMPORT for file in files(package)
    }
    assert listed == found


def commands() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    return [line.split("=")[1].strip() for line in lines if line]


@pytest.mark.parametrize("entry", commands())
def test_help_waits_for_nothing_heavy(entry: str) -> None:
    module, _, function = entry.partition(":")
    code = (
        "import sys, click\n"
        f"from {module} import {function} as command\n"
        "names = [[name] for name in getattr(command, 'commands', {})] or [[]]\n"
        "for arguments in [[], *names]:\n"
        "    try: command([*arguments, '--help'])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        f"print('HEAVY', *sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1].split() == ["HEAVY"]
    assert "Usage:" in told.stdout
