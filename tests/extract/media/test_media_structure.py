"""Is a file of one piece? Every cut and every broken header, found without decoding; whole files are left in peace."""

import numpy as np
import pytest
from av.stream import Disposition

from sadgr.extract.media.container import choice_text, find_audio, open_media
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.matroska import matroska_fault
from sadgr.extract.media.mp4 import mp4_fault
from sadgr.extract.media.probe import probe
from sadgr.extract.media.structure import structure_fault
from sadgr.extract.media.video import read_frames

MP4 = [
    {},
    {"movflags": "faststart"},
    {"movflags": "frag_keyframe+empty_moov"},
    {"movflags": "frag_keyframe+delay_moov"},
]
MATROSKA = [("a.mkv", {}), ("a.mkv", {"live": "1"}), ("a.webm", {}), ("a.mkv", {"reserve_index_space": "4096"})]


def film(studio, name, muxer):
    codec, options = ("libvpx", {"deadline": "realtime"}) if name.endswith("webm") else ("libx264", {"g": "10"})
    return studio.film(name, 40, codec, options, muxer=muxer)


@pytest.mark.parametrize("muxer", MP4)
def test_an_mp4_file_is_whole_or_cut(studio, muxer):
    path = film(studio, "a.mp4", muxer)
    assert mp4_fault(path) == ""
    whole = path.read_bytes()
    starts = [at for at in range(4, len(whole)) if whole[at : at + 4] in (b"moov", b"moof", b"mdat", b"free", b"mfra")]
    ends = {start - 4 for start in starts} | {len(whole)}
    for size in {*range(len(whole) - 1, 40, -97), len(whole) - 1}:
        path.write_bytes(whole[:size])
        if min(abs(size - end) for end in ends) >= 8:
            assert "truncated" in mp4_fault(path)


def test_what_follows_an_mp4_file_is_no_matter(studio):
    path = film(studio, "a.mp4", {})
    path.write_bytes(path.read_bytes() + bytes(100) + b"\xff" * 100)
    assert mp4_fault(path) == ""
    assert len(read_frames(path, 4).seconds) == 4


def test_a_stream_whose_description_is_damaged_is_not_taken_for_absent(studio):
    tone = (np.zeros((1, 16000), np.float32), 16000, 0.0)
    path = studio.film("a.mp4", 40, tone=tone)
    content = bytearray(path.read_bytes())
    at = content.index(b"mdia")
    content[at + 4 : at + 200] = bytes(196)
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4: .*index is broken at byte") as caught:
        read_frames(path)
    assert not isinstance(caught.value, StreamAbsent)


@pytest.mark.parametrize(("name", "muxer"), MATROSKA)
def test_a_matroska_file_is_whole_or_cut(studio, name, muxer):
    path = film(studio, name, muxer)
    assert matroska_fault(path) == ""
    whole = path.read_bytes()
    found = 0
    sizes = range(len(whole) - 1, 300, -97)
    for size in sizes:
        path.write_bytes(whole[:size])
        found += matroska_fault(path) != ""
    # Without a declared length a cut exactly between two elements cannot be told.
    assert found == len(sizes) if "live" not in muxer else found >= len(sizes) - 3


@pytest.mark.parametrize(("name", "muxer"), MATROSKA)
def test_a_broken_element_of_matroska_is_found(studio, name, muxer):
    path = film(studio, name, muxer)
    content = bytearray(path.read_bytes())
    block = content.index(b"\xa3", len(content) // 2)
    content[block - 200 : block + 200] = np.random.default_rng(0).bytes(400)
    path.write_bytes(content)
    assert "no element of Matroska" in matroska_fault(path) or "truncated" in matroska_fault(path)


def test_other_formats_are_left_alone(studio):
    assert structure_fault(studio.film("a.ts", 10), "mpegts") == ""


def two_sounds(studio, dispositions):
    """Write two sounds, of 16 kHz and of 48 kHz, with these dispositions."""
    import av

    path = studio.folder / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("flac", rate=rate, layout="mono") for rate in (16000, 48000)]
        for stream, disposition in zip(streams, dispositions, strict=True):
            stream.disposition = disposition
        for stream, rate in zip(streams, (16000, 48000), strict=True):
            studio._encode_sound(container, stream, np.zeros((1, rate)), rate)
    return path


@pytest.mark.parametrize(
    ("dispositions", "index", "why"),
    [
        ((Disposition.default, Disposition(0)), 0, "the default"),
        ((Disposition(0), Disposition.default), 1, "the default"),
        ((Disposition.default | Disposition.hearing_impaired, Disposition(0)), 0, "the default"),
        ((Disposition.default, Disposition.default), None, "FFmpeg's best"),
        ((Disposition(0), Disposition(0)), None, "FFmpeg's best"),
    ],
)
def test_the_default_stream_is_chosen_and_said(studio, dispositions, index, why):
    path = two_sounds(studio, dispositions)
    with open_media(path) as container:
        chosen = find_audio(container)
        expected = container.streams.best("audio").index if index is None else index
        assert chosen.index == expected
        assert choice_text(container, chosen) == f"audio stream {expected} of 0 to 1 ({why})"
    assert probe(path).choice == f"audio stream {expected} of 0 to 1 ({why})"
