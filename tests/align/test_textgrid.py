"""Word times that other tools wrote: MFA's own files where they are present, and small planted ones."""

from __future__ import annotations

import json
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sadgr.align import AlignerUnavailable, AlignmentFailed, Flag, Utterance, split_words
from sadgr.align.textgrid import TextGridAligner

RATE_HZ = 16000
DURATION_SECONDS = 2.0
PLANTED = [(0.2, 0.5, "rice"), (0.5, 0.7, "is"), (0.7, 1.1, "often"), (1.4, 1.9, "served")]


def utterance(clip_id: str, text: str = "Rice is often served.", seconds: float = DURATION_SECONDS) -> Utterance:
    return Utterance(clip_id, split_words(text), np.zeros(round(seconds * RATE_HZ), dtype=np.float32))


def long_textgrid(entries, tier: str = "words") -> str:
    body = "".join(
        f'        intervals [{i}]:\n            xmin = {start} \n            xmax = {end} \n            text = "{label}" \n'
        for i, (start, end, label) in enumerate(entries, 1)
    )
    return (
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = {DURATION_SECONDS} \n'
        "tiers? <exists> \nsize = 1 \nitem []: \n    item [1]:\n"
        f'        class = "IntervalTier" \n        name = "{tier}" \n        xmin = 0 \n        xmax = {DURATION_SECONDS} \n'
        f"        intervals: size = {len(entries)} \n{body}"
    )


def short_textgrid(entries, tier: str = "words") -> str:
    body = "".join(f'{start}\n{end}\n"{label}"\n' for start, end, label in entries)
    return (
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{DURATION_SECONDS}\n<exists>\n1\n'
        f'"IntervalTier"\n"{tier}"\n0\n{DURATION_SECONDS}\n{len(entries)}\n{body}'
    )


def mfa_json(entries, tier: str = "words") -> str:
    tiers = {tier: {"type": "interval", "entries": [list(entry) for entry in entries]}}
    return json.dumps({"start": 0, "end": DURATION_SECONDS, "tiers": tiers})


def mfa_csv(entries) -> str:
    rows = [f"{start},{end},{label},words,spk\n{start},{end},AH,phones,spk\n" for start, end, label in entries]
    return "Begin,End,Label,Type,Speaker\n" + "".join(rows)


def whisper_json(entries) -> str:
    words = [{"word": f" {label}", "start": start, "end": end} for start, end, label in entries]
    return json.dumps({"text": "", "segments": [{"words": words[:2]}, {"words": words[2:]}]})


FORMATS = [
    (long_textgrid, ".TextGrid"),
    (short_textgrid, ".TextGrid"),
    (mfa_json, ".json"),
    (mfa_csv, ".csv"),
    (whisper_json, ".json"),
]
IDS = ["long", "short", "json", "csv", "whisper"]


def read(folder: Path, content: str, ending: str = ".TextGrid", text: str = "Rice is often served."):
    folder.mkdir(exist_ok=True)
    (folder / f"clip{ending}").write_text(content, encoding="utf-8")
    return TextGridAligner(folder).align(utterance("clip", text))


def spans(words) -> list[tuple[float, float]]:
    return [(round(word.start_seconds, 6), round(word.end_seconds, 6)) for word in words]


@pytest.mark.parametrize(("write", "ending"), FORMATS, ids=IDS)
def test_planted_times_come_back(tmp_path, write, ending):
    words = read(tmp_path, write(PLANTED), ending)
    assert [word.text for word in words] == ["Rice", "is", "often", "served."]
    assert spans(words) == [(start, end) for start, end, _ in PLANTED]
    assert {(word.flag, word.score) for word in words} == {(Flag.ALIGNED, 1.0)}


@pytest.mark.parametrize("silence", ["", "sp", "sil", "SIL", "<eps>"])
def test_silences_are_no_words(tmp_path, silence):
    entries = [(0.0, 0.2, silence), *PLANTED[:3], (1.1, 1.4, silence), PLANTED[3], (1.9, 2.0, silence)]
    assert spans(read(tmp_path, long_textgrid(entries))) == [(start, end) for start, end, _ in PLANTED]


@pytest.mark.parametrize("unknown", ["<unk>", "spn"])
def test_an_unknown_word_keeps_its_place(tmp_path, unknown):
    entries = [*PLANTED[:2], (0.7, 1.1, unknown), PLANTED[3]]
    words = read(tmp_path, short_textgrid(entries), text="rice is zorbled served")
    assert spans(words)[2] == (0.7, 1.1)


def test_a_word_without_a_time_is_interpolated_between_its_neighbours(tmp_path):
    words = read(tmp_path, short_textgrid(PLANTED), text="rice is often very -- served")
    assert [word.flag for word in words] == [Flag.ALIGNED] * 3 + [Flag.INTERPOLATED] * 2 + [Flag.ALIGNED]
    assert spans(words)[3:5] == [(1.1, 1.25), (1.25, 1.4)]
    assert [word.score for word in words[3:5]] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        (["do", "n't", "go", "there"], "don't go there"),
        (["don't", "go", "there"], "do n't go there"),
        (["in", "nineteen", "eighty", "four"], "In 1984"),
        (["five", "dollars", "please"], "$5, please!"),
        (["a", "twenty", "one", "gun"], "a twenty-one gun"),
        (["nasa's", "webb"], "NASA’s Webb"),
    ],
)
def test_normalised_words_find_their_way_back(tmp_path, heard, text):
    edges = np.round(np.linspace(0.1, 1.9, len(heard) + 1), 3).tolist()
    words = read(tmp_path, mfa_json(list(zip(edges[:-1], edges[1:], heard, strict=True))), ".json", text)
    assert tuple(word.text for word in words) == split_words(text)
    assert {word.flag for word in words} == {Flag.ALIGNED}
    assert (spans(words)[0][0], spans(words)[-1][1]) == (0.1, 1.9)
    for before, after in pairwise(words):
        assert before.end_seconds == pytest.approx(after.start_seconds)


@pytest.mark.parametrize(
    ("clip_id", "path"),
    [
        ("clip", "clip.TextGrid"),
        ("clip", "speaker/deep/clip.TextGrid"),
        ("-3g5yACwYnA$_$13", "-3g5yACwYnA$_$13.TextGrid"),
        ("-3g5yACwYnA$_$13", "-3g5yACwYnA_13.TextGrid"),
        ("part/clip 1.final", "part_clip 1.final.TextGrid"),
        ("a.b.c", "x/a.b.c.TextGrid"),
        ("é", "é.TextGrid"),
    ],
)
def test_files_are_found_by_their_clips_id(tmp_path, clip_id, path):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(long_textgrid(PLANTED), encoding="utf-8")
    (tmp_path / "other.TextGrid").write_text(long_textgrid(PLANTED[:1]), encoding="utf-8")
    assert len(TextGridAligner(tmp_path).align(utterance(clip_id))) == 4


def test_two_files_for_one_clip_are_named(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.TextGrid").write_text(long_textgrid(PLANTED))
    with pytest.raises(AlignmentFailed, match=r"one.clip\.TextGrid.*two.clip\.TextGrid"):
        TextGridAligner(tmp_path).align(utterance("clip"))


def test_a_clip_without_a_file_is_named(tmp_path):
    (tmp_path / "other.TextGrid").write_text(long_textgrid(PLANTED))
    with pytest.raises(AlignmentFailed, match="'clip'"):
        TextGridAligner(tmp_path).align(utterance("clip"))


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [(0.0, 2.0, "")],
        [(0.2, 0.6, "rice"), (0.5, 0.7, "is"), *PLANTED[2:]],
        [*PLANTED[:3], (1.9, 1.4, "served")],
        [*PLANTED[:3], (1.4, 2.2, "served")],
        [(0.2, 0.5, "quite"), (0.5, 1.0, "another"), (1.0, 1.9, "clip")],
    ],
    ids=["no entry", "silence only", "overlap", "reversed", "past the end", "another transcript"],
)
@pytest.mark.parametrize(("write", "ending"), FORMATS, ids=IDS)
def test_times_that_cannot_be_trusted_fail(tmp_path, write, ending, entries):
    with pytest.raises(AlignmentFailed, match=r"'clip'.+: .+"):
        read(tmp_path, write(entries), ending)


def test_unsorted_intervals_keep_their_own_times_or_fail(tmp_path):
    """Praat's tiers are ordered by time, and praatio restores that order; no other format has the rule."""
    unsorted = [PLANTED[1], PLANTED[0], *PLANTED[2:]]
    for write, ending in FORMATS:
        if ending != ".TextGrid":
            with pytest.raises(AlignmentFailed, match="overlaps what stands before it"):
                read(tmp_path / write.__name__, write(unsorted), ending)
        else:
            assert read(tmp_path / "unsorted", write(unsorted), ending) == read(
                tmp_path / "sorted", write(PLANTED), ending
            )


def test_rounding_at_the_end_is_clamped_to_the_sound(tmp_path):
    words = read(tmp_path, long_textgrid([*PLANTED[:3], (1.4, 2.05, "served")]))
    assert spans(words)[3] == (1.4, 2.0)


def test_a_tier_of_another_name_fails_and_is_named(tmp_path):
    with pytest.raises(AlignmentFailed, match="phones"):
        read(tmp_path, long_textgrid(PLANTED, tier="phones"))


@pytest.mark.parametrize(("write", "ending"), FORMATS, ids=IDS)
def test_a_truncated_file_fails_or_gives_true_times(tmp_path, write, ending):
    """Cut anywhere, a file never crashes the run, and never gives a word another one's time."""
    content = write(PLANTED)
    truth = {label: (start, end) for start, end, label in PLANTED}
    for length in range(0, len(content), 3):
        try:
            words = read(tmp_path, content[:length], ending)
        except AlignmentFailed:
            continue
        for word, span in zip(words, spans(words), strict=True):
            assert word.flag is Flag.INTERPOLATED or span == truth[word.text.lower().strip(".")], content[:length]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\xfa", b"\x89PNG\r\n\x1a\n", b"{}", b"[]", b"null", b'{"tiers": 3}']
)
@pytest.mark.parametrize("ending", [".TextGrid", ".json", ".csv"])
def test_what_is_no_alignment_fails(tmp_path, content, ending):
    (tmp_path / f"clip{ending}").write_bytes(content)
    with pytest.raises(AlignmentFailed, match="'clip'"):
        TextGridAligner(tmp_path).align(utterance("clip"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_praats_encodings(tmp_path, encoding):
    (tmp_path / "clip.TextGrid").write_text(long_textgrid([*PLANTED[:3], (1.4, 1.9, "café")]), encoding=encoding)
    words = TextGridAligner(tmp_path).align(utterance("clip", "rice is often café"))
    assert spans(words)[3] == (1.4, 1.9)


def test_a_folder_without_alignments_is_unavailable(tmp_path):
    (tmp_path / "alignment_analysis.csv").write_text("file,begin,end\n")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(AlignerUnavailable, match=str(folder)):
            TextGridAligner(folder)


def test_settings_follow_names_and_bytes_but_not_the_place(tmp_path):
    def settings(folder: str, name: str, entries) -> dict[str, object]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(long_textgrid(entries))
        return dict(TextGridAligner(tmp_path / folder).settings)

    base = settings("a", "clip.TextGrid", PLANTED)
    assert json.loads(json.dumps(base)) == base
    assert settings("b", "clip.TextGrid", PLANTED) == base
    assert settings("c", "other.TextGrid", PLANTED) != base
    assert settings("d", "clip.TextGrid", PLANTED[:3]) != base


def test_the_reader_travels_to_another_process(tmp_path):
    (tmp_path / "clip.TextGrid").write_text(long_textgrid(PLANTED))
    aligner = TextGridAligner(tmp_path)
    copy = pickle.loads(pickle.dumps(aligner))  # noqa: S301
    assert copy.align(utterance("clip")) == aligner.align(utterance("clip"))


@pytest.mark.parametrize(
    ("folder", "clip_id", "text", "seconds", "first", "last"),
    [
        ("json", "spk0_004", "Rice is often zorbled in round bowls.", 2.925, (0.27, 0.57), (2.09, 2.54)),
        ("textgrid", "spk0_000", "The birch canoe slid on the smooth planks.", 3.061, (0.28, 0.38), None),
        ("", "short", "The birch canoe slid on the smooth planks.", 4.0, (0.26, 0.38), (2.03, 2.64)),
    ],
)
def test_what_mfa_wrote(shared_data, folder, clip_id, text, seconds, first, last):
    words = TextGridAligner(shared_data / "mfa" / folder).align(utterance(clip_id, text, seconds))
    assert tuple(word.text for word in words) == split_words(text)
    assert {word.flag for word in words} == {Flag.ALIGNED}
    assert spans(words)[0] == first
    assert last is None or spans(words)[-1] == last


@pytest.mark.parametrize(
    "content",
    [
        {
            "words": [
                {"word": "rice", "start": 0.2, "end": 0.5, "score": 0.25},
                {"word": "is", "start": 0.5, "end": 0.7},
            ]
        },
        {"segments": [{"words": [{"text": "rice", "start": 0.2, "end": 0.5, "confidence": 0.25}]}]},
        {"segments": [{"words": [{"word": "Rice", "start": 0.2, "end": 0.5, "probability": 0.25}]}]},
    ],
    ids=["flat", "whisper-timestamped", "whisper"],
)
def test_confidences_are_kept(tmp_path, content):
    words = read(tmp_path, json.dumps(content), ".json", "Rice is")
    assert (words[0].score, spans(words)[0]) == (0.25, (0.2, 0.5))
    assert words[1].score == ("words" in content)  # a word without confidence has 1, one without time 0


def test_a_word_that_whisperx_left_untimed_is_interpolated(tmp_path):
    words = [{"word": "in", "start": 0.2, "end": 0.4, "score": 0.9}, {"word": "1984"}]
    words.append({"word": "it", "start": 1.0, "end": 1.2, "score": 0.8})
    read_words = read(tmp_path, json.dumps({"segments": [], "words": words}), ".json", "in 1984 it")
    assert [word.flag for word in read_words] == [Flag.ALIGNED, Flag.INTERPOLATED, Flag.ALIGNED]
    assert spans(read_words)[1] == (0.4, 1.0)


CHAPTER = '1-2-0000 ",RICE,,IS,OFTEN,SERVED," "0.2,0.5,0.6,0.7,1.1,1.9,2.0"\n1-2-0001 "SO,IT,GOES" "0.4,0.6,1.25"\n'


def test_librispeechs_published_alignments(tmp_path):
    (tmp_path / "1/2").mkdir(parents=True)
    (tmp_path / "1/2/1-2.alignment.txt").write_text(CHAPTER)
    aligner = TextGridAligner(tmp_path)
    assert spans(aligner.align(utterance("1-2-0000", "RICE IS OFTEN SERVED"))) == [
        (0.2, 0.5), (0.6, 0.7), (0.7, 1.1), (1.1, 1.9),
    ]  # fmt: skip
    assert spans(aligner.align(utterance("1-2-0001", "SO IT GOES"))) == [(0.0, 0.4), (0.4, 0.6), (0.6, 1.25)]
    with pytest.raises(AlignmentFailed, match=r"'1-2-0002'.*has no alignment"):
        aligner.align(utterance("1-2-0002"))


@pytest.mark.parametrize("line", ["1-2-0009", '1-2-0009 "A,B"', '1-2-0009 "A,B" "0.5"', '1-2-0009 "A" "x"'])
def test_a_broken_line_of_a_chapter_costs_its_own_utterance(tmp_path, line):
    (tmp_path / "1-2.alignment.txt").write_text(f"{line}\n{CHAPTER}")
    aligner = TextGridAligner(tmp_path)
    assert len(aligner.align(utterance("1-2-0001", "SO IT GOES"))) == 3
    with pytest.raises(AlignmentFailed, match=r"'1-2-0009'.*line 1 is not"):
        aligner.align(utterance("1-2-0009", "A B"))


def test_an_utterance_in_two_chapters_is_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.alignment.txt").write_text(CHAPTER)
    with pytest.raises(AlignerUnavailable, match="1-2-0000"):
        TextGridAligner(tmp_path)


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".csv", 'Begin,End,Label,Type,Speaker\n0.1,0.5,"rice,words,x\n'),
        (".csv", "Begin,End,Label,Type,Speaker\n0.1,0.5," + "a" * 200_000 + ",words,x\n"),
        (".json", '{"words": [{"word": "rice", "start": 0.1, "end": 0.5, "score": NaN}]}'),
        (".json", '{"words": [{"word": "rice", "start": 0.1, "end": 1' + "0" * 400 + "}]}"),
        (".json", '{"words": ' + "[" * 100_000),
        (".json", '{"words": [{"word": "rice", "start": -0.0009, "end": -0.0001}]}'),
    ],
    ids=["open quote", "huge field", "score no number", "huge number", "deep", "before the clip"],
)
def test_odd_files_fail_their_clip_or_are_clamped(tmp_path, ending, content):
    (tmp_path / f"clip{ending}").write_text(content)
    (found,) = TextGridAligner(tmp_path).align_all([utterance("clip", "rice")])
    assert found.failure or spans(found.words) == [(0.0, 0.0)]


def test_words_without_length_and_rounded_overlaps_are_no_fault(tmp_path):
    entries = [(0.2, 0.5005, "rice"), (0.5, 0.5, "is"), (0.5, 1.1, "often"), (1.4, 1.9, "served")]
    words = read(tmp_path, mfa_json(entries), ".json")
    edges = [edge for span in spans(words) for edge in span]
    assert {word.flag for word in words} == {Flag.ALIGNED} and edges == sorted(edges)


@pytest.mark.parametrize(
    ("clip_id", "path"),
    [
        ("ann/rice", "ann/rice.TextGrid"),
        ("vid$_$0001", "vid/0001.TextGrid"),
        ("ann/-two", "ann%2F-two.TextGrid"),
        ("-3g5$_$1", "%2D3g5$_$1.TextGrid"),
    ],
)
def test_mfas_own_tree_and_what_sadgr_align_wrote_are_found(tmp_path, clip_id, path):
    for name, entries in ((path, PLANTED), ("other/0001.TextGrid", PLANTED[:1]), ("other/rice.TextGrid", PLANTED[:1])):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(long_textgrid(entries))
    assert len(TextGridAligner(tmp_path).align(utterance(clip_id))) == 4


def test_all_utterances_get_an_answer(tmp_path):
    (tmp_path / "clip.TextGrid").write_text(long_textgrid(PLANTED))
    good, bad = TextGridAligner(tmp_path).align_all([utterance("clip"), utterance("other")])
    assert (good.clip_id, len(good.words), good.failure) == ("clip", 4, "")
    assert (bad.clip_id, bad.words) == ("other", ()) and "has no alignment" in bad.failure
