"""What `extract_speed.py` measures, part by part."""

import argparse
import pickle
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from elsewhere import Elsewhere
from plain_loop import PlainLoop
from synthetic_clips import SECONDS, WORDS, EvenAligner, tiny_models, write_clip
from torch.utils.flop_counter import FlopCounterMode

from sadgr.cache import FeatureCache
from sadgr.extract.checkpoint import Checkpoint
from sadgr.extract.clips import Medium
from sadgr.extract.decoding import Wanted, decode_medium
from sadgr.extract.encoder import DTYPES, load_model
from sadgr.extract.media.sampling import UNIFORM
from sadgr.extract.presets import Preset
from sadgr.extract.recipe import Recipe
from sadgr.extract.request import Request
from sadgr.extract.run import run
from sadgr.extract.text import TextEncoder
from sadgr.extract.video import VideoEncoder
from sadgr.extract.waveform import WaveformEncoder


def paired(folder: Path, base: Preset, source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure ours, the bare passes and the plain loop, one after the other, round for round."""
    words = folder / "words"
    silent: Callable[[str], None] = lambda _: None  # noqa: E731
    run(Request(source, words, "bench", None, "cpu"), EvenAligner(), lambda: False, silent)
    data = FeatureCache(words)["bench"]
    labels, aligned = data.labels(), data.feature_set("words")
    clips = [
        (one, source / "Raw" / "v" / f"{one.split('$_$')[1]}.mp4", labels.loc[one, "text"].split())
        for one in labels.index
    ]
    times = {one: tuple(aligned.read(one)[name] for name in ("start", "end")) for one in labels.index}
    tensors = prepared(base, clips, options)

    def ours(dtype: str) -> dict[str, float]:
        cache = folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(words, cache)
        begun = time.perf_counter()
        request = Request(source, cache, "bench", Recipe(base, dtype=dtype), options.device)
        summary = run(request, None, lambda: False, silent)
        whole = time.perf_counter() - begun
        if summary.failed or not summary.finished:
            sys.exit(f"clips failed: {summary.troubles}")
        return {"whole": whole, "pipeline": summary.seconds["extracting"] - summary.seconds["loading"]}

    with Elsewhere(PlainLoop, *(Path(one.name) for one in (base.text, base.audio, base.video))) as loop:
        rounds: dict[str, list[float]] = {}
        for number in range(options.rounds + 1):  # the first warms up
            print(f"round {number} of {options.rounds}", file=sys.stderr)
            here = {
                "bare": seconds_of(tensors),
                **{f"ours_{name}": one for name, one in ours("float32").items()},
                "loop": loop.seconds("run", clips, times, folder / "features.pkl"),
                **{f"ours_bf16_{name}": one for name, one in ours("bfloat16").items()},
            }
            for name, seconds in here.items() if number else ():
                rounds.setdefault(name, []).append(seconds)
        apart = differences(folder, base, loop, clips, times, options)
    ratios = {
        "(a) pipeline over bare passes, fp32": ("ours_pipeline", "bare"),
        "(b) plain loop over ours, fp32": ("loop", "ours_pipeline"),
        "(b) plain loop in fp32 over ours in bf16": ("loop", "ours_bf16_pipeline"),
        "start-up of a run, seconds": ("ours_whole", "ours_pipeline"),
    }
    found = {
        name: [x - y if "seconds" in name else x / y for x, y in zip(rounds[up], rounds[down], strict=True)]
        for name, (up, down) in ratios.items()
    }
    return {"rounds": rounds, "ratios": found, "differences": apart}


def prepared(base: Preset, clips: list[Any], options: argparse.Namespace) -> Callable[[], None]:
    """Make every clip's tensors ready, and return their bare forward passes, in fp32, as transformers has them."""
    device = torch.device(options.device)
    loop = PlainLoop(*(Path(one.name) for one in (base.text, base.audio, base.video)))
    models = [one.to(device) for one in (loop.text, loop.audio, loop.video)]
    inputs = []
    for _, path, words in clips:
        pixels = decode_medium(Wanted(Medium(path), UNIFORM)).pixels
        sound = decode_medium(Wanted(Medium(path))).samples
        inputs.append(
            [
                loop.tokenizer(words, is_split_into_words=True, return_tensors="pt").input_ids.to(device),
                loop.sound(sound, sampling_rate=16_000, return_tensors="pt").input_values.to(device),
                loop.picture(list(pixels), return_tensors="pt").pixel_values.to(device),
            ]
        )

    @torch.inference_mode()
    def passes() -> None:
        for one in inputs:
            for model, tensor in zip(models, one, strict=True):
                model(tensor).last_hidden_state.cpu()

    return passes


def differences(folder, base, loop, clips, times, options) -> dict[str, float]:
    """Relative difference of what is cached (float16) from the plain loop's fp32, of the last round's bf16 run and anew in fp32."""
    found = {}
    for dtype in ("bfloat16", "float32"):
        cache = folder / "cache"
        if dtype == "float32":
            shutil.rmtree(cache)
            shutil.copytree(folder / "words", cache)
            run(
                Request(clips[0][1].parents[2], cache, "bench", Recipe(base), options.device),
                None,
                lambda: False,
                lambda _: None,
            )
        data = FeatureCache(cache)["bench"]
        loop.seconds("run", clips[:1], times, folder / "one.pkl")

        theirs = pickle.loads((folder / "one.pkl").read_bytes())[clips[0][0]]  # noqa: S301  # written a moment ago
        for modality, name in (("text", "words"), ("audio", "words"), ("video", "frames")):
            ours = data.feature_set(modality).read(clips[0][0])[name].astype(np.float64)
            apart = np.linalg.norm(ours - theirs[modality]) / np.linalg.norm(theirs[modality])
            found[f"{modality}, {dtype}"] = float(apart)
    return found


def flops(base: Preset, options: argparse.Namespace) -> dict[str, Any]:
    """FLOP/s of each encoder, and of a matrix multiplication of its kind, in this run; the best of several."""
    device, found = torch.device(options.device), {}
    shapes = {
        "text": torch.randint(5, 200, (1, 128)),
        "audio": torch.randn(1, SECONDS * 16_000),
        "video": torch.randn(16, 3, 224, 224),
    }
    for dtype in ("float32", "bfloat16"):
        left, right = (torch.randn(4096, 4096, device=device, dtype=DTYPES[dtype]) for _ in range(2))
        ceiling = 2 * 4096**3 / best_of(lambda left=left, right=right: left @ right)
        for kind, tensor in shapes.items():
            model = load_model(Checkpoint(kind, Path(getattr(base, kind).name)), device, DTYPES[dtype])
            given = tensor.to(device) if kind == "text" else tensor.to(device, DTYPES[dtype])
            with torch.inference_mode():
                with FlopCounterMode(display=False) as counter:
                    model(given)
                best = best_of(lambda model=model, given=given: model(given))
            found[f"{kind}, {dtype}"] = {
                "gflops": counter.get_total_flops() / best / 1e9,
                "of_the_ceiling": counter.get_total_flops() / best / ceiling,
            }
        found[f"matrix multiplication, {dtype}"] = {"gflops": ceiling / 1e9, "of_the_ceiling": 1.0}
    return found


def grow(folder: Path, size: int) -> dict[str, float]:
    """Extract so many spans of one recording with tiny models."""
    source = folder / "source"
    source.mkdir()
    write_clip(source / "a.mp4", np.random.default_rng(0), 10, (64, 48))
    starts = [round(0.01 * (number % 900), 2) for number in range(size)]
    table = pd.DataFrame({"id": [str(number) for number in range(size)], "video": "a.mp4", "text": " ".join(WORDS[:5])})
    table["start"], table["end"] = starts, [round(start + 0.5, 2) for start in starts]
    table.to_csv(source / "clips.csv", index=False)
    recipe = Recipe(tiny_models(folder / "models"))
    request = Request(source / "clips.csv", folder / "cache", "bench", recipe, "cpu")
    begun = time.perf_counter()
    summary = run(request, EvenAligner(), lambda: False, lambda _: None)
    return {
        "clips": size,
        "failed": len(summary.failed),
        "seconds": time.perf_counter() - begun - summary.seconds["loading"],
        "peak_bytes": peak_bytes(),
    }


def latency(base: Preset, source: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds from a raw clip to a score, stage by stage, one clip after the other."""
    from sadgr.align import Utterance
    from sadgr.align.pocketsphinx import PocketSphinxAligner
    from sadgr.cache import ClipFeatures
    from sadgr.train.config import ModelConfig
    from sadgr.train.data import Clips, clip_tensors
    from sadgr.train.models.sadgr import SADGR
    from sadgr.train.predict import predict

    device = torch.device(options.device)
    text, audio, video = (
        kind(Checkpoint("m", Path(one.name)), device)
        for kind, one in ((TextEncoder, base.text), (WaveformEncoder, base.audio), (VideoEncoder, base.video))
    )
    aligner, model = PocketSphinxAligner(), SADGR(ModelConfig()).to(device)
    labels = pd.read_csv(source / "label.csv", dtype=str)
    taken: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = work()
        taken.setdefault(name, []).append(1e3 * (time.perf_counter() - begun))
        return result

    for number, row in enumerate(labels.to_dict("records") * 3):
        path, words = source / "Raw" / "v" / f"{row['clip_id']}.mp4", tuple(row["text"].split())
        if number == 1:
            taken.clear()  # the first one warms up
        begun = time.perf_counter()
        sound = timed("decode sound", lambda path=path: decode_medium(Wanted(Medium(path))).samples)
        frames = timed("decode video", lambda path=path: decode_medium(Wanted(Medium(path), UNIFORM, video.resizing)))
        utterance = Utterance("x", ("so", "it", "goes"), sound)  # the synthetic words are none that anybody says
        timed("align", lambda utterance=utterance: list(aligner.align_all([utterance])))
        said = timed("BERT", lambda words=words: text.encode([text.prepare(words)])[0])
        heard = timed("HuBERT", lambda sound=sound: audio.encode([audio.prepare(sound)])[0])
        seen = timed("ViT", lambda frames=frames: video.encode([video.prepare(frames.pixels)])[0])
        spread = np.array_split(heard.frames, len(words))
        features = ClipFeatures(
            "x",
            said.words,
            said.mean,
            np.stack([one.mean(axis=0) for one in spread]),
            heard.frames.mean(axis=0),
            None,
            seen,
        )
        timed("score", lambda features=features: predict(model, Clips([clip_tensors(features, model.config)])))
        taken.setdefault("all", []).append(1e3 * (time.perf_counter() - begun))
    return taken


def best_of(work: Callable[[], object], times: int = 5) -> float:
    """Return the least seconds that the work takes."""
    return min(seconds_of(lambda: synchronised(work)) for _ in range(times))


def synchronised(work: Callable[[], object]) -> None:
    """Do it, and wait for a GPU to be done."""
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_bytes() -> int:
    """Return the most memory that this process ever held; `getrusage` would count what its parent held, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def seconds_of(work: Callable[[], object]) -> float:
    """Return what the work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
