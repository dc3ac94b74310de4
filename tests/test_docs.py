"""What the documentation shows is run: commands on a small cache, snippets as they stand.

Each page that shows commands gets a folder of its own, with a small CMU-MOSI and LibriSpeech made of the demo's clips, tiny
encoders with random weights, and a cache. `/data`, `/lab` and `/other` of the pages are folders in it. What cannot run here
is parsed by the real command instead, and stands in `NOT_RUN` with its reason.
"""

import configparser
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import av
import click
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from sadgr.align import Aligner, Utterance
from sadgr.cache import FeatureCache

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))]
DEMO = ROOT / "examples/demo/talking"
MOSI = {  # videos of the published folds <- speakers of the demo's synthetic clips
    "03bSnISJMiM": ("ada", 3),
    "0h-zjBukYpk": ("bruno", 3),
    "WKA5OygbEKI": ("carla", 2),
    "c7UH_rxdZv4": ("dmitri", 2),
}

SHELL = "changes folders and rights of the shell's own"
CONDA = "conda and MFA are not on the package registry; tests/align runs the recorded output, and the real program where it is"
CLUSTER = "needs SLURM; tests/extract/test_slurm.py runs the scripts with its commands stood in for"
SETS_UP = "sets up an environment, which takes minutes; tests/test_installation.py does"
MINE = "needs the page's edits; test_a_model_of_ones_own makes them and trains it"
NOT_RUN = {
    "pip install": SETS_UP,
    "make": "make's own targets take minutes; test_targets_of_make_exist looks for them",
    "conda": CONDA,
    "mkdir": SHELL,
    "chgrp": SHELL,
    "chmod": SHELL,
    "bash examples/slurm": CLUSTER,
    "squeue": CLUSTER,
    "sadgr-extract --doctor": "says what this very machine lacks; tests/extract/test_check.py runs it",
    "--engine ray": "starts Ray, which takes half a minute; test_ray_engine.py and test_train_ray_tune.py do",
    "--aligner mfa": CONDA,
    "--devices": "needs CUDA devices; tests/extract/test_devices.py runs it on CPUs",
    "--model mine": MINE,
    "sadgr-train sweep": "ten trainings; tests/train/test_train_studies.py runs it",
    "sadgr-train efficiency": "times forward passes of up to 4,096 words; tests/train/test_train_efficiency.py runs it",
    ",mine": MINE,
    "--preset offline": "make demo runs it, and fetches packages for it",
}
"""Beginning or part of a command -> why it is parsed alone."""

TINY = {
    "extract": ["--device", "cpu"],
    "fit": ["--epochs", "1", "--seeds", "1", "--d-model", "8", "--gate-hidden", "8", "--fusion-hidden", "8"],
    "other": ["--epochs", "1", "--seeds", "1"],
    "pretrain": ["--epochs", "1", "--d-shared", "16", "--valid-fraction", "0.4"],
}
"""Options that follow those shown, so that seconds do. The last one given counts."""


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Words, without variables before the command."""
        words = shlex.split(self.text, comments=True)
        return words[next(i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)) :]

    @property
    def reason(self) -> str:
        """Why it is not run; empty where it is."""
        command = " ".join(self.words)
        found = (
            why for part, why in NOT_RUN.items() if command.startswith(part) or (part in command and part[0] in "-,")
        )
        return next(found, "")


def blocks(name: str, *languages: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text, re.DOTALL)


@cache
def shown(page: str) -> list[Shown]:
    lines = "\n".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [Shown(page, part) for line in commands for part in line.split(" && ")]


def commands() -> dict[str, click.Command]:
    from sadgr.cache.cli import main as cache_main
    from sadgr.extract.align_cli import main as align
    from sadgr.extract.cli import main as extract
    from sadgr.train.cli import main as train

    return {"sadgr-align": align, "sadgr-extract": extract, "sadgr-cache": cache_main, "sadgr-train": train}


OURS = tuple(commands())


def parsed(words: list[str]) -> None:
    """Let click parse a command as far as it goes without looking at the disk."""
    command, rest = commands()[words[0]], words[1:]
    if isinstance(command, click.Group):
        assert rest and rest[0] in command.commands, f"no such command: {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    context = click.Context(command, info_name=words[0])
    values, surplus, _ = command.make_parser(context).parse_args(list(rest))
    assert not surplus, f"more arguments than {command.name} takes: {surplus}"
    for one in command.params:
        value = values.get(one.name)
        is_given = value is not None and not repr(value).startswith("Sentinel") and value not in ([], ())
        assert is_given or not one.required, f"{one.name} is missing"
        if is_given and not isinstance(one.type, click.Path):
            one.type_cast_value(context, value)


EVERY = [one for page in PAGES for one in shown(page)]


@pytest.mark.parametrize("one", EVERY, ids=lambda one: f"{one.page}: {one.text}"[:90])
def test_a_command_that_is_shown_parses(one: Shown) -> None:
    if one.words[0] in OURS:  # `mine` is the model that the page tells how to add
        parsed([re.sub(r"\bmine\b", "concat", word) for word in one.words] if one.reason == MINE else one.words)
    else:
        assert one.reason, f"{one.text}: neither ours nor in NOT_RUN"


def test_every_reason_not_to_run_is_needed() -> None:
    told = {one.reason for one in EVERY}
    assert set(NOT_RUN.values()) <= told


def test_a_command_that_is_wrong_would_be_found() -> None:
    for wrong in (
        "sadgr-train fits a b",
        "sadgr-train fit a",
        "sadgr-train fit a b --nonsense 1",
        "sadgr-train fit a b c",
    ):
        with pytest.raises((AssertionError, click.UsageError)):
            parsed(wrong.split())
    with pytest.raises(click.UsageError):
        parsed(["sadgr-extract", "a", "b", "--aligner", "nobody"])


def test_targets_of_make_exist() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for one in EVERY:
        if one.words[0] == "make":
            assert re.search(rf"^{one.words[1]}:", text, re.MULTILINE), one.text


def test_extras_that_are_named_exist() -> None:
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg")
    named = {
        extra for one in EVERY for group in re.findall(r"\.\[([a-z0-9,]+)\]", one.text) for extra in group.split(",")
    }
    assert named and named <= set(config["options.extras_require"])


# --- a small world


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("of_tests_of_docs", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sound(film: Path, target: Path) -> None:
    """Write a film's sound as 16 kHz mono FLAC or wav."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(film)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream("flac" if target.suffix == ".flac" else "pcm_s16le", rate=16000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 16000)
        for frame in [*source.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def _mosi(folder: Path, table: pd.DataFrame) -> None:
    labels = []
    for video, (speaker, clips) in MOSI.items():
        rows = table[table["video_id"] == speaker].head(clips)
        lines = []
        for number, row in enumerate(rows.itertuples(), start=1):
            film = folder / f"Raw/Video/Segmented/{video}_{number}.mp4"
            film.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(DEMO / "Raw" / speaker / f"{row.clip_id}.mp4", film)
            lines.append(f"{number}_DELIM_{row.text.upper()}\n")
            labels.append(f"0.0,2.0,{video},{number},{row.label}\n")
        text = folder / f"Raw/Transcript/Segmented/{video}.annotprocessed"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("".join(lines))
    (folder / "Labels").mkdir()
    (folder / "Labels/OpinionLevelSentiment.csv").write_text("".join(labels))


def _librispeech(folder: Path, table: pd.DataFrame) -> None:
    chapter = folder / "train-clean-100/19/198"
    lines = []
    for number, row in enumerate(table[table["video_id"].isin(["elin", "greta"])].itertuples()):
        _sound(DEMO / "Raw" / row.video_id / f"{row.clip_id}.mp4", chapter / f"19-198-{number:04d}.flac")
        lines.append(f"19-198-{number:04d} {re.sub('[^A-Z ]', '', row.text.upper())}\n")
    (chapter / "19-198.trans.txt").write_text("".join(lines))


@dataclass(frozen=True)
class World:
    """A folder with small data sets, tiny encoders and a filled cache, and the way to run commands in it."""

    folder: Path

    def local(self, word: str) -> str:
        """Put this folder's names in place of a page's."""
        word = re.sub(r"^/(data|lab|other)/", r"\1/", word)
        placeholders = {
            "SOURCE": "data/CMU_MOSI",
            "CACHE": "lab/cache",
            "CLIP": "03bSnISJMiM$_$1",
            "HEADS": "heads",
            "RUN": "run",
            "OTHER": "other-run",
        }
        return placeholders.get(word, self.feature_set(word))

    def feature_set(self, word: str) -> str:
        """Give a real feature set's name for one such as `audio-x` or `text-letters-FINGERPRINT`."""
        if not (self.folder / "lab/cache").is_dir():
            return word
        names = [one.name for one in FeatureCache(self.folder / "lab/cache")["mosi"].feature_sets()]
        if word in ("audio-x", "audio-y"):
            return [name for name in names if name.startswith("audio-")][word == "audio-x"]
        if word.endswith("-FINGERPRINT"):
            return next(name for name in names if name.startswith(word.removesuffix("FINGERPRINT")))
        return word

    def run(self, words: list[str]) -> str:
        """Run a command with tiny encoders and settings."""
        words = [self.local(word) for word in words]
        name = words[1] if words[0] == "sadgr-train" else words[0].removeprefix("sadgr-")
        if name == "extract" and words[1:2] != ["--doctor"]:
            models = {"text": "bert", "audio": "hubert", "video": "vit"}
            own = [
                part
                for kind, model in models.items()
                if f"--{kind}-model" not in words
                for part in (f"--{kind}-model", f"models/{model}")
            ]
            words += [*own, *TINY["extract"]]
        elif (name == "fit" and "--model" in words) or name == "compare":
            words += TINY["other"]
        elif name in ("fit", "ablate"):
            words += TINY["fit"]
            words += ["--jobs", "1"] if name == "ablate" else []
        elif name == "pretrain":
            words += TINY["pretrain"]
        done = CliRunner().invoke(commands()[words[0]], words[1:], input="y\n")
        assert done.exit_code == 0, (
            f"{shlex.join(words)}: exit code {done.exit_code}\n{done.output}\n{done.exception!r}"
        )
        return done.output


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets and tiny encoders, made once."""
    folder = tmp_path_factory.mktemp("docs")
    table = pd.read_csv(DEMO / "label.csv", dtype={"clip_id": str})
    _mosi(folder / "data/CMU_MOSI", table)
    _librispeech(folder / "data/LibriSpeech", table)
    build = _module(ROOT / "tests/extract/conftest.py").BUILDERS
    for number, family in enumerate(("bert", "roberta", "hubert", "wavlm", "vit", "dinov2")):
        torch.manual_seed(number)
        build[family](folder / "models" / family)
    first = table[table["video_id"] == "farid"].iloc[0]
    film = DEMO / "Raw/farid" / f"{first.clip_id}.mp4"
    for target in ("talk.wav", "talks/a.wav"):
        _sound(film, folder / target)
        (folder / target).with_suffix(".lab").write_text(first.text)
    for name in ("ada", "bob", "eva"):
        (folder / "films").mkdir(exist_ok=True)
        shutil.copy(film, folder / f"films/{name}.mp4")
    return folder


@pytest.fixture(scope="module")
def filled(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted that others explain: a cache, heads, a run, another cache, files."""
    folder = tmp_path_factory.mktemp("filled") / "world"
    shutil.copytree(template, folder)
    here = Path.cwd()
    os.chdir(folder)
    try:
        world = World(folder)
        for line in (
            "sadgr-extract /data/CMU_MOSI /lab/cache",
            "sadgr-cache export /lab/cache unaligned_50.pkl --form mmsa-unaligned --dataset mosi",
            "sadgr-align /data/CMU_MOSI --format textgrid -o textgrids",
        ):
            world.run(line.split())
        shutil.copytree("lab/cache", "other/cache")
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def world(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy for one test."""
    shutil.copytree(filled, tmp_path / "world")
    monkeypatch.chdir(tmp_path / "world")
    return World(tmp_path / "world")


def go(world: World, page: str) -> None:
    """Run a page's blocks in order: commands, and Python as it stands but for the paths."""
    text = (ROOT / page).read_text(encoding="utf-8")
    space = {"__name__": "of_a_page"}  # later blocks use what earlier ones define
    for language, block in re.findall(r"```(sh|bash|console|python)\n(.*?)```", text, re.DOTALL):
        if language == "python":
            exec(compile(re.sub(r'"/(data|lab)/', r'"\1/', block), page, "exec"), space)  # noqa: S102
            continue
        for one in (one for one in shown(page) if one.text in block):
            if one.words[0] in OURS and not one.reason:
                world.run(one.words)


RUN = [page for page in PAGES if any(one.words[0] in OURS and not one.reason for one in shown(page))]
FROM_NOTHING = (
    "README.md",
    "docs/tutorial.md",
    *(f"docs/howto/{name}.md" for name in ("gpu-node", "offline", "slurm")),
)
"""Pages that begin with raw data; others take a cache for granted."""
BESIDES = {
    "docs/metrics.md": ["sadgr-train fit lab/cache run", "sadgr-train fit lab/cache other-run --seed 2"],
    "docs/sharing-a-cache.md": [
        "sadgr-extract data/CMU_MOSI lab/cache --modality audio --aligner cached --audio-model models/wavlm"
    ],
}
"""What a page takes for granted besides: runs, or two feature sets to compare."""


MINUTES = {"docs/tutorial.md"}
"""Pages that take a minute of computing."""


@pytest.mark.parametrize("page", [pytest.param(one, marks=[pytest.mark.slow] if one in MINUTES else []) for one in RUN])
def test_a_page_does_what_it_says(page: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    torch.set_num_threads(1)
    if page in FROM_NOTHING:
        shutil.rmtree("lab")
        Path("lab").mkdir()
    for line in BESIDES.get(page, []):
        world.run(line.split())
    go(world, page)


@pytest.mark.slow
def test_a_model_of_ones_own(world: World) -> None:
    """The page's three edits, in a copy of the packages, and its command."""
    page = "docs/howto/own-model.md"
    (code,) = blocks(page, "python")
    (entry,) = (one for one in blocks(page, "text") if "MineConfig" in one)
    packages = Path("packages/sadgr")
    packages.mkdir(parents=True)
    for name in ("align", "cache", "extract", "train"):
        shutil.copytree(ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "train/models/mine.py").write_text(code)
    for file, before, after in (
        ("config.py", "ModelName = Literal[\n", 'ModelName = Literal[\n    "mine",\n'),
        ("models/registry.py", '    "ridge": ("Ridge"', entry + '    "ridge": ("Ridge"'),
    ):
        text = (packages / "train" / file).read_text()
        assert text.count(before) == 1, file
        (packages / "train" / file).write_text(text.replace(before, after))
    main = "import sys; from sadgr.train.cli import main; main(sys.argv[1:])"
    for one in (one for one in shown(page) if one.words[0] in OURS):
        words = [world.local(word) for word in one.words[1:]] + TINY["other"]
        done = subprocess.run(
            [sys.executable, "-c", main, *words],
            env={**os.environ, "PYTHONPATH": str(packages.parent.resolve()), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert "mine" in Path("run-mine/config.json").read_text() and Path("compared-mine/mine/metrics.json").is_file()


def test_the_aligner_of_ones_own_works() -> None:
    code, *_ = blocks("docs/alignment.md", "python")
    space: dict = {}
    exec(code, space)  # noqa: S102
    aligner: Aligner = space["MyAligner"]()
    sound = np.zeros(16000, np.float32)
    good, bad = aligner.align_all([Utterance("a", ("so", "it"), sound), Utterance("b", (), sound)])
    assert [word.start_seconds for word in good.words] == [0.0, 0.5] and bad.failure == "its transcript is empty"


@pytest.mark.parametrize("document", PAGES)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.slow
def test_the_tables_of_scaling_are_those_that_are_calculated() -> None:
    told = subprocess.run([sys.executable, ROOT / "benchmarks/scaling.py"], capture_output=True, text=True, check=True)
    document = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    for table in told.stdout.strip().split("\n\n"):
        assert table in document, table


@pytest.mark.parametrize("document", PAGES)
def test_options_that_are_named_exist(document: str) -> None:
    """In running text, too, where no command says whose they are."""
    ours = commands().values()
    single = [one for group in ours for one in (group.commands.values() if isinstance(group, click.Group) else [group])]
    known = {name for command in single for one in command.params for name in one.opts}
    known |= {"--help", "--no-deps", "--index-url", "--single_speaker"}  # of click, pip and MFA
    known |= {"--array", "--gres", "--cpus-per-task", "--time", "--partition", "--account", "--me"}  # of SLURM
    known |= {"--docs", "--whole"}  # of benchmarks/
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z_0-9-]+", (ROOT / document).read_text(encoding="utf-8")))
    assert named <= known, named - known


def test_every_command_stands_in_the_reference() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    for name, command in commands().items():
        rest = text.split(f"\n## {name}\n")[-1].split("\n## ")[0]
        named = set(re.findall(r"^\| `([a-z-]+)", rest if isinstance(command, click.Group) else text, re.MULTILINE))
        assert set(command.commands) == named if isinstance(command, click.Group) else name in named


def test_the_site_names_every_page_and_fetches_nothing() -> None:
    """What `make docs` would refuse, without building: pages left out; and what it would let through: the network."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    listed = re.findall(r"[\w/-]+\.md", str(config["nav"]))
    pages = sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))
    assert sorted(listed) == pages
    assert config["theme"]["font"] is False and "://" not in text and "mermaid" not in text
