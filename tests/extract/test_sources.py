import pytest

from sadgr.extract.clips import Medium
from sadgr.extract.errors import SourceError
from sadgr.extract.sources import open_source, read_clips

LABELS = """text,label,mode,clip_id,annotation,video_id,label_T
"so it goes, and NA",1.5,train,0001,Positive,-vid,1.0
NA,-0.5,test,10,Negative,Zoë $_$ 2,
"""


def test_mmsas_table_is_read_by_column_names_and_ids_stay_text(tmp_path):
    (tmp_path / "label.csv").write_text(LABELS, encoding="utf-8")
    source = open_source(tmp_path)
    first, second = read_clips(source)
    assert (source.layout, source.dataset) == ("mmsa", None)
    assert first.clip_id == "-vid$_$0001"
    assert first.video == first.audio == Medium(tmp_path / "Raw" / "-vid" / "0001.mp4")
    assert first.words == ("so", "it", "goes,", "and", "NA")
    assert first.columns["mode"] == "train" and first.columns["label"] == 1.5
    assert second.clip_id == "Zoë $_$ 2$_$10"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video_id,text\na,b\n", "no column 'clip_id'"),
        ("video_id,clip_id,text\n../../etc,passwd,x\n", "is no file name"),
        ("video_id,clip_id,text\na,1,x\na,1,y\n", "stands twice"),
        ("video_id,clip_id,text\n", "no clip"),
        ("video_id,clip_id,text\na,,x\n", "1 rows lack"),
        ("", "cannot be read as CSV"),
    ],
)
def test_faulty_tables_are_refused_in_words(tmp_path, table, message):
    (tmp_path / "label.csv").write_text(table)
    with pytest.raises(SourceError, match=message):
        read_clips(open_source(tmp_path))


def test_librispeech_names_itself_its_splits_and_its_speakers(tmp_path):
    for part, speaker in (("dev-clean", "84"), ("train-clean-100", "19")):
        chapter = tmp_path / part / speaker / "7"
        chapter.mkdir(parents=True)
        (chapter / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 GO ON\n{speaker}-7-0001 STOP\n")
    source = open_source(tmp_path)
    clips = {clip.clip_id: clip for clip in read_clips(source)}
    assert source.dataset == "librispeech"
    assert list(clips) == ["84-7-0000", "84-7-0001", "19-7-0000", "19-7-0001"]
    assert clips["84-7-0001"].columns["mode"] == "valid" and clips["19-7-0000"].columns["mode"] == "train"
    assert clips["19-7-0000"].audio.path == tmp_path / "train-clean-100" / "19" / "7" / "19-7-0000.flac"
    assert clips["19-7-0000"].video is None
    assert len(read_clips(open_source(tmp_path / "dev-clean"))) == 2


SRT = """1
00:00:00,210 --> 00:00:04,260
NAR: This is the <i>optical</i>
segment

2
00:00:04,260 --> 00:01:08,350
>> at NASA’s
"""


@pytest.mark.parametrize("ending", [".srt", ".vtt"])
def test_each_cue_is_a_clip_and_nobody_says_the_speaker_tag(tmp_path, ending):
    media = tmp_path / "talk.mp4"
    media.touch()
    content = SRT if ending == ".srt" else "WEBVTT\n\n" + SRT.replace(",", ".")
    media.with_suffix(ending).write_text(content, encoding="utf-8")
    for path in (media, tmp_path):
        first, second = read_clips(open_source(path))
        assert (first.clip_id, *first.video.span) == ("talk$_$1", 0.21, 4.26)
        assert first.words == ("This", "is", "the", "optical", "segment")
        assert first.columns["speaker"] == "NAR"
        assert second.video.end_seconds == 68.35 and second.video.path == media


def test_nothing_in_a_folder_is_passed_over(tmp_path):
    """Subtitles beside transcripts, capitals, a film's own sound, folders in folders, and media without any text."""
    for name in ("a.wav", "b.wav", "c.mp4", "c.wav", "s1/u/D.WAV", "s2/e.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8")
    for name in ("b.lab", "c.TXT", "s1/u/D.LAB"):
        (tmp_path / name).write_text("so it goes")
    clips = {clip.clip_id: clip for clip in read_clips(open_source(tmp_path))}
    assert list(clips) == ["a$_$1", "a$_$2", "b", "c", "s1/u/D", "s2/e"]
    assert clips["c"].audio.path.name == "c.wav" and clips["c"].video.path.name == "c.mp4"
    assert clips["s1/u/D"].columns["speaker"] == "u" and clips["s1/u/D"].words == ("so", "it", "goes")
    assert clips["s2/e"].transcript == "" and not clips["s2/e"].fault


def test_text_that_cannot_be_read_costs_its_own_clips_only(tmp_path):
    for name in ("bad", "good", "worse"):
        (tmp_path / f"{name}.wav").touch()
    (tmp_path / "bad.lab").write_bytes("café".encode("latin-1"))
    (tmp_path / "good.lab").write_text("so it goes")
    (tmp_path / "worse.srt").write_text("1\n00:00:02,000 --> 00:00:01,000\nbackwards\n")
    faults = {clip.clip_id: clip.fault for clip in read_clips(open_source(tmp_path))}
    assert not faults["good"] and "UTF-8" in faults["bad"] and "ends before it begins" in faults["worse$_$1"]


def test_sound_alone_has_no_video(tmp_path):
    (tmp_path / "talk.wav").touch()
    (tmp_path / "talk.srt").write_text(SRT, encoding="utf-8")
    assert read_clips(open_source(tmp_path))[0].video is None


def test_unknown_and_missing_sources_say_what_is_known(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"no known layout.*label\.csv"):
        open_source(tmp_path)
