"""The numbers of a run's report are those of `predict`, `evaluate`, the run's own files and the model's gate."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from sadgr.cache import ClipFeatures, FeatureCache
from sadgr.cache.report import gather
from sadgr.train import cli
from sadgr.train.apply import run_evaluate, run_predict
from sadgr.train.checkpoint import read_json
from sadgr.train.config import Gate
from sadgr.train.errors import TrainError
from sadgr.train.export import export_run
from sadgr.train.heads import ProjectionHeads
from sadgr.train.jobs import run_fit
from sadgr.train.opened import Source, open_run
from sadgr.train.report import read_run
from sadgr.train.report_site.compared import compare
from sadgr.train.report_site.nearest import nearest
from sadgr.train.report_site.predictions import clip_errors, predictions_page, scatter, truth_told
from sadgr.train.report_site.scored import Scored, score
from sadgr.train.report_site.sections import clip_sections
from sadgr.train.request import FitRequest
from sadgr.train.retrieval import retrieval_metrics
from sadgr.train.score_sums import SCORES
from sadgr.train.significance import compare_runs
from sadgr.train.studies.gate_curve import gate_curve
from sadgr.train.studies.timed_clip import timed_clip
from sadgr.train.tasks import Target
from tests.train.report_site.made import HOSTILE, Made, never, silent


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def scored_of(run: Path, cache: Path, split: str | None = None) -> tuple[Scored, pd.DataFrame]:
    opened = open_run(run, Source(cache), silent)
    labels = gather(FeatureCache(cache)).labels
    return score(opened, labels, split, silent), labels


@pytest.fixture(scope="module")
def scored(made: Made) -> tuple[Scored, pd.DataFrame]:
    return scored_of(made.run, made.cache)


def test_predictions_are_those_of_predict_to_the_last_digit(made: Made, scored: tuple[Scored, pd.DataFrame]) -> None:
    rows, _ = run_predict(made.run, Source(made.cache), silent)
    assert list(scored[0].rows) == rows
    table = made.data("clips", "clips")
    columns = {column["key"]: column["values"] for column in table["columns"]}
    assert table["ids"] == [row["clip_id"] for row in rows]
    assert columns["prediction"] == [row["prediction"] for row in rows]
    assert columns["gate"] == [row["gate_mean"] for row in rows]
    assert columns["truth"] == scored[1]["label"].tolist()
    assert columns["error"] == pytest.approx(np.abs(np.subtract(columns["prediction"], columns["truth"])), abs=1e-6)


def test_scores_confusion_and_calibration_are_those_of_the_run_s_files(
    made: Made, scored: tuple[Scored, pd.DataFrame]
) -> None:
    about = predictions_page(*scored, set())
    evaluated = run_evaluate(made.run, Source(made.cache), "test", silent)
    kept = read_json(made.run / "metrics.json")["splits"]["test"]
    assert about["n"] == 4
    for name, one in about["metrics"].items():  # clips stand in other batches there, and sums round otherwise
        assert one == pytest.approx(evaluated["splits"]["test"][name], abs=1e-5), name
        assert one == pytest.approx(kept[name], abs=1e-5), name
    report = read_json(made.run / "report.json")["splits"]["test"]
    for one in about["confusion"]:
        assert one["n"] == report[one["name"]]["N"]
        assert dict(one["scores"]) == report[one["name"]]["classes"]
    counts = pd.read_csv(made.run / "confusion.csv", dtype={"truth": str, "prediction": str})
    for one in about["confusion"]:
        here = counts[(counts["split"] == "test") & (counts["grouping"] == one["name"])]
        summed = here.groupby(["truth", "prediction"])["clips"].sum()
        for truth, row in zip(one["classes"], one["rows"], strict=True):
            assert [cell["count"] for cell in row] == [summed[truth, name] for name in one["classes"]]
    calibration = read_json(made.run / "calibration.json")["splits"]["test"]
    (line,) = about["calibration"]
    assert line["summary"]["slope"] == pytest.approx(calibration["label"]["slope"], abs=1e-3)
    bins = pd.read_csv(made.run / "calibration.csv").query("split == 'test' and n > 0")
    told = [bin["observed"] for seed in line["seeds"] for bin in seed]
    assert told == pytest.approx(bins["observed"].tolist(), abs=1e-5)


def test_worst_errors_stand_first(scored: tuple[Scored, pd.DataFrame]) -> None:
    found, labels = scored
    worst = predictions_page(found, labels, {HOSTILE})["worst"]
    errors = [row["error"] for row in worst]
    assert errors == sorted(errors, reverse=True) and len(worst) == 4
    predictions = {row["clip_id"]: row["prediction"] for row in found.rows}
    for row in worst:
        truth = labels["label"][row["clip_id"]]
        assert (row["truth"], row["prediction"]) == (truth, predictions[row["clip_id"]])
        assert row["error"] == pytest.approx(abs(float(row["prediction"]) - truth), abs=1e-6)
        assert (row["page"] is not None) == (row["clip_id"] == HOSTILE) and len(row["text"]) <= 201


def test_points_are_clips_of_the_split(scored: tuple[Scored, pd.DataFrame]) -> None:
    found, labels = scored
    points = scatter(found, {HOSTILE: "there"})
    (panel,) = points["panels"]
    test = labels[labels["mode"] == "test"]
    assert points["ids"] == list(test.index) and panel["x"] == test["label"].tolist()
    rows = {row["clip_id"]: row for row in found.rows}
    for key, name in (("y", "prediction"), ("low", "low"), ("high", "high")):
        assert panel[key] == [rows[one][name] for one in points["ids"]]
    assert points["links"] == ["there" if one == HOSTILE else None for one in points["ids"]]


def test_the_gate_section_is_the_model_s_curve(made: Made, scored: tuple[Scored, pd.DataFrame]) -> None:
    opened = scored[0].opened
    timed = timed_clip(opened.data, opened.selection, HOSTILE, opened.widths)
    curve = gate_curve(opened.models, timed)
    _, section, _ = clip_sections(scored[0], {HOSTILE})(HOSTILE)
    series = {one["name"]: one for one in section["series"]}
    for name, values in (
        ("gate", curve.mean),
        ("highest seed", curve.high),
        ("lower quartile of dimensions", curve.lower_quartile),
    ):
        assert series[name]["seconds"] == curve.seconds.tolist()
        told = np.array([np.nan if value is None else value for value in series[name]["values"]])
        np.testing.assert_array_equal(told, values)
    assert None in series["gate"]["values"]  # the silence before the last word
    assert series["the clip's one gate"] == {
        "name": "the clip's one gate", "seconds": [0.0, timed.seconds], "values": [curve.clip_gate] * 2
    }  # fmt: skip


def test_what_has_no_curve_says_why(made: Made, scored: tuple[Scored, pd.DataFrame]) -> None:
    without_audio = scored[1].index[11]
    prediction, gate, near = clip_sections(scored[0], {without_audio})(without_audio)
    assert prediction["kind"] == "table" and gate["kind"] == near["kind"] == "text"
    assert "word times" in gate["text"] and "not both text and audio" in near["text"]


@pytest.mark.parametrize("gate", [one for one in get_args(Gate) if one != "audio"])
def test_a_run_without_audio_gate_says_so(
    gate: Gate, made: Made, request_of: Callable[..., FitRequest], tmp_path: Path
) -> None:
    asked = request_of((1,))
    run_fit(made.cache, tmp_path / "run", replace(asked, model=replace(asked.model, gate=gate)), never, silent)
    scored, _ = scored_of(tmp_path / "run", made.cache)
    section = clip_sections(scored, {HOSTILE})(HOSTILE)[1]
    assert section["kind"] == "text" and f"--gate {gate}" in section["text"]


def test_a_model_without_shared_space_says_so(
    made: Made, request_of: Callable[..., FitRequest], tmp_path: Path
) -> None:
    run_fit(made.cache, tmp_path / "run", replace(request_of((1,)), name="ridge"), never, silent)
    scored, _ = scored_of(tmp_path / "run", made.cache)
    _, gate, near = clip_sections(scored, {HOSTILE})(HOSTILE)
    assert gate["kind"] == near["kind"] == "text"
    assert "no heads" in near["text"] and "no audio gate" in gate["text"]


def planted_heads(width: int, seed: int) -> ProjectionHeads:
    torch.manual_seed(seed)
    return ProjectionHeads(width, width, 5)


@pytest.mark.parametrize("backwards", [False, True])
def test_nearest_by_hand(backwards: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadgr.train.report_site.nearest.CHUNK_ROWS", 3)
    heads = [planted_heads(7, seed) for seed in (0, 1)]
    text, audio = torch.randn(2, 11, 7, generator=torch.Generator().manual_seed(3))
    queries = torch.tensor([0, 4, 5, 10])
    found = nearest(heads, text, audio, queries, backwards)
    for place, near in zip(queries.tolist(), found, strict=True):
        cosines = []
        for other in range(11):
            pair = (other, place) if backwards else (place, other)
            each = [torch.cosine_similarity(one.text(text[pair[0]]), one.audio(audio[pair[1]]), dim=0) for one in heads]
            cosines.append(torch.stack(each).mean().item())
        order = sorted(range(11), key=lambda other: -cosines[other])
        assert list(near.places) == order[:5]
        assert near.cosines == pytest.approx([cosines[other] for other in order[:5]], abs=1e-6)
        assert near.own == pytest.approx(cosines[place], abs=1e-6)
        assert (near.rank, near.among) == (1 + order.index(place), 11)


def test_ranks_are_those_of_retrieval() -> None:
    (head,) = heads = [planted_heads(6, 4)]
    text, audio = torch.randn(2, 30, 6, generator=torch.Generator().manual_seed(5))
    audio[3] = audio[4] * (1 + 1e-7)  # equal but for rounding: each counts as nearer than the other
    with torch.no_grad():
        told = retrieval_metrics(*head(text, audio))
    for backwards, way in ((False, "t2a"), (True, "a2t")):
        ranks = [one.rank for one in nearest(heads, text, audio, torch.arange(30), backwards)]
        for k in (1, 5, 10):
            assert np.mean([rank <= k for rank in ranks]) == pytest.approx(told[f"{way}_R@{k}"])


def test_where_all_are_alike_nothing_is_found() -> None:
    alike = torch.ones(4, 6)
    assert [one.rank for one in nearest([planted_heads(6, 0)], alike, alike, torch.arange(4))] == [4] * 4


def test_errors_of_classes_and_labels_by_hand() -> None:
    classes = Target("classification", ("mood",), ("calm", "tense"))
    logits = torch.log(torch.tensor([[[0.9, 0.1], [0.5, 0.5], [0.5, 0.5]], [[0.7, 0.3], [0.1, 0.9], [0.5, 0.5]]]))
    truth = torch.tensor([[0.0], [0.0], [torch.nan]], dtype=torch.float64)
    errors = clip_errors(logits, truth, classes)
    assert errors[:2].tolist() == pytest.approx([0.2, 0.7]) and bool(errors[2].isnan())
    assert [truth_told(one, classes) for one in truth.tolist()] == ["calm", "calm", None]
    labels = Target("multilabel", ("happy", "sad"), ("happy", "sad"))
    chances = torch.tensor([[[0.8, 0.4]]])
    errors = clip_errors(torch.logit(chances), torch.tensor([[1.0, 0.0]], dtype=torch.float64), labels)
    assert errors.tolist() == pytest.approx([0.3])
    assert truth_told([1.0, 1.0], labels) == "happy sad" and truth_told([0.0, 0.0], labels) == ""


@pytest.mark.parametrize(("target", "task"), [("mood", "classification"), ("happy,sad", "multilabel")])
def test_pages_of_classes_and_labels(
    target: str,
    task: str,
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    write_cache: Callable[..., Path],
    request_of: Callable[..., FitRequest],
    tmp_path: Path,
) -> None:
    clips, labels = labelled(24)
    labels["mood"] = np.where(labels["label"] > 0, "glad", "calm")
    labels["happy"], labels["sad"] = (labels["label"] > 0).astype(float), (np.arange(24) % 4 < 2).astype(float)
    cache = write_cache(clips, labels)
    run_fit(cache, tmp_path / "run", replace(request_of((1, 2)), target=target), never, silent)
    scored, labels = scored_of(tmp_path / "run", cache)
    about = predictions_page(scored, labels, set())
    assert about["task"] == task
    evaluated = run_evaluate(tmp_path / "run", Source(cache), "test", silent)["splits"]["test"]
    assert {name: one["mean"] for name, one in about["metrics"].items()} == pytest.approx(
        {name: one["mean"] for name, one in evaluated.items()}, abs=1e-5
    )
    points = scatter(scored, {})
    assert [len(panel["y"]) for panel in points["panels"]] == [4] * (1 if task == "classification" else 2)
    assert all(0 < value < 1 for panel in points["panels"] for value in panel["y"])
    if task == "classification":
        rows = {row["clip_id"]: row for row in scored.rows}
        held = labels[labels["mode"] == "test"]["mood"]
        assert points["panels"][0]["y"] == pytest.approx([rows[one][f"p_{mood}"] for one, mood in held.items()])
        assert [row["error"] for row in about["worst"]] == pytest.approx(
            sorted((1 - value for value in points["panels"][0]["y"]), reverse=True)
        )


def test_runs_beside_each_other(made: Made) -> None:
    told = compare(made.run, [made.other], "test")
    assert [one["name"] for one in told["runs"]] == ["run", "other"] and told["N"] == 4
    assert [row["metric"] for row in told["rows"]] == list(SCORES["regression"])
    kept = [read_json(one / "metrics.json")["splits"]["test"] for one in (made.run, made.other)]
    for row in told["rows"]:
        for one, metrics in zip(row["scores"], kept, strict=True):
            assert one == pytest.approx(metrics[row["metric"]], abs=1e-5)
    mae = told["rows"][0]["metric"]
    _, found = compare_runs(made.run, made.other, "test", "MAE", 1111)
    (difference,) = next(row["differences"] for row in told["rows"] if row["metric"] == "MAE")
    assert mae == "MAE" and difference == {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
    }
    (same,) = compare(made.run, [made.run], "test")["rows"][0]["differences"]
    assert same["difference"] == 0 and same["p"] == 1


def test_runs_that_cannot_be_compared_are_refused(made: Made, tmp_path: Path) -> None:
    export_run(made.other, tmp_path / "given")
    with pytest.raises(TrainError, match="keeps no predictions"):
        compare(made.run, [tmp_path / "given"], "test")
    assert compare(made.run, [made.other], None)["split"] == "test"
    with pytest.raises(TrainError, match="no split dev"):
        compare(made.run, [made.other], "dev")


def test_bad_input_is_named(made: Made, tmp_path: Path) -> None:
    for arguments, said in (
        (("--split", "dev"), "no labelled clips in split dev"),
        (("--clips", "nobody*"), "no clip 'nobody*'"),
        (("--with", tmp_path / "none"), "missing"),
    ):
        result = call("report", made.run, made.cache, "-o", tmp_path / "out", *arguments)
        assert result.exit_code == 2 and said in result.output, result.output
        assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    result = call("report", made.run, made.cache, "-o", tmp_path / "mine")
    assert result.exit_code == 2 and "not empty" in result.output
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def test_the_command_on_a_cache_without_labels(
    made: Made,
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    write_cache: Callable[..., Path],
    tmp_path: Path,
) -> None:
    clips, labels = labelled(6)
    cache = write_cache(clips, labels.drop(columns=["label"]))
    result = call("report", made.run, cache, "-o", tmp_path / "out", "--clips", clips[2].clip_id)
    assert result.exit_code == 0, result.output
    assert "6 clips with a prediction, no labels to hold them against, 1 with a page" in result.stdout
    page = (tmp_path / "out/predictions.html").read_text(encoding="utf-8")
    assert "no truth to hold predictions against" in page


def test_an_exported_run_has_a_report_too(made: Made, tmp_path: Path) -> None:
    export_run(made.run, tmp_path / "given")
    result = call(
        "report", tmp_path / "given", made.cache, "-o", tmp_path / "out", "--split", "valid", "--clips", "v0*"
    )
    assert result.exit_code == 0, result.output
    assert "4 of split valid held against the truth" in result.stdout
    assert not (tmp_path / "out/compared.html").exists()
    assert read_run(made.run).splits["valid"].ids[0] in (tmp_path / "out/predictions.html").read_text(encoding="utf-8")


def test_a_labelled_clip_without_features_counts_as_in_evaluate(
    made: Made,
    labelled: Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]],
    make_clip: Callable[..., ClipFeatures],
    write_cache: Callable[..., Path],
) -> None:
    clips, labels = labelled(18)
    of_test, of_train = clips[5].clip_id, clips[6].clip_id
    for place in (5, 6):
        clips[place] = make_clip(clips[place].clip_id, place, without="text audio video")
    cache = write_cache(clips, labels)
    scored, labels = scored_of(made.run, cache)
    rows, without = run_predict(made.run, Source(cache), silent)
    assert without == [of_test, of_train] and scored.unseen == {of_test}
    assert [row for row in scored.rows if row["clip_id"] != of_test] == rows and of_test in scored.ids
    evaluated = run_evaluate(made.run, Source(cache), "test", silent)
    about = predictions_page(scored, labels, set())
    assert evaluated["unseen"] == [of_test] and (about["n"], about["unseen"]) == (3, 1)
    assert about["metrics"]["MAE"] == pytest.approx(evaluated["splits"]["test"]["MAE"], abs=1e-5)
    prediction, gate, near = clip_sections(scored, {of_test})(of_test)
    assert "no features" in prediction["note"] and gate["kind"] == near["kind"] == "text"
