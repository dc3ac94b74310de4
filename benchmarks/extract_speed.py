"""How near extraction is to the bare forward passes, and how far from the script that everyone writes.

`make bench-extract` makes synthetic clips (360p, 6 s, 20 words) and base-size models with random weights (nothing is
fetched; a feature's values say nothing here), and measures in interleaved rounds of one run: (a) the pipeline's time over
the bare forward passes of the same tensors; (b) `plain_loop.py` over the whole run, in fp32 and in bfloat16; (c) each
encoder's FLOP/s over those of a matrix multiplication; (d) memory and time a clip from a hundred clips to ten thousand,
with tiny models; (e) the time from a raw clip to a score, stage by stage, with everything loaded.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import transformers
from plain_loop import PlainLoop
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.utils.flop_counter import FlopCounterMode

from sadgr.align import WordTime, evenly_spaced, one_by_one
from sadgr.cache import FeatureCache
from sadgr.extract.checkpoint import Checkpoint, ModelName
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

WORDS = [f"word{number}" for number in range(200)]
SECONDS, N_WORDS = 6, 20
ROUNDS = 7
GROWTH = (100, 1_000, 10_000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8, help="clips a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", default="abcde", help="which of the parts to measure")
    parser.add_argument("--growth", type=int, nargs="+", default=list(GROWTH))
    parser.add_argument("--grow", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("GPU: NOT RUN (no CUDA device)")
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.grow:
            print(json.dumps(grow(folder, options.grow)))
            return
        results = measure(folder, options)
    print(json.dumps(results, indent=1) if options.json else table(results))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the parts that were asked for."""
    results: dict[str, Any] = {"device": options.device, "threads": options.threads, "clips": options.clips}
    if set(options.parts) & set("abce"):
        print("making models and clips", file=sys.stderr)
        base = base_models(folder / "models")
        source = make_source(folder / "source", options.clips)
    if set(options.parts) & set("ab"):
        results |= paired(folder, base, source, options)
        print(table(results), file=sys.stderr)  # the rest takes minutes
    if "c" in options.parts:
        results["flops"] = flops(base, options)
    if "d" in options.parts:
        results["growth"] = [growth_of(size) for size in options.growth]
    if "e" in options.parts:
        results["latency"] = latency(base, source, options)
    return results


def base_models(folder: Path) -> Preset:
    """Write BERT-base, HuBERT-base and ViT-B/16 with random weights."""
    return _models(folder, {}, {}, {})


def tiny_models(folder: Path) -> Preset:
    """Write models that take next to no time."""
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    audio = {**small, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    return _models(folder, small, audio, {**small, "image_size": 32, "patch_size": 16})


def _models(folder: Path, text: dict[str, Any], audio: dict[str, Any], video: dict[str, Any]) -> Preset:
    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    bert, hubert, vit = (folder / name for name in ("bert", "hubert", "vit"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names).save_pretrained(
        bert
    )
    transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary), **text)).save_pretrained(bert)
    transformers.HubertModel(transformers.HubertConfig(**audio)).save_pretrained(hubert)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(hubert)
    config = transformers.ViTConfig(**video)
    transformers.ViTModel(config).save_pretrained(vit)
    size = {"height": config.image_size, "width": config.image_size}
    transformers.models.vit.image_processing_pil_vit.ViTImageProcessorPil(size=size).save_pretrained(vit)
    return Preset(*(ModelName(str(one)) for one in (bert, hubert, vit)))


def make_source(folder: Path, clips: int, seconds: float = SECONDS, size: tuple[int, int] = (640, 360)) -> Path:
    """Write clips in MMSA's layout: moving noise, and noise that comes and goes."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(clips):
        path = folder / "Raw" / "v" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, rng, seconds, size)
        rows.append(("v", str(number), " ".join(rng.choice(WORDS, N_WORDS)), 0.0, "train"))
    table = pd.DataFrame(rows, columns=["video_id", "clip_id", "text", "label", "mode"])
    table.to_csv(folder / "label.csv", index=False)
    return folder


def write_clip(path: Path, rng: np.random.Generator, seconds: float, size: tuple[int, int]) -> None:
    """Write one mp4, H.264 at 25 pictures a second and AAC at 16 kHz; 360p comes to some 0.5 Mbit/s, as films do."""
    width, height = size
    still = picture(rng, height + 100, width + 100)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "fast", "crf": "28"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = file.add_stream("aac", rate=16_000, layout="mono")
        for number in range(round(25 * seconds)):
            moved = np.ascontiguousarray(still[number % 100 :, number % 100 :][:height, :width])
            file.mux(video.encode(av.VideoFrame.from_ndarray(moved)))
        wave = rng.normal(0, 0.1, (1, round(16_000 * seconds))).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        frame.sample_rate = 16_000
        file.mux(audio.encode(frame))
        for stream in file.streams:
            file.mux(stream.encode())


def picture(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return noise (H, W, 3) whose amplitude falls with its frequency, as that of photographs does."""
    across, down = np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height))
    falling = 1 / np.maximum(np.hypot(across, down), 1 / max(height, width)) ** 1.2
    waves = np.fft.ifft2(np.fft.fft2(rng.normal(size=(3, height, width))) * falling).real
    spread = (waves - waves.mean()) / waves.std()
    return np.ascontiguousarray(np.clip(128 + 50 * spread, 0, 255).astype(np.uint8).transpose(1, 2, 0))


class EvenAligner:
    """Word times that cost nothing."""

    def __init__(self) -> None:
        self.name, self.settings = "even", {"benchmark": 1}

    def align_all(self, utterances):
        """Give each word an equal share of the clip."""

        def align(utterance) -> tuple[WordTime, ...]:
            return evenly_spaced(utterance.words, utterance.duration_seconds)

        return one_by_one(align, utterances)


def paired(folder: Path, base: Preset, source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure ours, the bare passes and the plain loop, one after the other, round for round."""
    words = folder / "words"
    silent: Callable[[str], None] = lambda _: None  # noqa: E731
    run(Request(source, words, "bench", None, "cpu"), EvenAligner(), lambda: False, silent)
    loop = PlainLoop(*(Path(one.name) for one in (base.text, base.audio, base.video)))
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

    rounds: dict[str, list[float]] = {}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        here = {
            "bare": seconds_of(lambda: [tensors()]),
            **{f"ours_{name}": one for name, one in ours("float32").items()},
            "loop": seconds_of(lambda: loop.run(clips, times, folder / "features.pkl")),
            **{f"ours_bf16_{name}": one for name, one in ours("bfloat16").items()},
        }
        for name, seconds in here.items():
            rounds.setdefault(name, []).append(seconds)
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
    return {"rounds": rounds, "ratios": found, "differences": differences(folder, base, loop, clips, times, options)}


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
        theirs = loop.run(clips[:1], times, folder / "one.pkl")[clips[0][0]]
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


def growth_of(size: int) -> dict[str, float]:
    """Measure so many clips in a process of its own."""
    print(f"growth: {size:,} clips", file=sys.stderr)
    told = subprocess.run([sys.executable, __file__, "--grow", str(size)], stdout=subprocess.PIPE, check=True)
    return json.loads(told.stdout)


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


def table(results: dict[str, Any]) -> str:
    """One line a figure."""
    lines = [
        f"synthetic clips and random weights; {results['device']}, {results['threads']} threads, {results['clips']} clips a round"
    ]
    for name, values in results.get("ratios", {}).items():
        lines.append(f"{name:44} median {np.median(values):6.3f}  range {min(values):.3f} to {max(values):.3f}")
    lines += [
        f"difference from the plain loop: {name:20} {one:.2e}" for name, one in results.get("differences", {}).items()
    ]
    for name, one in results.get("flops", {}).items():
        lines.append(f"(c) {name:40} {one['gflops']:7.1f} GFLOP/s {100 * one['of_the_ceiling']:5.1f} % of the ceiling")
    before = {"clips": 0, "seconds": 0.0}
    for one in results.get("growth", []):
        marginal = (one["seconds"] - before["seconds"]) / (one["clips"] - before["clips"])
        lines.append(
            f"(d) {one['clips']:>6,} clips, tiny models: {one['seconds']:.1f} s, {1e3 * marginal:.2f} ms for each more than the "
            f"line above, peak {one['peak_bytes'] / 1e6:.0f} MB, {one['failed']} failed"
        )
        before = one
    for name, values in results.get("latency", {}).items():
        lines.append(f"(e) {name:14} p50 {np.percentile(values, 50):8.1f} ms, p95 {np.percentile(values, 95):8.1f} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
