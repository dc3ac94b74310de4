"""Miniatures of published data sets, laid out exactly as these are, faults included, with the truth about each clip.

Not a test: tests/extract/test_miniatures.py loads it. Every medium is a second or two of 64x48 and a tone.
"""

import unicodedata
import wave
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np

RATE_HZ = 16000
MEDIA = ("words", "audio", "video")
EVERYTHING = ("words", "text", "audio", "video")


@dataclass(frozen=True)
class Expected:
    """What is true of a clip.

    Attributes:
        split: train, valid, test or "".
        label: sentiment; None where it has none.
        text: transcript.
        audio: file with its sound, below the tree, and the span of it; None for no sound.
        video: the same for its picture.
        failed: stages that fail.
        absent: stages of which the clip has nothing.
        why: what the reason must say, where a stage fails.
        more: further columns of labels.csv.
    """

    split: str = ""
    label: float | None = None
    text: str = "so it goes"
    audio: tuple | None = None
    video: tuple | None = None
    failed: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    why: str = ""
    more: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Miniature:
    """A tree and the truth: clip id -> what is expected of it."""

    path: Path
    clips: dict[str, Expected]

    @property
    def splits(self) -> dict[str, set[str]]:
        """Split -> clip ids."""
        found: dict[str, set[str]] = {}
        for clip_id, clip in self.clips.items():
            found.setdefault(clip.split, set()).add(clip_id)
        return found


def film(path: Path, seconds: float = 1.0, black: bool = False) -> None:
    """Write ten grey (or black) video frames a second, and a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = file.add_stream("aac", rate=RATE_HZ, layout="mono")
        for number in range(round(10 * seconds)):
            level = np.full((48, 64, 3), 0 if black else 30 + 8 * (number % 20), np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(level)))
        file.mux(audio.encode(_tone(seconds)))
        for stream in file.streams:
            file.mux(stream.encode())


def sound(path: Path, seconds: float = 1.0) -> None:
    """Write a tone as .wav or .flac."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".wav":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            file.writeframes((_tone(seconds).to_ndarray()[0] * 2**15).astype(np.int16).tobytes())
        return
    with av.open(str(path), "w") as file:
        stream = file.add_stream("flac", rate=RATE_HZ, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray((_tone(seconds).to_ndarray() * 2**15).astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


def broken(path: Path) -> None:
    """Write what is no medium."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is not a film\n" * 50)


def write(path: Path, *lines: str) -> None:
    """Write lines as UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _tone(seconds: float) -> av.AudioFrame:
    time = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    frame = av.AudioFrame.from_ndarray((0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None], "fltp", "mono")
    frame.sample_rate = RATE_HZ
    return frame


NO_SPAN = (None, None)
WITHOUT_TEXT = {"text": "", "absent": ("text",)}


def lay_mosi(path: Path) -> Miniature:
    """CMU-MOSI, with ids of all three standard folds and one of none."""
    raw = path / "Raw"
    train, valid, test, other = "03bSnISJMiM", "_dI--eQ6qVU", "c7UH_rxdZv4", "-Zoë 2.0"

    def media(name: str, with_film: bool = True, with_wav: bool = True, black: bool = False) -> None:
        if with_film:
            film(raw / "Video/Segmented" / f"{name}.mp4", black=black)
        if with_wav:
            sound(raw / "Audio/WAV_16000/Segmented" / f"{name}.wav")

    for name in (f"{train}_1", f"{train}_10", f"{valid}_1", f"{test}_1", f"{test}_2", f"{other}_1"):
        media(name)
    media(f"{train}_2", with_wav=False)
    media(f"{train}_3", black=True)
    media(f"{valid}_2", with_film=False)
    broken(raw / "Video/Segmented" / f"{valid}_2.mp4")
    media(f"{test}_3", with_film=False)
    media(f"{test}_9", with_wav=False)
    broken(raw / "Video/Segmented/notes.mp4")
    said = raw / "Transcript/Segmented"
    write(said / f"{train}.annotprocessed", *(f"{n}_DELIM_SO IT GOES" for n in (1, 2, 3, 10)))
    write(said / f"{valid}.annotprocessed", "1_DELIM_SO IT GOES", "2_DELIM_SO IT GOES")
    write(said / f"{test}.annotprocessed", "1_DELIM_SO IT GOES", "3_DELIM_SO IT GOES", "4_DELIM_SO IT GOES")
    # As macOS writes names: its "ë" is two characters, and that of the table of labels is one.
    apart = unicodedata.normalize("NFD", other)
    write(said / f"{apart}.annotprocessed", "1_DELIM_so_DELIM_it goes", "SO IT GOES", "")
    rows = [(train, 1, 2.4), (train, 2, -0.8), (train, 3, 1.0), (train, 10, 0.0), (valid, 1, 1.6), (valid, 2, -3.0)]
    rows += [(test, 2, 3.0), (test, 3, 1.2), (test, 4, -1.2), (other, 1, 0.6)]
    lines = [f"{n}.5,{n + 1}.25,{video},{n},{label}" for video, n, label in rows]
    write(path / "Labels/OpinionLevelSentiment.csv", *lines)

    def clip(video: str, n: int, split: str, wav: bool = True, **more) -> Expected:
        label = next((one for name, number, one in rows if (name, number) == (video, n)), None)
        mp4 = f"Raw/Video/Segmented/{video}_{n}.mp4"
        heard = (f"Raw/Audio/WAV_16000/Segmented/{video}_{n}.wav" if wav else mp4, NO_SPAN)
        times = {} if label is None else {"start": n + 0.5, "end": n + 1.25}
        return Expected(
            split, label, **{"text": "SO IT GOES", "audio": heard, "video": (mp4, NO_SPAN), "more": times, **more}
        )

    gone = {"failed": ("video",), "why": "no such file"}
    clips = {
        f"{train}$_$1": clip(train, 1, "train"),
        f"{train}$_$2": clip(train, 2, "train", wav=False),
        f"{train}$_$3": clip(train, 3, "train"),
        f"{train}$_$10": clip(train, 10, "train"),
        f"{valid}$_$1": clip(valid, 1, "valid"),
        f"{valid}$_$2": clip(valid, 2, "valid", failed=("video",), why=f"{valid}_2.mp4"),
        f"{test}$_$1": clip(test, 1, "test"),
        f"{test}$_$2": clip(test, 2, "test", **WITHOUT_TEXT),
        f"{test}$_$3": clip(test, 3, "test", **gone),
        f"{test}$_$4": clip(test, 4, "test", wav=False, failed=MEDIA, why="no such file"),
        f"{test}$_$9": clip(test, 9, "test", wav=False, **WITHOUT_TEXT),
        f"{other}$_$1": clip(other, 1, "", text="so_DELIM_it goes"),
        f"{other}$_$line 2": Expected(text="", failed=EVERYTHING, why="line 2: 'SO IT GOES' is not"),
        "notes": Expected(text="", failed=EVERYTHING, why="is not named"),
    }
    return Miniature(path, clips)


def lay_mosei(path: Path) -> Miniature:
    """CMU-MOSEI with the SDK's labels and standard folds; clips are numbered from 0, videos have ids of both habits."""
    raw = path / "Raw"
    said, segments, films, sounds = (
        raw / name
        for name in (
            "Transcript/Segmented/Combined",
            "Videos/Segmented/Combined",
            "Videos/Full/Combined",
            "Audio/Full/WAV_16000",
        )
    )
    train, valid, test, unheard, gone = "-3nNcZdcd_", "100499", "Zoë v.2", "no label", "no label 2"

    def line(video: str, clip: int, start: float, end: float, text: str = "so it goes") -> str:
        return f"{video}___{clip}___{start}___{end}___{text}"

    write(
        said / f"{train}.txt",
        line(train, 0, 0.0, 1.0),
        line(train, 1, 1.0, 2.0, "_so_____ it"),
        line(train, 2, 5.0, 6.0),
    )
    write(
        said / f"{valid}.txt", line(valid, 1, 1.0, 2.0), line(valid, 0, 0.0, 1.0), line(valid, 2, 1.5, 1.5), "nonsense"
    )
    write(said / f"{test}.txt", line(test, 0, 0.0, 1.0), line(test, 1, 0.5, 1.5), line(test, 2, "soon", 2.0))
    with (said / f"{test}.txt").open("ab") as file:
        file.write(f"{test}___3___3.0___4.0___caf".encode() + b"\xe9\n")
    write(said / f"{unheard}.txt", line(unheard, 0, 7.0, 8.0))
    write(said / f"{gone}.txt", line(gone, 0, 0.0, 1.0))
    for video in (train, test):
        sound(sounds / f"{video}.wav", 2.0)
    for name in (f"{train}_0", f"{train}_1", f"{train}_2", f"{test}_0", f"{unheard}_0", f"{valid}_7"):
        film(segments / f"{name}.mp4")
    film(segments / f"{valid}_0.mp4", black=True)
    broken(segments / f"{test}_1.mp4")
    broken(segments / f"._{test}_1.mp4")
    film(films / f"{valid}.mp4", 2.0)

    def values(seed: int) -> list[float]:
        return [(seed % 7) - 3.0, *(float(round((seed * k % 10) / 3, 4)) for k in range(1, 7))]

    labels = {
        train: [(0.0, 1.0, values(1)), (1.015, 1.985, values(2)), (5.0, 6.0, values(3))],
        valid: [(0.0, 1.0, values(4)), (1.5, 1.5, values(5))],
        test: [(0.0, 1.0, values(6)), (1.0, 2.0, values(7))],  # the second one lies half a second off its clip
        "elsewhere": [(0.0, 1.0, values(8))],
    }
    write_csd(path / "CMU_MOSEI_Labels.csd", labels)
    folds = {"train": [train, "elsewhere"], "valid": [valid], "test": [test, unheard, gone]}
    lists = [f"standard_{split}_fold = {videos!r}" for split, videos in folds.items()]
    write(path / "cmu_mosei_std_folds.py", '"""Folds."""', *lists, "raise SystemExit('this was run')")

    def clip(name: str, n: int | str, split: str, label: list | None, **more) -> Expected:
        names = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
        emotions = dict(zip(names, label[1:], strict=True)) if label else dict.fromkeys(names)
        mp4 = (f"Raw/Videos/Segmented/Combined/{name}_{n}.mp4", NO_SPAN)
        return Expected(split, label and label[0], **{"video": mp4, "more": emotions, **more})

    def wav(video: str, *span: float) -> tuple:
        return (f"Raw/Audio/Full/WAV_16000/{video}.wav", span)

    def whole(video: str, *span: float) -> tuple:
        return (f"Raw/Videos/Full/Combined/{video}.mp4", span)

    fault = {"text": "", "failed": EVERYTHING, "video": None}
    clips = {
        f"{train}$_$0": clip(train, 0, "train", values(1), audio=wav(train, 0.0, 1.0)),
        f"{train}$_$1": clip(train, 1, "train", values(2), audio=wav(train, 1.0, 2.0), text="_so_____ it"),
        f"{train}$_$2": clip(
            train,
            2,
            "train",
            values(3),
            audio=wav(train, 5.0, 6.0),
            failed=("words", "audio"),
            why="the stream ends at",
        ),
        f"{valid}$_$0": clip(valid, 0, "valid", values(4), audio=whole(valid, 0.0, 1.0)),
        f"{valid}$_$1": clip(valid, 1, "valid", None, audio=whole(valid, 1.0, 2.0), video=whole(valid, 1.0, 2.0)),
        f"{valid}$_$2": clip(valid, 2, "valid", values(5), **fault, why="ends at 1.5 s, not after its beginning"),
        f"{valid}$_$line 4": clip(valid, "", "valid", None, **fault, why="line 4: 'nonsense' is not"),
        f"{valid}$_$7": clip(
            valid, 7, "valid", None, audio=(f"Raw/Videos/Segmented/Combined/{valid}_7.mp4", NO_SPAN), **WITHOUT_TEXT
        ),
        f"{test}$_$0": clip(test, 0, "test", values(6), audio=wav(test, 0.0, 1.0)),
        f"{test}$_$1": clip(test, 1, "test", None, audio=wav(test, 0.5, 1.5), failed=("video",), why=f"{test}_1.mp4"),
        f"{test}$_$2": clip(test, 2, "test", None, **fault, why="its start 'soon' is no finite number"),
        f"{test}$_$3": clip(test, 3, "test", None, **fault, why="no UTF-8 text"),
        f"{test}$_$label 2": clip(test, "", "test", values(7), **fault, why="1.000 to 2.000 s, and no clip lies there"),
        f"{unheard}$_$0": clip(
            unheard, 0, "test", None, audio=(f"Raw/Videos/Segmented/Combined/{unheard}_0.mp4", NO_SPAN)
        ),
        f"{gone}$_$0": clip(gone, 0, "test", None, audio=wav(gone, 0.0, 1.0), failed=MEDIA, why="no such file"),
    }
    return Miniature(path, clips)


def write_csd(path: Path, labels: dict[str, list[tuple[float, float, list[float]]]]) -> None:
    """Write labels as the SDK does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for video, rows in labels.items():
            group = file.create_group(f"All Labels/data/{video}")
            group["features"] = np.array([values for _, _, values in rows], np.float32)
            group["intervals"] = np.array([(start, end) for start, end, _ in rows])


def lay_mmsa(path: Path) -> Miniature:
    """MMSA's layout with the labels of each modality, columns in no special order, and every kind of bad medium."""
    for name in ("-vid/0001", "-vid/10", "Zoë $_$ 2/a.b"):
        film(path / "Raw" / f"{name}.mp4")
    film(path / "Raw/-vid/black.mp4", black=True)
    broken(path / "Raw/-vid/broken.mp4")
    write(
        path / "label.csv",
        "text,label,label_T,label_A,label_V,mode,clip_id,annotation,video_id",
        "so it goes and NA,1.5,1.0,2.0,-0.5,train,0001,Positive,-vid",
        "NA,-0.5,,0.0,0.0,valid,10,Negative,-vid",
        '"so, it goes",0.0,0.0,0.0,0.0,test,a.b,Neutral,Zoë $_$ 2',
        "so it goes,2.0,2.0,2.0,2.0,train,black,Positive,-vid",
        "so it goes,-2.0,2.0,2.0,2.0,test,broken,Negative,-vid",
        "so it goes,,,,,test,gone,,-vid",
    )

    def clip(name: str, split: str, text: str, *labels: float | None, note: str = "", **more) -> Expected:
        label, *others = labels
        mp4 = (f"Raw/{name}.mp4", NO_SPAN)
        columns = {**dict(zip(("label_T", "label_A", "label_V"), others, strict=True)), "annotation": note}
        return Expected(split, label, text, mp4, mp4, more=columns, **more)

    goes = "so it goes"
    clips = {
        "-vid$_$0001": clip("-vid/0001", "train", "so it goes and NA", 1.5, 1.0, 2.0, -0.5, note="Positive"),
        "-vid$_$10": clip("-vid/10", "valid", "NA", -0.5, None, 0.0, 0.0, note="Negative"),
        "Zoë $_$ 2$_$a.b": clip("Zoë $_$ 2/a.b", "test", "so, it goes", 0.0, 0.0, 0.0, 0.0, note="Neutral"),
        "-vid$_$black": clip("-vid/black", "train", goes, 2.0, 2.0, 2.0, 2.0, note="Positive"),
        "-vid$_$broken": clip(
            "-vid/broken", "test", goes, -2.0, 2.0, 2.0, 2.0, note="Negative", failed=MEDIA, why="broken.mp4"
        ),
        "-vid$_$gone": clip("-vid/gone", "test", goes, None, None, None, None, failed=MEDIA, why="no such file"),
    }
    return Miniature(path, clips)


def lay_librispeech(path: Path) -> Miniature:
    """Two parts of LibriSpeech; one utterance's file is missing, another was cut short."""
    clips: dict[str, Expected] = {}
    for part, split, speaker in (
        ("train-clean-100", "train", "19"),
        ("dev-other", "valid", "84"),
        ("test-clean", "test", "61"),
    ):
        chapter = f"{part}/{speaker}/7"
        ids = [f"{speaker}-7-{number:04d}" for number in range(2)]
        for clip_id in ids:
            sound(path / chapter / f"{clip_id}.flac")
            more = {"speaker": speaker, "part": part}
            clips[clip_id] = Expected(split, None, "SO IT GOES", (f"{chapter}/{clip_id}.flac", NO_SPAN), more=more)
        write(path / chapter / f"{speaker}-7.trans.txt", *(f"{clip_id} SO IT GOES" for clip_id in ids))
    (path / "train-clean-100/19/7/19-7-0001.flac").unlink()
    cut = path / "dev-other/84/7/84-7-0000.flac"
    cut.write_bytes(cut.read_bytes()[:-4000])
    clips["19-7-0001"] = replace(clips["19-7-0001"], failed=("words", "audio"), why="no such file")
    clips["84-7-0000"] = replace(clips["84-7-0000"], failed=("words", "audio"), why="84-7-0000.flac")
    return Miniature(path, clips)


BUILDERS = {"mosi": lay_mosi, "mosei": lay_mosei, "mmsa": lay_mmsa, "librispeech": lay_librispeech}
