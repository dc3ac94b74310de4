"""What tests of all folders share: real recordings where they are at hand, synthetic speech, and what did not run."""

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

RATE_HZ = 16000

NOT_RUN = {"gpu": "GPU: NOT RUN (no CUDA device)", "mfa": "MFA: NOT RUN (no mfa on PATH)"}


class Speech(NamedTuple):
    """Synthetic speech and what its synthesiser says about it."""

    waveform: NDArray[np.float32]
    onsets_seconds: list[float]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that are not part of the repository: $SADGR_SHARED_DATA, or `shared/data` beside the checkout."""
    beside = Path(__file__).parents[1].parent / "shared/data"
    folder = Path(os.environ.get("SADGR_SHARED_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no shared data: set SADGR_SHARED_DATA to the folder that holds clips/ and LibriSpeech/")
    return folder


@pytest.fixture(scope="session")
def speak() -> Callable[[str], Speech]:
    """Text -> synthetic speech with known word times."""
    pytest.importorskip("espeakng_loader", reason="speech is synthesised by espeakng-loader, of sadgr[g2p]")

    def say(text: str) -> Speech:
        # In a process of its own: espeak-ng's noise goes on from whatever it has said before.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(_synthesise, text).result()

    return say


@pytest.fixture(scope="session")
def decode() -> Callable[..., NDArray[np.float32]]:
    """Path -> sound, by another way than the package's own."""
    return _decode


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser that opens reports; a machine without one fails these tests, since a report is made to be looked at."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no `chromium` on PATH, and reports are tested in a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )  # root, as in containers, has none
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium: Browser) -> Iterator[Page]:
    """A page that fails its test on a console error, an exception, or a request for anything that is not on disk."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    page = context.new_page()
    troubles: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            troubles.append(f"console: {message.text}")

    def request(asked: Request) -> None:
        if asked.url.split(":")[0] not in ("file", "data", "blob"):
            troubles.append(f"asked for {asked.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: troubles.append(f"exception: {error}"))
    page.on("request", request)
    yield page
    context.close()
    assert not troubles, troubles


def _cannot_run(mark: str) -> bool:
    if mark == "mfa":
        return shutil.which("mfa") is None
    import torch

    return not torch.cuda.is_available()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for mark, reason in NOT_RUN.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        if marked and _cannot_run(mark):
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    skipped = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}
    for reason in NOT_RUN.values():
        if any(reason in said for said in skipped):
            terminalreporter.write_line(reason, yellow=True)


def _decode(path: Path, stream: int = 0) -> NDArray[np.float32]:
    """One audio stream as mono 16 kHz float32, shape (n,)."""
    resampler = av.AudioResampler("flt", "mono", RATE_HZ)
    with av.open(str(path)) as container:
        decoded = [*container.decode(container.streams.audio[stream]), None]
    parts = [part.to_ndarray()[0] for frame in decoded for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float32)


class _Event(ctypes.Structure):
    """`espeak_EVENT` of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


def _synthesise(text: str) -> Speech:
    """Says English text through espeak-ng."""
    import espeakng_loader

    synchronous, word_event, utf8 = 2, 1, 1  # in the other mode of retrieval a thread of its own calls back
    library = espeakng_loader.load_library()
    rate_hz = library.espeak_Initialize(synchronous, 0, espeakng_loader.get_data_path().encode(), 0)
    assert rate_hz > 0, "espeak-ng did not start"
    samples: list[NDArray[np.int16]] = []
    onsets: list[float] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    def collect(wav, count, events):
        if count:
            samples.append(np.ctypeslib.as_array(wav, (count,)).copy())
        index = 0
        while events[index].type:
            if events[index].type == word_event:
                onsets.append(events[index].audio_position_ms / 1000)
            index += 1
        return 0

    library.espeak_SetSynthCallback(collect)
    library.espeak_SetVoiceByName(b"en-us")
    spoken = text.encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, 1, 0, utf8, None, None)
    sound = np.concatenate(samples).astype(np.float64) / 2**15
    at = np.arange(int(len(sound) * RATE_HZ / rate_hz)) * rate_hz / RATE_HZ
    resampled = np.interp(at, np.arange(len(sound)), sound)
    margin = np.random.default_rng(0).normal(scale=1e-3, size=RATE_HZ // 5)
    waveform = np.concatenate([margin, resampled, margin]).astype(np.float32)
    return Speech(waveform, [onset + len(margin) / RATE_HZ for onset in onsets])
