"""`sadgr-align`: files, pictures and the cache, from any source, with the recorded MFA among the aligners."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sadgr.align import Alignment, Flag, WordTime
from sadgr.cache import FeatureCache
from sadgr.extract import align_cli, cli
from sadgr.extract.aligner_options import AlignerOptions

TESTS = Path(__file__).parents[1]


class PlantedWords:
    """A word a third of a second, from the beginning."""

    name, settings = "planted", {"version": 1}

    def align_all(self, utterances):
        for one in utterances:
            times = (WordTime(word, i / 3, (i + 1) / 3, 0.5, Flag.ALIGNED) for i, word in enumerate(one.words))
            yield Alignment(one.clip_id, tuple(times))


PLANTED = PlantedWords()


def call(*arguments, command=align_cli.main):
    return CliRunner().invoke(command, [str(one) for one in arguments])


@pytest.fixture
def planted(monkeypatch, planted_aligner):
    """A tone is no speech: the aligner's answers are planted."""
    monkeypatch.setattr(AlignerOptions, "build", lambda *_: planted_aligner)


@pytest.fixture
def talk(tmp_path, make_clip):
    folder = tmp_path / "talks"
    make_clip(folder / "one.mp4", seconds=2)
    (folder / "one.lab").write_text("so it goes")
    return folder / "one.mp4"


@pytest.fixture
def recorded_mfa(tmp_path, monkeypatch):
    """Options that run the recorded MFA."""
    monkeypatch.setenv("RECORDED_MFA", str(tmp_path))
    model, dictionary = tmp_path / "model.zip", tmp_path / "words.dict"
    model.touch(), dictionary.touch()
    program = f"{sys.executable} {TESTS / 'align/recorded_mfa.py'}"
    return ["--aligner", "mfa", "--mfa-command", program, "--mfa-acoustic", model, "--mfa-dictionary", dictionary]


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".lab", "so it goes"),
        (".txt", "\ufeffso it\ngoes\n"),
        (".srt", "1\n00:00:00,000 --> 00:00:02,000\nso it goes\n"),
        (".vtt", "WEBVTT\n\n00:00.000 --> 00:02.000\nso it goes\n"),
    ],
)
def test_a_single_file_with_its_transcript_beside_it(planted, tmp_path, make_clip, ending, content):
    make_clip(tmp_path / "one.mp4", seconds=2)
    (tmp_path / f"one{ending}").write_text(content)
    told = call(tmp_path / "one.mp4")
    assert told.exit_code == 0, told.output
    words = json.loads(told.stdout)["words"]
    assert [word["word"] for word in words] == ["so", "it", "goes"]
    assert words[0] == {"word": "so", "start": 0.0, "end": pytest.approx(1 / 3, abs=0.03), "score": 0.5}


def test_files_of_every_form_and_a_picture(planted, talk, tmp_path):
    for form, mark in (("json", '"words"'), ("textgrid", "ooTextFile"), ("csv", "clip,word,start")):
        assert mark in call(talk, "--format", form).stdout
        assert call(talk, "--format", form, "-o", tmp_path / form).exit_code == 0
        assert mark in (tmp_path / form).read_text()
    assert call(talk, "--plot", tmp_path / "words.png").exit_code == 0
    assert (tmp_path / "words.png").read_bytes().startswith(b"\x89PNG")
    assert call(talk, "--plot", tmp_path / "words.svg").exit_code == 0
    assert "<svg" in (tmp_path / "words.svg").read_text()
    assert call(talk, "-o", tmp_path).exit_code == 0 and (tmp_path / "one.json").is_file()
    wrong = call(talk, "--plot", tmp_path / "words.doc")
    assert wrong.exit_code == 2 and ".png, .svg, .pdf" in wrong.stderr


def test_several_clips_go_to_lines_or_to_a_folder(planted, talk, tmp_path, make_clip):
    (talk.parent / "ann").mkdir()
    make_clip(talk.parent / "ann/-two.mp4")
    (talk.parent / "ann/-two.txt").write_text("so it goes")
    lines = [json.loads(line) for line in call(talk.parent).stdout.splitlines()]
    assert [line["clip"] for line in lines] == ["ann/-two", "one"]
    assert call(talk.parent, "-o", tmp_path / "out", "--format", "textgrid").exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one.TextGrid", "ann%2F-two.TextGrid"}
    assert "add -o FOLDER" in call(talk.parent, "--format", "textgrid").stderr
    assert call(talk.parent, "--format", "csv", "--plot", tmp_path / "p.png").stdout.count("\n") == 7
    assert {path.name for path in tmp_path.glob("p-*.png")} == {"p-one.png", "p-ann%2F-two.png"}


def test_cues_of_one_film_are_joined_on_its_own_time_line(planted, tmp_path, make_clip):
    make_clip(tmp_path / "film.mp4", seconds=4)
    cue = "{}\n00:00:0{},000 --> 00:00:0{},000\nso it goes\n\n"
    (tmp_path / "film.srt").write_text(cue.format(1, 1, 2) + cue.format(2, 2, 4))
    words = json.loads(call(tmp_path / "film.mp4").stdout)["words"]
    starts = [word["start"] for word in words]
    assert starts == pytest.approx([1, 1 + 1 / 6, 1 + 2 / 6, 2, 2 + 2 / 6, 2 + 4 / 6], abs=0.03)
    assert call(tmp_path / "film.mp4", "--format", "textgrid", "-o", tmp_path / "film.TextGrid").exit_code == 0
    assert (tmp_path / "film.TextGrid").is_file()
    (one, two) = [json.loads(line) for line in call(tmp_path).stdout.splitlines()]
    assert (one["clip"], two["words"][0]["start"]) == ("film$_$1", 2.0)


def test_words_of_a_cache_serve_a_node_without_an_aligner(talk, tmp_path, tiny, monkeypatch):
    cache = tmp_path / "cache"
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    options = [part for kind, family in models.items() for part in (f"--{kind}-model", tiny(family))]
    options += ["--dataset", "demo", "--device", "cpu", "--json", "--aligner", "cached"]
    early = call(talk, cache, *options, command=cli.main)
    assert early.exit_code == 2 and "sadgr-align" in early.stderr
    with monkeypatch.context() as patched:
        patched.setattr(AlignerOptions, "build", lambda *_: PLANTED)
        assert call(talk, cache, "--dataset", "demo").exit_code == 0
    told = call(talk, cache, *options, command=cli.main)
    assert json.loads(told.stdout)["done"] == {"text": 1, "audio": 1, "video": 1}, told.output
    assert "words-planted-" in json.loads(told.stdout)["feature_sets"]["words"]
    (talk.parent / "two.lab").write_text("so it went")
    shutil.copy(talk, talk.parent / "two.mp4")
    later = call(talk.parent, cache, *options, command=cli.main)
    assert later.exit_code == 3 and "align it first" in later.stderr
    assert "add --aligner cached" in call(talk, cache, "--words", "x", command=cli.main).stderr


def test_a_clip_that_fails_is_named_and_the_others_are_done(planted, talk):
    (talk.parent / "two.wav").write_bytes(b"")
    (talk.parent / "two.txt").write_text("so it goes")
    told = call(talk.parent)
    assert told.exit_code == 3 and "two: failed: " in told.stderr and json.loads(told.stdout)["clip"] == "one"
    assert call(talk.parent, "--max-failures", "1").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["TALK", "cache"], "add --dataset NAME"),
        (["TALK", "cache", "--dataset", "d", "--format", "csv"], "go with SOURCE alone"),
        (["TALK", "--json"], "--format json"),
        (["TALK", "--alignments", "TALKS"], "--aligner textgrid"),
        (["TALK", "--aligner", "textgrid"], "add --alignments FOLDER"),
        (["TALK", "--aligner", "mfa", "--mfa-beam", "50"], "beam"),
        (["TALK", "--aligner", "mfa", "--mfa-command", ""], "is empty"),
        (["TALK", "--aligner", "mfa", "--mfa-acoustic", "klingon"], "mfa model download acoustic klingon"),
    ],
)
def test_wrong_use_is_2_and_one_clear_line(talk, tmp_path, arguments, message):
    named = {"TALK": talk, "TALKS": talk.parent, "cache": tmp_path / "cache"}
    told = call(*(named.get(one, one) for one in arguments))
    assert told.exit_code == 2 and message in told.stderr and "Traceback" not in told.output


def test_a_transcript_in_another_encoding_is_named(talk):
    talk.with_suffix(".lab").write_bytes("café".encode("latin-1"))
    told = call(talk)
    assert told.exit_code == 3 and "one.lab cannot be read as UTF-8" in told.stderr
    talk.with_suffix(".lab").write_bytes("so it goes".encode("utf-16-le"))
    assert "NUL" in call(talk).stderr


def test_words_in_the_cache_are_what_extraction_finds(planted, talk, tmp_path, tiny, planted_aligner):
    cache = tmp_path / "cache"
    aligned = call(talk, cache, "--dataset", "demo", "--json")
    assert json.loads(aligned.stdout)["done"] == {"words": 1}, aligned.output
    assert set(json.loads(aligned.stdout)["feature_sets"]) == {"words"}
    planted_aligner.align = None  # is not asked again
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    options = [part for kind, family in models.items() for part in (f"--{kind}-model", tiny(family))]
    told = call(talk, cache, "--dataset", "demo", "--device", "cpu", "--json", *options, command=cli.main)
    assert json.loads(told.stdout)["done"] == {"text": 1, "audio": 1, "video": 1}, told.output


@pytest.fixture
def corpus(tmp_path, speak):
    """Two speakers' talks whose words the recorded MFA knows, and one whose words it does not."""
    import av

    said = {
        "ann/rice": "Rice is often zorbled in round bowls.",
        "bob/juice": "The juice of lemons makes fine punch.",
        "bob/other": "Nobody recorded this.",
    }
    for name, text in said.items():
        path = tmp_path / "corpus" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".lab").write_text(text)
        sound = speak(text).waveform
        with av.open(str(path), "w") as file:
            stream = file.add_stream("pcm_s16le", rate=16000, layout="mono")
            pcm = np.clip(np.rint(np.pad(sound, (0, 16000)) * 32767), -32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(pcm[None], "s16", "mono")
            frame.sample_rate = 16000
            file.mux([*stream.encode(frame), *stream.encode()])
    return tmp_path / "corpus"


def test_mfa_aligns_a_source_in_one_call_and_goes_on_where_it_ended(corpus, recorded_mfa, tmp_path):
    cache = tmp_path / "cache"
    told = call(corpus, cache, "--dataset", "demo", "--json", *recorded_mfa)
    summary = json.loads(told.stdout)
    assert told.exit_code == 0 and summary["done"] == {"words": 2}, told.output
    (trouble,) = summary["troubles"]
    assert (trouble["clip_id"], trouble["state"]) == ("bob/other", "flagged") and "wrote no file" in trouble["reason"]
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert [len(one["labs"]) for one in calls] == [3, 1]  # all at once, then once more what was left out
    assert "mfa: " in told.stderr
    data = FeatureCache(cache)["demo"]
    words = data.word_times("ann/rice", data.feature_set("words"))
    assert words.start[0] == pytest.approx(0.27) and not words.flag.any()
    assert data.word_times("bob/other", data.feature_set("words")).flag.all()

    again = call(corpus, cache, "--dataset", "demo", "--json", *recorded_mfa)
    assert json.loads(again.stdout)["done"] == {} and len((tmp_path / "calls.jsonl").read_text().splitlines()) == 2
    (corpus / "ann/rice.lab").write_text("Rice is often zorbled in round bowls!")
    assert json.loads(call(corpus, cache, "--dataset", "demo", "--json", *recorded_mfa).stdout)["done"] == {"words": 1}


def test_extraction_runs_mfa_itself_when_words_are_missing(corpus, recorded_mfa, tmp_path, tiny):
    shutil.rmtree(corpus / "bob")
    options = ["--text-model", tiny("bert"), "--audio-model", tiny("hubert"), "--dataset", "d", "--device", "cpu"]
    told = call(corpus, tmp_path / "cache", *options, *recorded_mfa, "--json", command=cli.main)
    assert json.loads(told.stdout)["done"] == {"words": 1, "text": 1, "audio": 1}, told.output
    assert "words-mfa-" in json.loads(told.stdout)["feature_sets"]["words"]


def test_the_doctor_says_what_is_missing_and_what_helps(recorded_mfa, tiny, tmp_path):
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    options = [part for kind, family in models.items() for part in (f"--{kind}-model", tiny(family))]
    told = call("--doctor", "--json", *options, *recorded_mfa, command=cli.main)
    findings = {one["name"]: one for one in json.loads(told.stdout)}
    assert told.exit_code == 0 and {one["state"] for one in findings.values()} <= {"ok", "optional"}
    assert "3.4.3" in findings["aligner: mfa"]["detail"] and findings["mfa acoustic model"]["state"] == "ok"
    without = call(
        "--doctor", "--mfa-command", "no-such-mfa", "--text-model", "no/such", *options[2:], command=cli.main
    )
    assert without.exit_code == 1
    lines = {line.split(":")[0].split(None, 1)[1]: line for line in without.stdout.splitlines()}
    assert lines["text model"].startswith("missing") and "--preset offline" in lines["text model"]
    mfa = next(line for line in without.stdout.splitlines() if "aligner: mfa" in line)
    assert mfa.startswith("optional") and "environment-mfa.yml" in mfa


def test_the_doctor_minds_the_aligner_that_was_chosen(tiny):
    models = {"text": "bert", "audio": "hubert", "video": "vit"}
    options = [part for kind, family in models.items() for part in (f"--{kind}-model", tiny(family))]
    told = call("--doctor", "--aligner", "mfa", "--mfa-command", "no-such-mfa", *options, command=cli.main)
    assert told.exit_code == 1 and "missing   aligner: mfa" in told.stdout
    assert "alone" in call("--doctor", "somewhere", command=cli.main).stderr


def test_source_and_cache_are_needed_without_the_doctor():
    told = call(command=cli.main)
    assert told.exit_code == 2 and "SOURCE and CACHE are both needed" in told.stderr
