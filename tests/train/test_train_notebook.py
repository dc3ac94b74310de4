"""A run in a notebook: its table holds the run's own scores, its figure the run's predictions."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sadgr.cache import ClipFeatures
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.errors import TrainError
from sadgr.train.export import export_run
from sadgr.train.jobs import run_fit
from sadgr.train.notebook import Run
from sadgr.train.report import read_run
from sadgr.train.request import FitRequest


@pytest.fixture
def fitted(
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    write_cache: Callable[..., Path],
    small: ModelConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    for name in ("write_figure", "write_reports"):  # they take most of a small run's time
        monkeypatch.setattr(f"sadgr.train.jobs.{name}", lambda *_: None)
    clips, labels = labelled(18)
    labels["<b>mood</b>"] = np.where(labels["label"] > 0, "glad", "calm")
    cache = write_cache(clips, labels)

    def fit(**other: object) -> Path:
        request = replace(FitRequest(FitConfig(epochs=1, batch_size=8), small, (1, 2)), **other)
        run_fit(cache, tmp_path / "run", request, lambda: False, lambda _: None)
        return tmp_path / "run"

    return fit


def test_the_table_holds_the_run_s_scores(fitted: Callable[..., Path]) -> None:
    run = Run(fitted())
    table = run._repr_html_()
    assert "seeds 1, 2" in repr(run) and "synthetic" in repr(run)
    assert re.findall(r"<th scope='col'>([^<]*)</th>", table) == ["score", *run.metrics["splits"]]
    cells = re.search(r"<th scope='row'>MAE</th>(.*?)</tr>", table)
    assert cells is not None
    for cell, scores in zip(re.findall("<td>(.*?)</td>", cells[1]), run.metrics["splits"].values(), strict=True):
        one = scores["MAE"]
        assert cell == f"{one['mean']:.4f} [{one['low']:.4f}, {one['high']:.4f}]"
    assert "<th scope='row'>N</th>" in table and "<td>3</td>" in table


def test_the_figure_holds_the_run_s_predictions(fitted: Callable[..., Path]) -> None:
    run = Run(fitted())
    figure = run.plot()
    found = read_run(run.folder).splits["test"]
    (axes,) = figure.axes
    points = next(one for one in axes.collections if len(one.get_offsets()) == len(found.ids))
    expected = np.stack([found.target[:, 0].numpy(), found.outputs[..., 0].mean(dim=0).numpy()], axis=1)
    np.testing.assert_allclose(np.asarray(points.get_offsets()), expected, atol=1e-6)
    assert "test split, N = 3, seeds: 2" in axes.get_title()
    assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(TrainError, match="no split dev"):
        run.plot("dev")


def test_classes_are_drawn_as_a_table_of_confusion(fitted: Callable[..., Path]) -> None:
    run = Run(fitted(target="<b>mood</b>"))
    counts = [int(text.get_text()) for text in run.plot("train").axes[0].texts]
    assert len(counts) == 4 and sum(counts) == 2 * 12  # clips of train, twice
    assert "<b>mood" not in run._repr_html_() and "&lt;b&gt;mood" in run._repr_html_()


def test_what_is_no_finished_run_is_named(fitted: Callable[..., Path], tmp_path: Path) -> None:
    run = fitted()
    export_run(run, tmp_path / "given")
    assert Run(tmp_path / "given").metrics == Run(run).metrics
    with pytest.raises(TrainError, match="keeps no predictions"):
        Run(tmp_path / "given").plot()
    (run / "metrics.json").unlink()
    with pytest.raises(TrainError, match="unfinished"):
        Run(run)
    with pytest.raises(TrainError, match=r"config\.json is missing"):
        Run(tmp_path / "nothing")
