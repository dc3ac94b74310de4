"""Sought frames are those of a film decoded from its start, bit for bit; and decord's, where decord is right."""

import av
import numpy as np
import pytest

from sadgr.extract.media.sampling import Sampling
from sadgr.extract.media.video import read_frames

CLOSED = [
    ("a.mp4", "libx264", {"bf": "3", "g": "250"}),
    ("a.mp4", "libx264", {"bf": "3", "g": "12"}),
    ("a.mkv", "libx264", {"bf": "3", "g": "12"}),
    ("a.mp4", "libx265", {"x265-params": "log-level=none:keyint=12:open-gop=0"}),
    ("a.mp4", "mpeg4", {"bf": "0", "g": "12"}),
]
OTHERS = [
    ("a.mp4", "libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1"}),
    ("a.mp4", "libx265", {"x265-params": "log-level=none:keyint=12:open-gop=1"}),
    ("a.mp4", "mpeg4", {"bf": "2", "g": "12"}),
    ("a.mp4", "libx264", {"bf": "0", "g": "20", "intra-refresh": "1"}),
    ("a.mkv", "libx264", {"bf": "0", "g": "20", "intra-refresh": "1"}),
    ("a.ts", "libx264", {"bf": "3", "g": "12"}),
    ("a.avi", "mpeg4", {"bf": "2", "g": "12"}),
    ("a.webm", "libvpx", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "20"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), CLOSED + OTHERS)
@pytest.mark.parametrize("span", [(None, None), (0.7, 1.9), (3.1, None)])
def test_what_is_sought_is_what_decoding_from_the_start_gives(studio, name, codec, options, span):
    path = studio.film(name, 120, codec, options)
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [int(studio.number_of(picture)) for picture in whole] == list(range(120))
    for sampling in (Sampling("uniform", 16), Sampling("uniform", 3), Sampling("keyframe", 4)):
        frames = read_frames(path, sampling, *span)
        np.testing.assert_array_equal(frames.pixels, [whole[number] for number in studio.numbers_of(frames)])


def test_with_periodic_intra_refresh_frames_come_from_the_start(studio):
    """What is marked as a key frame there is only where the picture begins to heal."""
    path = studio.film("a.mp4", 120, "libx264", {"bf": "0", "g": "20", "intra-refresh": "1"})
    frames = read_frames(path, 120)
    assert "decoded from the start" in frames.remark
    assert studio.numbers_of(frames) == list(range(120))


@pytest.mark.parametrize(("name", "codec", "options"), CLOSED)
@pytest.mark.parametrize("span", [(None, None), (0.7, 1.9)])
def test_an_independent_decoder_agrees(studio, name, codec, options, span):
    decord = pytest.importorskip("decord", reason="decord has wheels for x86-64 only")
    path = studio.film(name, 60, codec, options)
    frames = read_frames(path, 16, *span)
    numbers = studio.numbers_of(frames)
    reader = decord.VideoReader(str(path), num_threads=1)
    theirs = reader.get_batch(numbers).asnumpy()
    assert not frames.remark and len(numbers) == 16
    assert [int(studio.number_of(picture)) for picture in theirs] == numbers
    assert np.abs(frames.pixels.astype(int) - theirs).max() <= 2
    starts = reader.get_frame_timestamp(range(60))[:, 0]  # single precision
    begin = span[0] or 0.0
    np.testing.assert_allclose(frames.seconds, np.maximum(starts[numbers] - starts[0], begin) - begin, atol=1e-3)
