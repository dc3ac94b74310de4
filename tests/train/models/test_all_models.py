"""Every model of the registry through the commands that a user types: fitted, interrupted and gone on with, asked for scores."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sadgr.cache import ClipFeatures
from sadgr.train.cli import main
from sadgr.train.config import MODEL_NAMES, FitConfig, ModelConfig, ModelName
from sadgr.train.errors import Interrupted
from sadgr.train.jobs import run_fit
from sadgr.train.request import FitRequest

pytestmark = pytest.mark.usefixtures("without_figures")

N_CLIPS, EPOCHS = 18, 3


@pytest.fixture(scope="module")
def cache(
    tmp_path_factory: pytest.TempPathFactory,
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    write_cache_into: Callable[..., Path],
) -> Path:
    return write_cache_into(tmp_path_factory.mktemp("models"), *labelled(N_CLIPS))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_model_is_fitted_gone_on_with_and_asked(
    name: ModelName,
    cache: Path,
    small: ModelConfig,
    tmp_path: Path,
    stop_after: Callable[[int], Callable[[], bool]],
) -> None:
    request = FitRequest(FitConfig(epochs=EPOCHS, batch_size=8, learning_rate=3e-3), small, (3,), name=name)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    (result,) = run_fit(cache, whole, request, lambda: False, lambda _: None)
    assert len(result.history) == (1 if name == "ridge" else EPOCHS)  # ridge regression has no epochs to stop between
    if name != "ridge":
        with pytest.raises(Interrupted):
            run_fit(cache, parts, request, stop_after(2), lambda _: None)
    run_fit(cache, parts, request, lambda: False, lambda _: None)
    assert contents(parts) == contents(whole)

    out = tmp_path / "scores.csv"
    told = CliRunner().invoke(main, ["predict", str(whole), str(cache), "-o", str(out)])
    assert told.exit_code == 0, told.stderr
    scores = pd.read_csv(out, index_col=0)
    kept = pd.read_csv(whole / "seed-3" / "predictions.csv", index_col=0)
    assert len(scores) == N_CLIPS
    pd.testing.assert_series_equal(
        scores["prediction"].reindex(kept.index), kept["prediction"], rtol=1e-5, atol=1e-6, check_names=False
    )
