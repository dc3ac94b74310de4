"""A study's units as trials of Ray Tune: the same files as without it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sadgr.cache import ClipFeatures
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.errors import Interrupted
from sadgr.train.request import FitRequest
from sadgr.train.studies.processes import local_engine
from sadgr.train.studies.ray_tune import ray_engine
from sadgr.train.studies.runner import run_study
from sadgr.train.studies.variations import Variation

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]


def quiet(_: str) -> None:
    pass


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadgr.cache.ray_session.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["sweep", str(tmp_path), str(tmp_path / "run"), "--engine", "ray"])
    assert result.exit_code == 2 and 'needs ray, which is not installed: pip install "sadgr[ray]"' in " ".join(
        result.stderr.split()
    )


def test_an_address_for_ray_s_client_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    asked = ["sweep", str(tmp_path), str(tmp_path / "run"), "--engine", "ray", "--address", "ray://head:10001"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 2 and "name a cluster by HOST:PORT" in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.fixture
def two_cpus() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
def test_tune_s_trials_leave_what_local_ones_leave(
    labelled: Labelled, write_cache: Callable[..., Path], small: ModelConfig, tmp_path: Path
) -> None:
    cache = write_cache(*labelled(18))
    request = FitRequest(FitConfig(epochs=2, batch_size=8), small, (3, 4))
    variations = [
        Variation("full", "full model", request),
        Variation("no-gate", "without gate", replace(request, model=replace(small, gate="none"))),
        Variation("wild", "wild", replace(request, config=replace(request.config, learning_rate=1e30))),
    ]
    here = run_study("both", cache, tmp_path / "here", variations, local_engine(1), lambda: False, quiet)
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    engine = ray_engine(None, (cache, tmp_path), None)
    with pytest.raises(Interrupted, match="start the same command again"):
        run_study("both", cache, tmp_path / "tune", variations, engine, stop, quiet)
    lines: list[str] = []
    there = run_study("both", cache, tmp_path / "tune", variations, engine, lambda: False, lines.append)
    assert here == there and list(there) == ["wild"] and "training diverged" in there["wild"]
    assert any(line.endswith("no-gate, seed 4: done") for line in lines)
    held = [
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "here", tmp_path / "tune")
    ]
    assert held[0].keys() == held[1].keys()
    assert [name for name in held[0] if held[0][name] != held[1][name]] == []
