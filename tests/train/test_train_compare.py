"""`compare` as a user runs it: rows, costs, significance, captions; what is left out, stopped and gone on with."""

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from sadgr.cache import ClipFeatures
from sadgr.train.checkpoint import read_json
from sadgr.train.cli import main
from sadgr.train.config import MODEL_NAMES, FitConfig, ModelConfig
from sadgr.train.errors import Interrupted
from sadgr.train.predict import load_run
from sadgr.train.request import FitRequest
from sadgr.train.significance import compare_runs
from sadgr.train.studies import costs
from sadgr.train.studies.compare import holm, variations_of
from sadgr.train.studies.compare_text import SPELLED, TUNE_BERT, cost_cells, title_of
from sadgr.train.studies.costs import Costs, measure, measured
from sadgr.train.studies.variations import Variation

pytestmark = pytest.mark.usefixtures("without_figures")

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
ROOT = Path(__file__).parents[2]
NAMES = ("sadgr", "text", "ridge", "misa")
SMALL = ("--d-model", 8, "--d-key", 4, "--gate-hidden", 8, "--fusion-hidden", 8)
BRIEF = ("--batch-size", 8, "--epochs", 1)
SHORT = ("--seeds", 2, *BRIEF)
own_process = costs._in_its_own_process


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def told(result: Result) -> str:
    return " ".join(result.stderr.split())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Iterator[None]:
    """A process of its own takes seconds to begin; one test has one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "_in_its_own_process", lambda cache, request, stop: measure(cache, request, 1))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def cache(place: Path, labelled: Labelled, write_cache_into: Callable[..., Path]) -> Path:
    return write_cache_into(place, *labelled(18))


@pytest.fixture(scope="module")
def heads(place: Path, cache: Path) -> Path:
    result = call("pretrain", cache, place / "heads", "--d-shared", 9, "--audio-mean", "mean_words", "--epochs", 1)
    assert result.exit_code == 0, result.output
    return place / "heads"


@pytest.fixture(scope="module")
def comparing(place: Path, cache: Path, heads: Path) -> tuple[object, ...]:
    return ("compare", cache, place / "study", "--models", ",".join(NAMES), "--heads", heads, *SMALL, *SHORT)


@pytest.fixture(scope="module")
def compared(comparing: tuple[object, ...]) -> tuple[Path, Result]:
    result = call(*comparing)
    assert result.exit_code == 0, result.output
    return Path(str(comparing[2])), result


def test_numbers_are_the_runs_and_the_same_printed_as_csv_and_as_json(compared: tuple[Path, Result]) -> None:
    study, result = compared
    held = read_json(study / "compare.json")
    assert [row["model"] for row in held["rows"]] == ["SADGR", "text only", "ridge regression", "MISA"]
    for name, row in zip(NAMES, held["rows"], strict=True):
        scores = read_json(study / name / "metrics.json")["splits"]["test"]
        assert (row["dataset"], row["split"], row["seeds"], row["N"]) == ("synthetic", "test", 2, 3)
        for key in ("MAE", "Corr", "Has0_acc_2"):
            assert {end: row[f"{key}_{end}"] for end in ("std", "low", "high")} | {"mean": row[key]} == scores[key]
    with (study / "compare.csv").open(newline="") as file:
        as_csv = list(csv.DictReader(file))
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in held["rows"]] == as_csv
    table = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines() if not line.startswith("- ")]
    for row, line in zip(held["rows"], table[1:], strict=True):
        shown = dict(zip(table[0], line, strict=True))
        assert shown["model"] == row["model"] and shown["parameters"] == f"{row['parameters']:,}"
        assert float(shown["MAE"].split()[0]) == pytest.approx(row["MAE"], abs=5.1e-5)
        assert float(shown["deviation of MAE"]) == pytest.approx(row["MAE_std"], abs=5.1e-5)
        assert float(shown["ms a clip"]) == pytest.approx(row["clip_milliseconds"], rel=0.006)
        assert float(shown["s an epoch"]) == pytest.approx(row["epoch_seconds"], rel=0.006)
        assert float(shown["peak MB"].replace(",", "")) == pytest.approx(row["peak_bytes"] / 1e6, abs=0.51)
    assert (study / "compare.png").read_bytes().startswith(b"\x89PNG")
    drawn = (study / "compare.svg").read_text()
    assert "synthetic, test split, N = 3, 2 seeds" in drawn and all(row["model"] in drawn for row in held["rows"])


def test_each_is_held_against_sadgr_on_the_same_clips(compared: tuple[Path, Result]) -> None:
    study, _ = compared
    first, *others = read_json(study / "compare.json")["rows"]
    assert first["difference"] is first["p"] is first["p_holm"] is None
    found = [compare_runs(study / name, study / "sadgr", "test", "MAE", 1111)[1] for name in NAMES[1:]]
    assert [(row["difference"], row["difference_low"], row["difference_high"], row["p"]) for row in others] == [
        (one.difference, one.low, one.high, one.p) for one in found
    ]
    assert all(row["difference"] == pytest.approx(row["MAE"] - first["MAE"]) for row in others)
    assert [row["p_holm"] for row in others] == holm([one.p for one in found])


def test_holm_in_numbers_worked_out_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.4]) == pytest.approx([0.8, 0.8]) and holm([0.9, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_the_caption_says_what_must_be_known(compared: tuple[Path, Result]) -> None:
    study, result = compared
    notes = read_json(study / "compare.json")["notes"]
    for one in notes:
        assert f"- {one}" in result.stdout
    caption = " ".join(notes)
    assert "MISA: fine-tuned BERT in its paper, read cached word features here" in caption
    assert "SADGR begins with heads pretrained on text and audio of synthetic" in caption
    assert "corrected for 3 comparisons" in caption and "are of the machine that measured them (cpu " in caption
    assert ", 1 thread)" in caption


def test_costs_are_those_of_the_models(compared: tuple[Path, Result], cache: Path) -> None:
    study, _ = compared
    for name, row in zip(NAMES, read_json(study / "compare.json")["rows"], strict=True):
        models, _, config = load_run(study / name)
        assert row["parameters"] == sum(one.numel() for one in models[0].parameters())
        assert row["epoch_seconds"] > 0 and row["clip_milliseconds"] > 0 and row["peak_bytes"] > 50e6
        assert (config["heads"] is None) == (name != "sadgr") and config["audio_mean"] == "mean_words"


def test_what_is_done_is_neither_trained_nor_measured_again(
    compared: tuple[Path, Result], comparing: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, first = compared
    held = contents(study)

    def forbidden(*_: object) -> Costs:
        raise AssertionError("measured again")

    monkeypatch.setattr(costs, "_in_its_own_process", forbidden)
    again = call(*comparing)
    assert again.exit_code == 0 and again.stdout == first.stdout
    assert "8 of 8 trainings are done already" in again.stderr and "cannot be measured" not in again.stderr
    assert contents(study) == held


def test_a_model_equals_fit_of_that_model(cache: Path, tmp_path: Path) -> None:
    assert call("compare", cache, tmp_path / "study", "--models", "late", *SHORT).exit_code == 0
    assert call("fit", cache, tmp_path / "run", "--model", "late", *SHORT).exit_code == 0
    assert contents(tmp_path / "study/late") == contents(tmp_path / "run")
    held = read_json(tmp_path / "study/compare.json")
    assert held["metric"] is None and all(row["p"] is None for row in held["rows"])
    assert "SADGR is not among the models: nothing is tested against it." in held["notes"]


def test_a_model_that_does_not_suit_the_task_is_named_and_the_others_go_on(cache: Path, tmp_path: Path) -> None:
    arguments = ("--task", "classification", "--seeds", 1, *BRIEF)
    result = call("compare", cache, tmp_path / "study", "--models", "sadgr,selfmm,text", *SMALL, *arguments)
    assert result.exit_code == 0, result.output
    held = read_json(tmp_path / "study/compare.json")
    assert [row["model"] for row in held["rows"]] == ["SADGR", "text only"] and held["metric"] == "accuracy"
    assert list(held["left_out"]) == ["selfmm"] and "regression alone" in held["left_out"]["selfmm"]
    assert "left out: Self-MM: selfmm moves labels" in result.stderr and "- left out: Self-MM" in result.stdout
    assert not (tmp_path / "study/selfmm").exists() and "Self-MM: fine-tuned" not in result.stdout
    alone = call("compare", cache, tmp_path / "alone", "--models", "selfmm", *arguments)
    assert alone.exit_code == 2 and "no model suits the task" in told(alone) and not (tmp_path / "alone").exists()


def test_what_nobody_can_mean_is_refused(cache: Path, heads: Path, tmp_path: Path) -> None:
    wrong = call("compare", cache, tmp_path / "study", "--models", "sadgr,bert")
    assert wrong.exit_code == 2 and "'bert' is no model" in told(wrong) and "selfmm" in told(wrong)
    for extra in (("--heads", heads), ("--d-model", 8), ("--contrastive-weight", 0.3)):
        result = call("compare", cache, tmp_path / "study", "--models", "text", *extra)
        assert result.exit_code == 2 and f"{extra[0]}: only sadgr has this" in told(result)
    assert not (tmp_path / "study").exists()


def test_all_are_all(small: ModelConfig) -> None:
    base = FitRequest(FitConfig(contrastive_weight=0.7, freeze_heads=True), small)
    found = variations_of(base, MODEL_NAMES)
    assert [one.name for one in found] == list(MODEL_NAMES) and found[0].request == base
    assert all(one.request.model == ModelConfig() and one.request.name == one.name for one in found[1:])
    assert {one.request.config for one in found[1:]} == {FitConfig()}
    assert len({one.title for one in found}) == len(MODEL_NAMES)
    assert [title_of(one) for one in ("tfn", "mult", "selfmm", "mag")] == ["TFN", "MulT", "Self-MM", "MAG-BERT"]
    assert set(SPELLED) <= set(MODEL_NAMES) and set(TUNE_BERT) <= set(MODEL_NAMES)


@pytest.fixture
def pair(small: ModelConfig) -> list[Variation]:
    return variations_of(FitRequest(FitConfig(batch_size=8), small, (3,)), ("sadgr", "text"))


def test_costs_that_cannot_be_measured_are_named_and_not_invented(
    cache: Path, pair: list[Variation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(cache: Path, request: FitRequest, stop: Callable[[], bool]) -> Costs:
        if request.name == "sadgr":
            raise RuntimeError("its process died")
        return Costs(7, 1.5, 2.5, 10**6, {"device": "cpu", "processor": "abacus", "threads": 2})

    monkeypatch.setattr(costs, "_in_its_own_process", breaks)
    lines: list[str] = []
    found = measured(cache, tmp_path, pair, lambda: False, lines.append)
    assert list(found) == ["text"] == list(read_json(tmp_path / "costs.json"))
    assert lines[0] == "costs of SADGR cannot be measured: RuntimeError: its process died"
    assert cost_cells(found.get("sadgr")) == dict.fromkeys(cost_cells(found["text"]))
    assert cost_cells(found["text"])["measured_on"] == "cpu abacus, 2 threads"


def test_a_stop_keeps_what_was_measured(
    cache: Path, pair: list[Variation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(cache: Path, request: FitRequest, stop: Callable[[], bool]) -> Costs:
        if request.name == "text":
            raise Interrupted("stopped")
        return measure(cache, request, 1)

    monkeypatch.setattr(costs, "_in_its_own_process", stops)
    with pytest.raises(Interrupted):
        measured(cache, tmp_path, pair, lambda: False, lambda _: None)
    assert list(read_json(tmp_path / "costs.json")) == ["sadgr"]


def test_measured_numbers_are_finite_and_say_where(cache: Path, pair: list[Variation]) -> None:
    found = measure(cache, pair[0].request, 1)
    assert np.isfinite([found.epoch_seconds, found.clip_milliseconds]).all() and found.epoch_seconds > 0
    assert json.loads(json.dumps(found.machine)) == found.machine and found.machine["threads"] == 1


def test_a_process_of_its_own_measures_and_stops_on_request(cache: Path, pair: list[Variation]) -> None:
    found = own_process(cache, pair[1].request, lambda: False)
    here = measure(cache, pair[1].request, 1)
    assert (found.parameters, found.machine) == (here.parameters, here.machine) and found.peak_bytes > 50e6
    with pytest.raises(Interrupted, match="stopped while costs were measured"):
        own_process(cache, pair[1].request, lambda: True)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("comparison_table")


def test_the_page_takes_a_table_between_its_markers_alone(
    compared: tuple[Path, Result], table: ModuleType, tmp_path: Path
) -> None:
    study, _ = compared
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- begin: demo -->\nold\n<!-- end: demo -->\nb\n<!-- begin: other -->\nstays\n<!-- end: other -->\n"
    )
    table.into_page("demo", study, page)
    once = page.read_text()
    assert (
        once.startswith("a\n<!-- begin: demo -->\n**Synthetic data**: synthetic, test split, N = 3; seeds: 2,")
        and "old" not in once
    )
    assert once.endswith("<!-- end: demo -->\nb\n<!-- begin: other -->\nstays\n<!-- end: other -->\n")
    table.into_page("demo", study, page)
    assert page.read_text() == once
    held = read_json(study / "compare.json")
    lines = [line.split(" | ") for line in once.splitlines() if re.match(r"\| (SADGR|text|ridge|MISA)", line)]
    best_first = sorted(held["rows"], key=lambda row: row["MAE"])
    for row, cells in zip(best_first, lines, strict=True):
        assert cells[0] == f"| {row['model']}" and cells[1] == f"{row['MAE']:.3f} ± {row['MAE_std']:.3f}"
        assert cells[7] == f"{row['parameters']:,}"
    assert all(f"- {note}" in once for note in held["notes"])
    with pytest.raises(ValueError, match="has no lines"):
        table.into_page("nowhere", study, page)


def test_the_page_s_answer_follows_from_the_numbers(table: ModuleType) -> None:
    def row(model: str, difference: str = "", p: str = "") -> dict[str, str]:
        return {"model": model, "difference": difference, "p_holm": p}

    found = table.answer([row("A", "-0.2", "0.01"), row("SADGR"), row("B", "0.1", "0.3"), row("C", "0.4", "0.049")])
    assert found == ("Lowest MAE: **A**. With p (Holm) below 0.05, better than SADGR: A; worse: C; neither: B.")


def test_the_page_has_a_place_for_every_table(load_planted: ModuleType) -> None:
    text = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
    for name in ("demo", *(f"planted-{seed}" for seed in load_planted.HELD_OUT_SEEDS)):
        assert re.search(f"<!-- begin: {name} -->\n.*\n<!-- end: {name} -->", text, re.DOTALL), name


@pytest.fixture
def load_planted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("planted")
