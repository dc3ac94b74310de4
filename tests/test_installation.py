"""What a stranger gets: a wheel that installs, commands that start, and a demo that runs from a clean clone."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_wheel_installs_one_package_and_its_commands(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", ROOT, clone)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, clone)
    (wheel,) = tmp_path.glob("sadgr-*.whl")
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    assert not {"align", "cache", "extract", "train", "tests"} & {path.name for path in site.iterdir()}
    assert {path.name for path in (site / "sadgr").iterdir()} == {"align", "cache", "extract", "train"}
    assert (site / "sadgr/extract/py.typed").exists()
    # Its dependencies are this environment's; only the package itself is the wheel's.
    here = Path(run(sys.executable, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    (site / "beside.pth").write_text(f"{here}\n")
    for name in ("sadgr-extract", "sadgr-align", "sadgr-cache", "sadgr-train"):
        assert "Usage:" in run(tmp_path / "venv/bin" / name, "--help", cwd=tmp_path)


def test_make_demo_from_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", ROOT, clone)
    environment = {**os.environ, "SADGR_HOME": str(tmp_path / "home")}
    said = run("make", "demo", cwd=clone, env=environment)
    (scores,) = [line.split() for line in said.splitlines() if line.split()[1:3] == ["test", "12"]]
    assert scores[0] == "synthetic-demo" and len(scores) == 11 and float(scores[3]) > 0
    assert (clone / "build/demo/run/prediction.png").stat().st_size > 10_000
