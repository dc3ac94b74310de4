"""The embedded aligner on planted speech, on real recordings whose word times are known, and on what cannot be aligned."""

from __future__ import annotations

import json
import pickle
import sys
import wave
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from praatio import textgrid

from sadgr.align import AlignerUnavailable, AlignmentFailed, Flag, Utterance, evenly_spaced, pauses, split_words
from sadgr.align.pocketsphinx import PocketSphinxAligner

RATE_HZ = 16000
SAID = split_words("the juice of lemons makes fine punch")
NOISE = np.random.default_rng(0).normal(scale=0.05, size=3 * RATE_HZ).astype(np.float32)


@pytest.fixture(scope="module")
def aligner() -> PocketSphinxAligner:
    return PocketSphinxAligner()


@pytest.fixture(scope="module")
def spontaneous(shared_data: Path) -> tuple[NDArray[np.float32], list[tuple[str, float]]]:
    """26.7 s of spontaneous speech, and the word tier's labels and onsets."""
    with wave.open(str(shared_data / "textgrid/acoustic_corpus.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    tier = textgrid.openTextgrid(str(shared_data / "textgrid/acoustic_corpus.TextGrid"), False).getTier("words")
    return samples.astype(np.float32) / 2**15, [(entry.label, entry.start) for entry in tier.entries]


def starts(words) -> NDArray[np.float64]:
    return np.array([word.start_seconds for word in words])


def assert_in_order(words, duration_seconds: float) -> None:
    for before, after in pairwise(words):
        assert before.start_seconds <= after.start_seconds
        assert before.end_seconds <= after.end_seconds
    assert words[-1].end_seconds <= duration_seconds


def test_planted_words_are_found_where_the_synthesiser_put_them(aligner, speech):
    words = aligner.align(Utterance("planted", SAID, speech.waveform))
    assert tuple(word.text for word in words) == SAID
    assert {word.flag for word in words} == {Flag.ALIGNED}
    assert np.abs(starts(words) - speech.onsets_seconds).max() < 0.08
    assert_in_order(words, len(speech.waveform) / RATE_HZ)


def test_a_delay_moves_every_word_by_itself(aligner, speech):
    quiet = np.random.default_rng(1).normal(scale=1e-3, size=RATE_HZ // 2).astype(np.float32)
    plain = aligner.align(Utterance("plain", SAID, speech.waveform))
    late = aligner.align(Utterance("late", SAID, np.concatenate([quiet, speech.waveform])))
    assert np.abs(starts(late) - starts(plain) - 0.5).max() <= 0.05


@pytest.mark.parametrize(
    "text", ["The JUICE, of “lemons” — makes (fine) punch.", "the juice of lemons makes fine-punch ♪"]
)
def test_the_transcripts_own_words_come_back(aligner, speech, text):
    words = aligner.align(Utterance("typed", split_words(text), speech.waveform))
    assert tuple(word.text for word in words) == split_words(text)
    silent = [word for word in words if not any(letter.isalnum() for letter in word.text)]
    assert silent
    assert {(word.flag, word.score) for word in silent} == {(Flag.INTERPOLATED, 0.0)}
    assert all(word.flag is Flag.ALIGNED for word in words if word not in silent)
    assert_in_order(words, len(speech.waveform) / RATE_HZ)


def test_a_word_without_english_letters_is_interpolated_and_the_others_kept(aligner, speech):
    words = aligner.align(Utterance("mixed", (*SAID[:3], "日本", *SAID[3:]), speech.waveform))
    assert [word.flag for word in words] == [Flag.ALIGNED] * 3 + [Flag.INTERPOLATED] + [Flag.ALIGNED] * 4


def test_what_was_aligned_before_changes_nothing(speech):
    first, other = Utterance("first", SAID, speech.waveform), Utterance("other", ("zorbled", "rice"), NOISE)
    aligner = PocketSphinxAligner()
    alone = aligner.align(first)
    for _ in range(2):
        with suppress(AlignmentFailed):  # the noise need not be speech; it only has to have been heard
            aligner.align(other)
        assert aligner.align(first) == alone
    assert PocketSphinxAligner().align(first) == alone


def test_an_aligner_travels_to_another_process_before_and_after_use(speech):
    utterance = Utterance("planted", SAID, speech.waveform)
    fresh = PocketSphinxAligner()
    copies = [pickle.loads(pickle.dumps(fresh))]  # noqa: S301
    expected = fresh.align(utterance)
    copies.append(pickle.loads(pickle.dumps(fresh)))  # noqa: S301
    assert [copy.align(utterance) for copy in copies] == [expected, expected]


def test_the_right_transcript_scores_higher_than_a_wrong_one(aligner, speech):
    def mean_score(text: str) -> float:
        return float(
            np.mean([word.score for word in aligner.align(Utterance("x", split_words(text), speech.waveform))])
        )

    wrong = ("she had no money at all", "nobody knows where they went", "we might as well go home")
    assert mean_score(" ".join(SAID)) > max(map(mean_score, wrong)) + 0.1


@pytest.mark.parametrize(
    ("words", "waveform", "rate_hz"),
    [
        (SAID, np.zeros(2 * RATE_HZ, dtype=np.float32), RATE_HZ),
        (SAID, NOISE[: RATE_HZ // 20], RATE_HZ),
        (SAID, NOISE[:0], RATE_HZ),
        (SAID, NOISE, 8000),
        ((), NOISE, RATE_HZ),
        (("--", "♪"), NOISE, RATE_HZ),
        (("word",) * 1000, NOISE, RATE_HZ),
    ],
    ids=["silence", "50 ms", "no sound", "8 kHz", "no words", "nothing to say", "1000 words in 3 s"],
)
def test_what_cannot_be_aligned_fails_by_name_and_reason(aligner, words, waveform, rate_hz):
    with pytest.raises(AlignmentFailed, match=r"'video\$_\$3'.+: .+"):
        aligner.align(Utterance("video$_$3", words, waveform, rate_hz))


def test_loud_sound_is_clipped_not_wrapped(aligner, speech):
    # Wrapped samples would turn the loudest parts of the speech into noise.
    gain = 1.5 / np.abs(speech.waveform).max()
    loud = aligner.align(Utterance("loud", SAID, speech.waveform * np.float32(gain)))
    assert np.abs(starts(loud) - speech.onsets_seconds).max() < 0.1


def test_an_unknown_word_without_the_optional_packages_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(AlignerUnavailable, match=r"sadgr\[g2p\]"):
        PocketSphinxAligner().align(Utterance("x", ("zorbled",), NOISE))


def test_settings_are_json_stable_and_complete(aligner):
    assert json.loads(json.dumps(dict(aligner.settings))) == dict(PocketSphinxAligner().settings)
    assert "5.1" in json.dumps(dict(aligner.settings))


def test_spontaneous_speech_is_found_within_tens_of_milliseconds(aligner, spontaneous):
    waveform, truth = spontaneous
    words = aligner.align(Utterance("spontaneous", tuple(label for label, _ in truth), waveform))
    onsets = np.array([start for _, start in truth])
    errors = np.abs(starts(words) - onsets)
    floor = np.abs(starts(evenly_spaced([label for label, _ in truth], len(waveform) / RATE_HZ)) - onsets)
    print(
        f"\nonsets of {len(truth)} words: median {np.median(errors) * 1000:.0f} ms, mean {errors.mean() * 1000:.1f} ms, "
        f"within 50 ms {(errors <= 0.05).mean():.1%}, worst {errors.max() * 1000:.0f} ms; "
        f"even spacing: median {np.median(floor) * 1000:.0f} ms"
    )
    assert np.median(errors) <= 0.03
    assert (errors <= 0.05).mean() >= 0.9
    assert errors.mean() < floor.mean() / 10


def test_a_pause_before_a_word_is_not_the_words(aligner, spontaneous):
    """Without its second search, the aligner gives "words" at 16.3 s 220 ms of the silence before it."""
    waveform, truth = spontaneous
    words = aligner.align(Utterance("spontaneous", tuple(label for label, _ in truth), waveform))
    assert np.abs(starts(words) - [start for _, start in truth]).max() <= 0.1


def test_the_limits_of_a_pause_stand_in_the_middle_of_a_wide_range(aligner, spontaneous, monkeypatch):
    waveform, truth = spontaneous
    utterance = Utterance("spontaneous", tuple(label for label, _ in truth), waveform)
    expected = aligner.align(utterance)
    for quiet_db, shortest_seconds in ((-4.0, 0.1), (-15.0, 0.1), (-10.0, 0.08)):
        monkeypatch.setattr(pauses, "QUIET_DB", quiet_db)
        monkeypatch.setattr(pauses, "SHORTEST_PAUSE_SECONDS", shortest_seconds)
        assert aligner.align(utterance) == expected, (quiet_db, shortest_seconds)


class Losing:
    """A decoder that loses the last word: what the real one does with narrow beams."""

    def __init__(self, decoder):
        self._decoder = decoder

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def seg(self):
        return [one for one in self._decoder.seg() if not one.word.startswith(SAID[-1])]


def test_a_lost_word_is_looked_for_with_wider_beams_and_never_passed_over(speech):
    utterance = Utterance("planted", SAID, speech.waveform)
    whole = PocketSphinxAligner().align(utterance)
    narrow = PocketSphinxAligner()
    narrow.__dict__["_decoder"] = Losing(narrow._decoder)
    assert [word.text for word in narrow.align(utterance)] == list(SAID)
    assert np.abs(starts(narrow.align(utterance)) - starts(whole)).max() < 0.05
    narrow.__dict__["_wide_decoder"] = Losing(narrow._wide_decoder)
    with pytest.raises(AlignmentFailed, match="do not fit"):
        narrow.align(utterance)


def test_the_raw_transcript_with_its_hesitations_aligns_whole(aligner, spontaneous, shared_data):
    transcript = (shared_data / "textgrid/acoustic_corpus.lab").read_text()
    words = aligner.align(Utterance("raw", split_words(transcript), spontaneous[0]))
    assert tuple(word.text for word in words) == split_words(transcript)
    assert {word.flag for word in words} == {Flag.ALIGNED}


def test_narration_falls_into_its_subtitles(aligner, narration):
    cues = [
        (0.21, 4.26, "This is the optical and science segment of the Webb"),
        (4.26, 8.35, "space telescope in one of the largest cleanrooms in the world"),
        (8.35, 12.47, "at NASA’s Goddard Space Flight Center in Greenbelt, Maryland."),
    ]
    words = aligner.align(Utterance("webb", split_words(" ".join(text for *_, text in cues)), narration))
    assert [word.text for word in words][-1] == "Maryland."
    position = 0
    for begin, end, text in cues:
        for word in words[position : position + len(split_words(text))]:
            assert begin - 1.0 < word.start_seconds < end + 0.5, word  # subtitles are cut by eye
        position += len(split_words(text))
