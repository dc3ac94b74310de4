"""Processes that fill one cache together: each does its part, and what all of them write agrees."""

import json

import pytest
from click.testing import CliRunner

from sadgr.cache import FeatureCache, labels
from sadgr.extract import align_cli, cli
from sadgr.extract.aligner_options import AlignerOptions
from sadgr.extract.check import check
from sadgr.extract.checkpoint import ModelName
from sadgr.extract.choice import Choice
from sadgr.extract.presets import Preset
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.run import run
from sadgr.extract.shard import Shard

SLURM = ("ID", "COUNT", "MIN", "MAX", "STEP")


@pytest.fixture
def source(tmp_path, make_clip):
    """Three speakers' five clips: sound and picture, sound, and text alone."""
    folder = tmp_path / "source"
    make_clip(folder / "a.mp4")
    make_clip(folder / "b.m4a", picture=False)
    rows = ["a1,ann,train,so it goes,a.mp4,a.mp4", "a2,ann,test,so so,a.mp4,a.mp4"]
    rows += ["b1,bob,train,it goes,b.m4a,", "b2,bob,test,so,b.m4a,", "c1,cyd,train,so it was,,"]
    (folder / "table.csv").write_text("id,speaker,split,text,audio,video\n" + "".join(f"{row}\n" for row in rows))
    return folder / "table.csv"


@pytest.fixture
def extract(tiny, tmp_path, source, planted_aligner):
    """Run an extraction; gives its summary and what it said."""
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))

    def go(*shards: Shard, cache="cache", modalities=("text", "audio", "video"), retry_failed=False, **choice):
        recipe = Recipe(models, modalities)
        chosen = Choice(shards=shards, **choice)
        request = Request(source, tmp_path / cache, "demo", recipe, "cpu", choice=chosen, retry_failed=retry_failed)
        said: list[str] = []
        return run(request, planted_aligner, lambda: False, said.append), said

    return go


def test_parts_come_to_what_one_process_comes_to(extract, tmp_path, logical_digest):
    extract(cache="whole")
    for index in range(3):
        summary, said = extract(Shard(index, 3))
        assert summary.finished and {one.state for one in summary.troubles} <= {"absent"}
        assert f"of 5 clips (manifest, shard {index}/3)" in said[0]
        assert set(summary.feature_sets) == {"words", "text", "audio", "video"}  # also where a part has no sound
    assert logical_digest(tmp_path / "cache") == logical_digest(tmp_path / "whole")
    log = json.loads(summary.log.read_text().splitlines()[0])["run"]
    assert log["choice"]["shards"] == [{"index": 2, "count": 3}]


def test_a_part_without_clips_is_a_success_that_says_so(extract, tmp_path):
    summary, said = extract(Shard(5, 6))
    assert summary.finished and summary.clips == 0 and summary.done == {}
    assert any("no clip falls to this shard" in line for line in said)
    assert len(FeatureCache(tmp_path / "cache")["demo"].labels()) == 5


def test_two_parts_that_write_labels_at_once_leave_all_rows(extract, tmp_path, monkeypatch):
    """One reads labels.csv, then the other runs from beginning to end, then the first puts its rows in place."""
    real, others = labels.replace, []

    def held_up(target, content):
        if not others:
            others.append(target)
            extract(Shard(1, 2), modalities=("text",))
        real(target, content)

    monkeypatch.setattr(labels, "replace", held_up)
    extract(Shard(0, 2), modalities=("text",))
    data = FeatureCache(tmp_path / "cache")["demo"]
    assert others and sorted(data.labels().index) == ["a1", "a2", "b1", "b2", "c1"]
    assert sorted(data.feature_sets("text")[0].entries()) == ["a1", "a2", "b1", "b2", "c1"]


def test_a_choice_is_shared_out_with_its_limit_and_its_failures(extract, source):
    found = [extract(Shard(index, 3), limit=3, modalities=("text",))[0] for index in range(3)]
    assert sum(one.clips for one in found) == 3
    (source.parent / "a.mp4").write_bytes(b"")
    (source.parent / "b.m4a").write_bytes(b"")
    extract(modalities=("audio",))
    parts = [extract(Shard(index, 3), retry_failed=True, limit=3, modalities=("audio",)) for index in range(3)]
    assert sorted(clip for summary, _ in parts for clip in summary.failed) == ["a1", "a2", "b1"]
    assert all("4 clips failed when they were last worked on" in said for _, said in parts)


def test_nothing_failed_in_a_cache_that_is_new(extract):
    summary, said = extract(retry_failed=True, modalities=("text",))
    assert summary.clips == 0 and "0 clips failed when they were last worked on" in said


def test_a_check_is_of_this_part(source, tiny, tmp_path, planted_aligner):
    models = Preset(*(ModelName(str(tiny(family))) for family in ("bert", "hubert", "vit")))
    found = [
        check(
            Request(
                source, tmp_path, "demo", Recipe(models, ("text",)), "cpu", choice=Choice(shards=(Shard(index, 4),))
            ),
            planted_aligner,
            lambda: False,
            lambda _: None,
        )
        for index in range(4)
    ]
    assert sorted(one.clips for one in found) == [0, 1, 2, 2]


@pytest.fixture
def align(monkeypatch, planted_aligner):
    """Run sadgr-align here, with the planted aligner."""
    monkeypatch.setattr(AlignerOptions, "build", lambda *_: planted_aligner)

    def go(*arguments, **slurm):
        for name in SLURM:
            monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
        for name, value in slurm.items():
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
        return CliRunner().invoke(align_cli.main, [str(one) for one in arguments])

    return go


def test_slurms_array_says_which_part_and_the_option_wins(align, source, tmp_path):
    options = [source, tmp_path / "cache", "--dataset", "demo", "--max-failures", "100%"]
    array = {"COUNT": 3, "MIN": 1, "MAX": 3, "STEP": 1}
    done = []
    for number in (1, 2, 3):
        told = align(*options, "--json", ID=number, **array)
        assert told.exit_code == 0 and f"shard {number - 1}/3, from SLURM's array" in told.stderr, told.output
        done.append(json.loads(told.stdout)["clips"])
    assert sorted(done) == [1, 2, 2]
    told = align(*options, "--shard", "0/1", "--json", ID=1, **array)
    assert json.loads(told.stdout)["clips"] == 5 and "SLURM" not in told.stderr
    told = align(*options, ID=7, COUNT=3, MIN=0, MAX=7)
    assert told.exit_code == 2 and "add --shard I/N" in told.stderr.replace("\n", " ")


def test_words_that_go_to_files_are_shared_out_by_the_option_alone(align, source, tmp_path):
    """Without CACHE, an array's task may well be about a file of its own."""
    array = {"ID": 0, "COUNT": 3, "MIN": 0, "MAX": 2, "STEP": 1}
    found = []
    for index in range(3):
        align(source, "-o", tmp_path / "out", "--shard", f"{index}/3", **array)
        found.append({path.stem for path in (tmp_path / "out").glob("*.json")})
    assert found == [{"a1", "a2"}, {"a1", "a2", "b1", "b2"}, {"a1", "a2", "b1", "b2"}]  # cyd has no sound
    told = align(source, "--format", "csv", **array)
    assert {line.split(",")[0] for line in told.stdout.splitlines()[1:]} == {"a1", "a2", "b1", "b2"}


def test_the_option_stands_in_a_file_of_settings_too(source, tmp_path, tiny):
    (tmp_path / "lab.yaml").write_text(f"dataset: demo\nshard: 1/3,0/1\nmodality: [text]\ntext-model: {tiny('bert')}\n")
    told = CliRunner().invoke(cli.main, [str(source), str(tmp_path / "cache"), "--config", str(tmp_path / "lab.yaml")])
    assert told.exit_code == 0 and "demo: 2 of 5 clips (manifest, shard 1/3,0/1)" in told.stderr, told.output
