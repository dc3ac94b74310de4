import hashlib
import os
import time

import pytest

from sadgr.extract import media_hashes
from sadgr.extract.errors import StopRequested
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media_hashes import MediaHashes


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SADGR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def film(tmp_path):
    """A file that has not changed lately, as far as its times tell."""
    path = tmp_path / "source" / "a \U0001f600.mp4"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_settled_file_is_read_once_over_several_runs(home, film, monkeypatch):
    monkeypatch.setattr(media_hashes, "SETTLED_SECONDS", -60.0)
    first = MediaHashes(film.parent)
    assert first[film] == digest(b"one")
    first.save()
    monkeypatch.setattr(MediaHashes, "_hash", None)  # not called again
    assert MediaHashes(film.parent)[film] == digest(b"one")


def test_a_file_that_changed_is_read_again_even_with_its_old_size_and_time(home, film, monkeypatch):
    monkeypatch.setattr(media_hashes, "SETTLED_SECONDS", -60.0)
    before = film.stat()
    first = MediaHashes(film.parent)
    assert first[film] == digest(b"one")
    first.save()
    time.sleep(0.02)
    film.write_bytes(b"two")
    os.utime(film, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert MediaHashes(film.parent)[film] == digest(b"two")


def test_a_file_that_has_just_changed_is_not_remembered(home, film):
    first = MediaHashes(film.parent)
    assert first[film] == digest(b"one")
    first.save()
    assert not home.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\0", '{"a": [[1, 2], 3]}'])
def test_a_damaged_file_of_hashes_is_no_trouble(home, film, monkeypatch, content):
    monkeypatch.setattr(media_hashes, "SETTLED_SECONDS", -60.0)
    first = MediaHashes(film.parent)
    first[film]
    first.save()
    (file,) = home.rglob("*.json")
    file.write_text(content)
    assert MediaHashes(film.parent)[film] == digest(b"one")


def test_what_cannot_be_read_is_an_error_and_what_cannot_be_written_none(home, film, monkeypatch):
    monkeypatch.setattr(media_hashes, "SETTLED_SECONDS", -60.0)
    with pytest.raises(MediaError, match="no such file"):
        MediaHashes(film.parent)[film.parent / "gone"]
    home.write_text("a file, no folder")
    hashes = MediaHashes(film.parent)
    assert hashes[film] == digest(b"one")
    hashes.save()


def test_a_pipe_keeps_nobody_waiting(home, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    hashes = MediaHashes(tmp_path)
    for _ in range(2):
        with pytest.raises(MediaError, match="this is not a file"):
            hashes[tmp_path / "pipe.mp4"]


def test_a_signal_ends_the_reading_of_a_large_file_and_keeps_what_was_read(home, film, monkeypatch):
    monkeypatch.setattr(media_hashes, "SETTLED_SECONDS", -60.0)
    monkeypatch.setattr(media_hashes, "BLOCK_BYTES", 10)
    large = film.with_name("large.mp4")
    large.write_bytes(b"x" * 100)
    asked = iter([False, False, False, False, True])
    hashes = MediaHashes(film.parent, lambda: next(asked))
    assert hashes[film] == digest(b"one")
    with pytest.raises(StopRequested):
        hashes[large]
    monkeypatch.setattr(MediaHashes, "_hash", None)
    assert MediaHashes(film.parent)[film] == digest(b"one")


def test_what_another_process_remembered_meanwhile_stays(home, film, monkeypatch):
    """Two of them read different files of one source at the same time, as the tasks of an array do."""
    monkeypatch.setattr(media_hashes, "SETTLED_SECONDS", -60.0)
    other = film.with_name("b.mp4")
    other.write_bytes(b"two")
    first, second = MediaHashes(film.parent), MediaHashes(film.parent)
    assert (first[film], second[other]) == (digest(b"one"), digest(b"two"))
    first.save()
    second.save()
    monkeypatch.setattr(MediaHashes, "_hash", None)  # not called again
    third = MediaHashes(film.parent)
    assert (third[film], third[other]) == (digest(b"one"), digest(b"two"))
