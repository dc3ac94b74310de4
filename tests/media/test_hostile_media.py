"""Hostile media: the right frames and the right sound, or a failure that says why; each file is a row of a table.

What to find stands in the manifest that make_media.py writes; here it is read from the pixels and the samples.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from sadgr.extract.media.audio import SAMPLE_RATE_HZ, read_audio
from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.probe import probe
from sadgr.extract.media.video import read_frames

HERE = Path(__file__).parent
NOBODY = 65534
LONGEST_SECONDS = 20
MEMORY_BYTES = 150 * 2**20
"""10 minutes of sound at 16 kHz are 37 MiB, held up to three times; its 3000 pictures never stand in memory together."""


@pytest.fixture(scope="session")
def media():
    """The folder of hostile media, where everybody may look, and its manifest."""
    with tempfile.TemporaryDirectory(prefix="hostile") as name:
        folder = Path(name)
        folder.chmod(0o755)
        script = [sys.executable, str(HERE / "make_media.py"), name]
        subprocess.run(script, check=True, capture_output=True, timeout=120)
        yield folder, json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@contextmanager
def as_nobody():
    """Give up root's right to read everything for a while."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@contextmanager
def deadline(seconds=LONGEST_SECONDS):
    """Raise TimeoutError in what takes longer, such as waiting for the other end of a FIFO."""

    def ring(*_):
        raise TimeoutError(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def number_of(pixels):
    """Read a picture's number from its 4 x 4 cells: 13 bits, lowest first, then 3 of number mod 7; None if that is off."""
    height, width = pixels.shape[:2]
    code = 0
    for cell in range(16):
        row, column = divmod(cell, 4)
        rows = slice((4 * row + 1) * height // 16, (4 * row + 3) * height // 16)
        columns = slice((4 * column + 1) * width // 16, (4 * column + 3) * width // 16)
        code |= int(pixels[rows, columns].mean() > 127) << cell
    number = code & 0x1FFF
    return number if code >> 13 == number % 7 else None


def tone_in(samples):
    """Find the tone in (n,) samples: (onset, offset, Hz, level), the edges where it passes half of its height."""
    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 2)
    onset, offset = (loud[0], loud[-1] + 1) if np.abs(samples).max() > 0.05 else (0, len(samples))
    inside = samples[onset + (offset - onset) // 4 : offset - (offset - onset) // 4]
    spectrum = np.abs(np.fft.rfft(inside * np.hanning(len(inside)), 2**19))
    level = np.sqrt(2 * np.mean(inside.astype(float) ** 2))
    return onset / SAMPLE_RATE_HZ, offset / SAMPLE_RATE_HZ, spectrum.argmax() * SAMPLE_RATE_HZ / 2**19, level


def outcome(read, *arguments):
    """What reading comes to: what it returns, or the MediaError; anything else is a bug and passes through."""
    try:
        with deadline():
            return read(*arguments)
    except MediaError as error:
        return error


def judge_failure(expected, found, path):
    """Compare a failure: it must name the file and give the reason, and an absent stream must be told from a fault."""
    if not isinstance(found, MediaError):
        return False, "no failure"
    reason = str(found).removeprefix(f"{path}: ")
    known = any(phrase in reason for phrase in expected["failure"].split("|"))
    is_absent = expected["failure"].endswith(" stream")
    return known and str(path) in str(found) and isinstance(found, StreamAbsent) == is_absent, reason


def judge_frames(expected, found):
    """Compare the numbers in the pictures, their times and their size, and what is said of several streams."""
    if isinstance(found, MediaError):
        return False, str(found)
    numbers, (height, width) = [number_of(pixels) for pixels in found.pixels], found.pixels.shape[1:3]
    same = numbers == expected["numbers"] and np.allclose(found.seconds, expected["seconds"], atol=0.0015)
    same = (
        same and [width, height] == expected.get("size", [width, height]) and expected.get("said", "") in found.remark
    )
    said = f"{frames_text(numbers, found.seconds)}, {width}x{height}"
    return same, said if same else f"{numbers} at {found.seconds.round(3).tolist()}, {width}x{height}, {found.remark}"


def frames_text(numbers, seconds):
    return f"{len(numbers)} frames {numbers[0]}..{numbers[-1]} at {seconds[0]:.3f}..{seconds[-1]:.3f} s"


def judge_tone(expected, found):
    if isinstance(found, MediaError):
        return False, str(found)
    onset, offset, hz, level = tone_in(found)
    edges = max(abs(onset - expected["onset"]), abs(offset - expected["offset"]))
    same = edges < expected["tolerance"] and abs(hz - expected["hz"]) < 1 and abs(level / expected["level"] - 1) < 0.05
    return same, tone_text(onset, offset, hz, level)


def tone_text(onset, offset, hz, level):
    return f"{hz:.1f} Hz at {onset:.4f}..{offset:.4f} s, level {level:.3f}"


def rows_of(case, folder):
    """Yield (stage, expected, got, is right) of reading a file's video and its audio."""
    path, video, audio = folder / case["name"], case["video"], case["audio"]
    with as_nobody() if video.get("failure") == "no permission" else nullcontext():
        found, sound = outcome(read_frames, path), outcome(read_audio, path)
    if "failure" in video:
        right, got = judge_failure(video, found, path)
        yield "video", f"failure: {video['failure']}", got, right
    else:
        right, got = judge_frames(video, found)
        yield "video", frames_text(video["numbers"], video["seconds"]), got, right
    if "failure" in audio:
        right, got = judge_failure(audio, sound, path)
        yield "audio", f"failure: {audio['failure']}", got, right
    else:
        right, got = judge_tone(audio, sound)
        yield "audio", tone_text(*(audio[key] for key in ("onset", "offset", "hz", "level"))), got, right
    if "said" in audio:
        yield "probe", audio["said"], probe(path).choice, audio["said"] in probe(path).choice


def test_every_file_gives_what_was_planted_or_says_why_not(media, capsys):
    folder, manifest = media
    table = [(case, *row) for case in manifest for row in rows_of(case, folder)]
    lines = [
        f"{'' if right else 'WRONG '}{ascii(case['name'])[1:-1]} ({case['why']}) | {stage} | {expected} | {got}"
        for case, stage, expected, got, right in table
    ]
    with capsys.disabled():
        print("\nfile | stage | expected | got", *lines, sep="\n")
        print(f"{len(manifest)} files, {len(table)} rows, {sum(not right for *_, right in table)} wrong, 0 skipped")
    assert not [line for line, (*_, right) in zip(lines, table, strict=True) if not right]


def test_a_span_gives_the_frames_on_display_in_it_and_the_slice_of_the_whole_sound(media):
    folder, manifest = media
    wrong, count = [], 0
    for case in manifest:
        path, video, audio = folder / case["name"], case["video"], case["audio"]
        if "failure" not in video:
            span = video["span"]
            right, got = judge_frames(span, outcome(read_frames, path, 16, span["start"], span["end"]))
            wrong += [] if right else [(case["name"], span, got)]
            count += 1
        if "failure" not in audio:
            start, end = audio["span"]
            first, stop = round(start * SAMPLE_RATE_HZ), round(end * SAMPLE_RATE_HZ)
            part, whole = outcome(read_audio, path, start, end), read_audio(path)[first:stop]
            # a lossy decoder that starts in the middle settles within its warm-up; -40 dB of full scale is its limit
            if isinstance(part, MediaError) or len(part) != stop - first or np.abs(part - whole).max() > 0.01:
                wrong.append((case["name"], audio["span"], part))
            count += 1
    assert not wrong
    assert count > 60


def test_the_manifest_covers_what_was_asked_for(media):
    folder, manifest = media
    names = {case["name"] for case in manifest}
    assert len(names) == len(manifest)
    assert all(os.path.lexists(folder / name) for name in names - {"absent.mp4"})
    failing = {case["name"] for case in manifest if "failure" in case["video"] and "failure" in case["audio"]}
    assert len(names - failing) > 35 and len(failing) > 50


def test_ten_minutes_are_read_in_bounded_memory(media):
    """Held against a process that reads a tiny file, so that what libraries take for themselves does not count."""
    folder, _ = media
    script = (
        "import sys; from pathlib import Path\n"
        "from sadgr.extract.media.audio import read_audio; from sadgr.extract.media.video import read_frames\n"
        "print(len(read_audio(Path(sys.argv[1]))), len(read_frames(Path(sys.argv[1])).pixels))\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    peaks = {}
    for name in ("cfr.mp4", "10_minutes.mp4"):
        run = [sys.executable, "-c", script, str(folder / name)]
        peaks[name] = int(subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()[-1])
    assert 0 < (peaks["10_minutes.mp4"] - peaks["cfr.mp4"]) * 1024 < MEMORY_BYTES
