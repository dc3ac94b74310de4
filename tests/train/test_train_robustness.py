"""Noise and lost modalities: drawn alike for everybody, as much as asked for, and felt where they should be."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from sadgr.cache import ClipFeatures
from sadgr.train.apply import held_out, run_evaluate
from sadgr.train.checkpoint import read_json
from sadgr.train.cli import main
from sadgr.train.config import FitConfig, ModelConfig
from sadgr.train.data import Clips, clip_tensors
from sadgr.train.jobs import run_fit
from sadgr.train.modalities import MODALITIES, only
from sadgr.train.opened import Source
from sadgr.train.request import FitRequest
from sadgr.train.studies.disturbances import (
    DISTURBANCES,
    Disturbance,
    add_noise,
    clips_with,
    draw_noise,
    feature_deviations,
    without_share,
)
from sadgr.train.studies.robustness import SHARES, disturbed
from sadgr.train.tables import over_seeds

pytestmark = pytest.mark.usefixtures("without_figures")

Labelled = Callable[[int], tuple[list[ClipFeatures], pd.DataFrame]]
WriteCache = Callable[..., Path]
Make = Callable[..., ClipFeatures]


def silent(_: str) -> None:
    """Take a log line."""


@pytest.fixture
def clips(small: ModelConfig, make_clip: Make) -> Clips:
    """40 clips; every fifth has no audio, one has text alone."""
    made = [make_clip(f"c{i}", i, 1 + 7 * i % 9, 1 + i % 4, without="audio" if i % 5 == 0 else "") for i in range(40)]
    made[7] = only(made[7], ("text",))
    return Clips([clip_tensors(one, small) for one in made])


@pytest.mark.parametrize("modality", MODALITIES)
def test_as_many_clips_lose_it_as_asked_and_those_of_a_smaller_share_among_them(modality: str, clips: Clips) -> None:
    column, before = MODALITIES.index(modality), clips.present.clone()
    held: set[int] = set()
    for share in SHARES:
        stays = without_share(clips, modality, share)
        lost = set((before & ~stays)[:, column].nonzero()[:, 0].tolist())
        others = [number for number in range(3) if number != column]
        assert torch.equal(stays[:, others], before[:, others]) and held <= lost
        absent = int((~before[:, column]).sum()) + (modality == "text")  # nothing to lose, or nothing else
        assert round(share * 40) - absent <= len(lost) <= round(share * 40)
        held = lost
    assert stays.any(dim=1).all() and bool(stays[7, 0])
    assert torch.equal(clips.present, before)


def test_who_loses_it_follows_from_the_id_alone(small: ModelConfig, make_clip: Make) -> None:
    ids = [f"c{i}" for i in range(30)]
    made = {name: clip_tensors(make_clip(name, 0), small) for name in ids}
    stays = without_share(Clips([made[name] for name in ids]), "video", 0.5)
    turned = without_share(Clips([made[name] for name in reversed(ids)]), "video", 0.5)
    assert torch.equal(stays, turned.flip(0)) and int((~stays).sum()) == 15
    other = without_share(Clips([made[name] for name in ids]), "audio", 0.5)
    assert not torch.equal(stays[:, 2], other[:, 1])  # each modality has a draw of its own


def test_deviations_are_those_of_the_rows_that_are_there(small: ModelConfig, make_clip: Make) -> None:
    made = [make_clip(f"c{i}", i, 1 + i % 4, 2, lean=i % 3, without="audio" if i < 4 else "") for i in range(12)]
    found = feature_deviations(Clips([clip_tensors(one, small) for one in made]))
    for modality, rows in (
        ("text", [one.text_words for one in made]),
        ("audio", [one.audio_words for one in made[4:]]),
        ("video", [one.video_frames for one in made]),
    ):
        held = np.concatenate([np.asarray(one, np.float16) for one in rows]).astype(np.float64)
        np.testing.assert_allclose(found[modality].numpy(), held.std(axis=0), atol=1e-5)


def test_noise_has_the_deviation_asked_for_and_one_level_is_a_multiple_of_another(
    small: ModelConfig, make_clip: Make
) -> None:
    scales = torch.linspace(0.5, 4.0, small.d_video).numpy()
    made = [make_clip(f"c{i}", i, 3, 40) for i in range(100)]
    made = [replace(one, video_frames=one.video_frames * scales) for one in made]
    clips = Clips([clip_tensors(one, small) for one in made])
    drawn, deviations, batch = draw_noise(clips), feature_deviations(clips), clips.batch(range(100))
    added = {}
    for share in (0.3, 0.9):
        noisy = add_noise(drawn, deviations, ("video",), share)(batch)
        assert torch.equal(noisy.text, batch.text) and torch.equal(noisy.audio, batch.audio)
        assert torch.equal(noisy.text_mean, batch.text_mean)
        added[share] = noisy.video - batch.video
        measured = added[share].std(dim=0) / batch.video.std(dim=0)
        torch.testing.assert_close(measured, torch.full_like(measured, share), atol=0.05, rtol=0)
    torch.testing.assert_close(added[0.9], 3 * added[0.3], atol=1e-4, rtol=1e-4)


def test_noise_on_words_reaches_their_mean_and_does_not_depend_on_the_batch(clips: Clips) -> None:
    drawn, deviations = draw_noise(clips), feature_deviations(clips)
    change = add_noise(drawn, deviations, MODALITIES, 0.5)
    whole = change(clips.batch(range(40)))
    for number in (3, 17):
        alone = change(clips.batch([number]))
        place = whole.numbers.tolist().index(number)
        own = whole.words.owners == place
        torch.testing.assert_close(whole.text[own], alone.text)
        torch.testing.assert_close(whole.audio_mean[place], alone.audio_mean[0])
        plain = clips.batch([number])
        difference = (alone.text - plain.text).mean(dim=0)
        torch.testing.assert_close(alone.text_mean[0] - plain.text_mean[0], difference, atol=2e-3, rtol=0)


def test_clips_with_a_modality_are_counted(clips: Clips) -> None:
    assert [clips_with(clips, (one,)) for one in MODALITIES] == [40, 31, 39]
    assert clips_with(clips, ("audio", "video")) == 39


def fit_small(cache: Path, run: Path, model: ModelConfig, seeds: Sequence[int], **settings: float) -> Path:
    given: dict[str, float] = {"epochs": 12, "batch_size": 16, "learning_rate": 5e-3, **settings}
    run_fit(cache, run, FitRequest(FitConfig(**given), model, tuple(seeds)), lambda: False, silent)  # type: ignore[arg-type]
    return run


def test_table_figure_and_what_is_printed(
    labelled: Labelled, write_cache: WriteCache, small: ModelConfig, tmp_path: Path
) -> None:
    cache = write_cache(*labelled(36))
    run = fit_small(cache, tmp_path / "run", small, (1, 2), epochs=2)
    as_json = CliRunner().invoke(main, ["robustness", str(run), str(cache), "--json"])
    assert as_json.exit_code == 0, as_json.output
    folder = run / "robustness"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == {f"robustness.{kind}" for kind in ("csv", "json", "png", "svg")}
    table = pd.read_csv(folder / "robustness.csv")
    assert len(table) == 1 + len(DISTURBANCES) * len(SHARES) == 64
    assert (table["N"] == 6).all()
    assert set(table["disturbance"]) == {"none", *(one.name for one in DISTURBANCES)}
    rows = json.loads(as_json.stdout)
    told = read_json(folder / "robustness.json")
    assert (told["dataset"], told["synthetic"], told["split"], told["seeds"]) == ("synthetic", True, "test", [1, 2])
    clean = run_evaluate(run, Source(cache), "test", silent)["splits"]["test"]
    assert told["levels"][0]["metrics"] == clean
    for row, line, level in zip(rows, table.to_dict("records"), told["levels"], strict=True):
        assert row["disturbance"] == line["disturbance"] == level["disturbance"]
        assert row["share"] == pytest.approx(line["share"]) == level["share"] and row["changed"] == level["changed"]
        for key in ("MAE", "Has0_acc_2"):
            assert row[key] == pytest.approx(line[key]) == level["metrics"][key]["mean"]
            assert row[f"{key}_low"] == pytest.approx(line[f"{key}_low"]) == level["metrics"][key]["low"]
    printed = CliRunner().invoke(main, ["robustness", str(run), str(cache)])
    lines = printed.stdout.splitlines()
    assert lines[0].split()[:5] == ["disturbance", "share", "changed", "N", "MAE"]
    assert lines[1].split()[:5] == ["none", "0%", "0", "6", f"{clean['MAE']['mean']:.4f}"] and len(lines) == 66
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files  # the same, twice
    assert b"synthetic, test split, N = 6, seeds = 2; bands: 95 % interval" in files["robustness.svg"]


def rise(cache: Path, run: Path, share: float) -> dict[str, float]:
    """How much the mean absolute error rises where a share of clips lacks a modality."""
    levels = list(disturbed(held_out(run, Source(cache), "test", silent), silent, (share,)))
    errors: Mapping[str, float] = {one.disturbance: over_seeds(one.by_seed)["MAE"]["mean"] or 0.0 for one in levels}
    return {name: error - errors["none"] for name, error in errors.items()}


@pytest.mark.slow
def test_training_with_lost_modalities_makes_losing_them_cheaper(
    labelled: Labelled, write_cache: WriteCache, small: ModelConfig, tmp_path: Path
) -> None:
    """Each modality shows the planted label with noise of its own: together they tell most, each alone tells enough."""
    cache = write_cache(*labelled(360))
    plain = rise(cache, fit_small(cache, tmp_path / "plain", small, (1, 2)), 0.9)
    hardened = rise(cache, fit_small(cache, tmp_path / "hardened", small, (1, 2), modality_dropout=0.5), 0.9)
    missing = [Disturbance("missing", (one,)).name for one in MODALITIES]
    assert sum(plain[name] for name in missing) > 0.1  # it does matter
    assert sum(hardened[name] for name in missing) < 0.7 * sum(plain[name] for name in missing)
