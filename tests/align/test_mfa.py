"""MFA, driven as a program: by a recorded one everywhere, by the real one where it is installed."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sadgr.align import AlignerUnavailable, Flag, Utterance, split_words
from sadgr.align import mfa as mfa_module
from sadgr.align.mfa import MfaAligner, find_model
from sadgr.align.mfa_corpus import lab_words, write_entry
from sadgr.align.mfa_process import MfaProcess, live
from sadgr.align.mfa_settings import MfaSettings

DATA = Path(__file__).parent / "data/mfa/json/spkA"
RECORDED = (sys.executable, str(Path(__file__).parent / "recorded_mfa.py"))

RATE_HZ = 16000


def said(name):
    content = json.loads((DATA / f"{name}.json").read_text())
    return " ".join(label for *_, label in content["tiers"]["words"]["entries"]), content["end"]


def utterance(clip_id, name="spk0_004", text=None, speaker="ann"):
    words, seconds = said(name)
    tone = 0.1 * np.sin(np.arange(round(seconds * RATE_HZ) + 16) / 20)
    return Utterance(clip_id, split_words(text or words), tone.astype(np.float32), RATE_HZ, speaker)


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """The folder in which the recorded program notes its calls and finds its plan, and an MFA root with models."""
    monkeypatch.setenv("RECORDED_MFA", str(tmp_path))
    monkeypatch.setenv("MFA_ROOT_DIR", str(tmp_path / "mfa"))
    for kind, name in (("acoustic", "english_us_arpa.zip"), ("dictionary", "english_us_arpa.dict"), ("g2p", "g2p.zip")):
        model = tmp_path / "mfa/pretrained_models" / kind / name
        model.parent.mkdir(parents=True)
        model.write_text(f"{kind} {name}")
    return tmp_path


def calls(beside):
    path = beside / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def plan(beside, *steps):
    (beside / "plan.json").write_text(json.dumps(steps))


def aligner(stop=lambda: False, say=lambda _: None, **settings):
    return MfaAligner(MfaSettings(RECORDED, jobs=2, **settings), stop, say)


def test_a_batch_is_one_call_and_comes_back_in_order(beside):
    lines = []
    batch = [utterance("b$_$1"), utterance("-a/é 2", "spk1_005", speaker="bob"), utterance("c")]
    found = list(aligner(say=lines.append).align_all(batch))
    assert [one.clip_id for one in found] == ["b$_$1", "-a/é 2", "c"] and not any(one.failure for one in found)
    (call,) = calls(beside)
    assert len(call["labs"]) == 3 and len({name.split("/")[0] for name in call["labs"]}) == 2
    assert [name.replace(".lab", ".wav") for name in call["labs"]] == call["wavs"]
    arguments = call["arguments"]
    assert arguments[arguments.index("--output_format") + 1] == "json"
    assert arguments[arguments.index("--num_jobs") + 1] == "2"
    assert "--beam=10" in arguments and "--retry_beam=40" in arguments and "--single_speaker" not in arguments
    assert call["models"] == ["english_us_arpa.dict", "english_us_arpa.zip"]
    # The words are the transcript's, their times MFA's own.
    entries = json.loads((DATA / "spk0_004.json").read_text())["tiers"]["words"]["entries"]
    assert [(word.start_seconds, word.end_seconds) for word in found[0].words] == [
        pytest.approx(entry[:2]) for entry in entries
    ]
    assert {word.flag for word in found[0].words} == {Flag.ALIGNED}
    assert any("Setting up corpus" in line for line in lines)
    assert 0 < sum("%" in line for line in lines) < 6  # of a bar, not every step


def test_each_run_has_a_root_and_a_temporary_folder_of_its_own(beside):
    for _ in range(2):
        list(aligner().align_all([utterance("x")]))
    roots = [call["root"] for call in calls(beside)]
    temporary = [call["arguments"][call["arguments"].index("--temporary_directory") + 1] for call in calls(beside)]
    assert len(set(roots)) == len(set(temporary)) == 2
    assert str(beside / "mfa") not in roots and not any(Path(path).exists() for path in (*roots, *temporary))


def test_what_mfa_leaves_out_is_tried_once_more_with_wider_beams(beside):
    words = said("spk0_004")[0]
    plan(beside, {"leave_out": [words]})
    found = list(aligner().align_all([utterance("left out"), utterance("fine", "spk1_005")]))
    assert [one.failure for one in found] == ["", ""]
    first, second = calls(beside)
    assert len(first["labs"]) == 2 and list(second["labs"].values()) == [words + "\n"]
    assert "--beam=100" in second["arguments"] and "--retry_beam=400" in second["arguments"]
    assert second["arguments"].count("--single_speaker") == 1


@pytest.mark.parametrize(("how", "reason"), [("leave_out", "wrote no file"), ("empty", "words tier is empty")])
def test_what_is_still_missing_is_named_with_its_reason(beside, how, reason):
    words = said("spk0_004")[0]
    plan(beside, {how: [words]}, {how: [words], "say": "WARNING could not align"})
    bad, good = aligner().align_all([utterance("bad"), utterance("good", "spk1_005")])
    assert (bad.clip_id, bad.words) == ("bad", ()) and reason in bad.failure
    assert "10 times wider" in bad.failure and "INFO" not in bad.failure and tempfile.gettempdir() not in bad.failure
    assert good.words and len(calls(beside)) == 2


def test_a_crash_over_the_few_that_were_left_out_costs_only_them(beside):
    words = said("spk0_004")[0]
    plan(beside, {"leave_out": [words]}, {"exit": 1, "say": "ERROR There was an error in the run"})
    bad, good = aligner().align_all([utterance("bad"), utterance("good", "spk1_005")])
    assert good.words and "error in the run" in bad.failure


def test_nothing_alignable_fails_the_clips_not_the_run(beside):
    broken = {"exit": 1, "say": "NoAlignmentsError: There were no successful alignments"}
    plan(beside, broken, broken)
    (only,) = aligner().align_all([utterance("x")])
    assert "NoAlignmentsError" in only.failure


def test_a_crash_before_anything_was_aligned_ends_the_run(beside):
    plan(beside, {"exit": 1, "say": "KaldiError: no such device"})
    with pytest.raises(AlignerUnavailable, match=r"exit code 1.*no such device"):
        list(aligner().align_all([utterance("x")]))


WITH_A_CHILD = """
import os, subprocess, sys, time
from pathlib import Path
beside = Path(os.environ["RECORDED_MFA"])
if sys.argv[1] == "version":
    (beside / "version_root").write_text(os.environ["MFA_ROOT_DIR"])
    print("3.4.3")
    raise SystemExit
temporary = Path(sys.argv[sys.argv.index("--temporary_directory") + 1])
temporary.mkdir(parents=True)
worker = "import pathlib, sys, time; [(pathlib.Path(sys.argv[1], str(n)).touch(), time.sleep(0.01)) for n in range(10**6)]"
child = subprocess.Popen([sys.executable, "-c", worker, str(temporary)])
(beside / "pid").write_text(str(child.pid))
if "WITH_A_CHILD" not in os.environ:
    time.sleep(600)
"""


@pytest.fixture
def with_a_child(beside):
    """A program that starts a worker which writes and writes; the worker outlives it if nobody ends it."""
    program = beside / "program.py"
    program.write_text(WITH_A_CHILD)
    return MfaSettings((sys.executable, str(program)))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stop_ends_mfa_and_its_workers_and_leaves_nothing_behind(with_a_child, beside, monkeypatch):
    (beside / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(beside / "tmp"))
    found = list(MfaAligner(with_a_child, stop=(beside / "pid").exists).align_all([utterance("x")]))
    assert found == [] and not is_alive((beside / "pid").read_text()) and not list((beside / "tmp").iterdir())


def test_a_worker_that_outlives_mfa_holds_nobody_up(with_a_child, beside, monkeypatch):
    monkeypatch.setenv("WITH_A_CHILD", "ends")
    (found,) = MfaAligner(with_a_child).align_all([utterance("x")])
    assert "wrote no file" in found.failure and not is_alive((beside / "pid").read_text())


def test_the_version_is_asked_for_in_a_root_of_its_own(with_a_child, beside):
    assert MfaAligner(with_a_child).settings["version"] == "3.4.3"
    assert (beside / "version_root").read_text() != str(beside / "mfa")


def test_a_stop_in_the_second_batch_keeps_the_first(beside, monkeypatch):
    monkeypatch.setattr(mfa_module, "BATCH_CLIPS", 1)
    plan(beside, {}, {"hang": True})
    batch = [utterance("a", speaker="ann"), utterance("b", "spk1_005", speaker="bob")]
    found = list(aligner(stop=lambda: len(calls(beside)) == 2).align_all(batch))
    assert [one.clip_id for one in found] == ["a"] and not found[0].failure


def test_unknown_speakers_do_not_make_one_endless_batch(beside, monkeypatch):
    monkeypatch.setattr(mfa_module, "BATCH_CLIPS", 2)
    list(aligner().align_all(utterance(f"c{number}", speaker="") for number in range(5)))
    assert [len(call["labs"]) for call in calls(beside)] == [2, 2, 1]


def test_batches_end_between_speakers(beside, monkeypatch):
    monkeypatch.setattr(mfa_module, "BATCH_CLIPS", 2)
    speakers = ["ann", "ann", "ann", "bob", "bob", "cy"]
    handed = []

    def utterances():
        for number, speaker in enumerate(speakers):
            handed.append(number)
            yield utterance(f"c{number}", speaker=speaker)

    found = [one.clip_id for one in aligner().align_all(utterances())]
    assert found == [f"c{number}" for number in range(6)] and handed == list(range(6))
    assert [len(call["labs"]) for call in calls(beside)] == [3, 2, 1]


def test_clips_that_mfa_could_not_use_are_not_sent(beside):
    silent = Utterance("silent", ("hi",), np.zeros(RATE_HZ, np.float32), RATE_HZ, "ann")
    symbols = utterance("symbols", text="♪ --")
    found = list(aligner().align_all([silent, symbols, utterance("x")]))
    assert [bool(one.failure) for one in found] == [True, True, False]
    assert "silent" in found[0].failure and len(calls(beside)[0]["labs"]) == 1
    assert list(aligner().align_all([])) == []


def test_unknown_speakers_share_a_folder_and_the_single_speaker_mode(beside):
    list(aligner().align_all([utterance("x", speaker=""), utterance("y", "spk1_005", speaker="")]))
    (call,) = calls(beside)
    assert "--single_speaker" in call["arguments"] and {name.split("/")[0] for name in call["labs"]} == {"unknown"}


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("$5", ("five", "dollars")),
        ("(umm)", ("umm",)),
        ("don’t", ("don't",)),
        ("WELL-KNOWN,", ("well", "known")),
        ("«été»", ("été",)),
        ("Straße.", ("strasse",)),
        ("--", ()),
        ("♪", ()),
        ("日本、", ("日本、",)),
    ],
)
def test_words_as_mfa_sees_them(word, written):
    assert lab_words(word) == written


def test_sound_is_written_sample_for_sample(tmp_path):
    import wave

    ramp = (np.arange(-32768, 32768, 7) / 32768).astype(np.float32)
    entry = write_entry(tmp_path, 3, Utterance("x", ("hi",), ramp, RATE_HZ, "ann"))
    with wave.open(str(tmp_path / entry.folder / "u000003.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(pcm, np.round(ramp * 32768))


def test_settings_follow_models_and_beams_but_not_jobs(beside):
    base = dict(aligner().settings)
    assert base["version"] == "3.4.3" and json.loads(json.dumps(base)) == base
    assert dict(MfaAligner(MfaSettings(RECORDED, jobs=7)).settings) == base
    assert dict(aligner(beam=20).settings) != base and dict(aligner(g2p="g2p").settings) != base
    (beside / "mfa/pretrained_models/dictionary/english_us_arpa.dict").write_text("another")
    assert dict(aligner().settings) != base


def test_what_is_missing_names_the_remedy(beside):
    with pytest.raises(AlignerUnavailable, match=r"mfa model download acoustic french_mfa"):
        aligner(acoustic="french_mfa")
    with pytest.raises(AlignerUnavailable, match=r"no-such-program cannot be started.*environment-mfa\.yml"):
        _ = MfaAligner(MfaSettings(("no-such-program",))).settings
    with pytest.raises(AlignerUnavailable, match=r"`false version` failed"):
        MfaProcess(("false",), lambda: False, print).version()
    with pytest.raises(ValueError, match="beam"):
        MfaSettings(beam=50)
    file = beside / "mine.zip"
    file.touch()
    assert find_model("acoustic", str(file)) == file


def test_conda_is_told_not_to_hold_back_what_is_said():
    assert live(("conda", "run", "-n", "aligner", "mfa")) == (
        "conda",
        "run",
        "--no-capture-output",
        "-n",
        "aligner",
        "mfa",
    )
    assert live(("mfa",)) == ("mfa",)


@pytest.mark.mfa
def test_the_real_program_aligns_real_speech(shared_data, decode):
    """Runs `mfa` from PATH with its English models; onsets in order and near those of the recording's own tier."""
    from praatio import textgrid

    folder = shared_data / "textgrid"
    words = split_words((folder / "acoustic_corpus.lab").read_text())
    sound = decode(folder / "acoustic_corpus.wav")
    (found,) = MfaAligner(MfaSettings((shutil.which("mfa"),))).align_all([Utterance("x", words, sound, RATE_HZ)])
    assert not found.failure
    tier = textgrid.openTextgrid(str(folder / "acoustic_corpus.TextGrid"), False).getTier("words")
    starts = {entry.label: entry.start for entry in reversed(tier.entries)}
    errors = [abs(word.start_seconds - starts[word.text]) for word in found.words[:9] if word.text in starts]
    assert np.median(errors) < 0.05
