"""`gate`: the gate's curve of one clip as files, with its sound, its words and its frames."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sadgr.cache import FeatureCache
from sadgr.cache.ids import escape
from sadgr.cache.publish import make_folder, writable
from sadgr.train.checkpoint import write_json
from sadgr.train.figures import write_figure
from sadgr.train.predict import load_run
from sadgr.train.request import FeatureSetNames
from sadgr.train.sources import described, require_same_encoders
from sadgr.train.studies.gate_curve import GateCurve, gate_curve, require_audio_gate
from sadgr.train.studies.sound import Envelope, read_envelope
from sadgr.train.studies.timed_clip import TimedClip, timed_clip
from sadgr.train.tables import aligned, write_csv

POOLED = (
    "Equations 15-18 give one gate a clip; the curve is drawn by pooling audio words in a sliding window of {:g} s."
)


def run_gate(
    run: Path,
    cache: Path,
    clip_id: str,
    out: Path,
    window_seconds: float,
    media: tuple[Path, float] | None,
    dataset: str | None,
    feature_sets: FeatureSetNames,
) -> dict[str, Any]:
    """Write OUT/gate-CLIP.json, .csv, .png and .svg.

    Args:
        run: A finished run whose model has an audio gate.
        cache: Where the clip is.
        clip_id: Its id.
        out: Folder to write into.
        window_seconds: Width of the window that audio is pooled in.
        media: The clip's media file and where in it the clip begins, in seconds; None draws audio features instead.
        dataset: Its name; None where the cache has one.
        feature_sets: Names of text, audio and video features; None where there is one.

    Returns:
        What the JSON file holds.

    Raises:
        TrainError: No audio gate, no such clip, no word times, other encoders, or media that are not the clip's.
    """
    models, widths, config = load_run(run)
    for model in models:
        require_audio_gate(model)
    data = FeatureCache(cache).dataset(dataset)
    selection = data.select(*feature_sets)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    require_same_encoders(config["features"], features, f"the model in {run}")
    clip = timed_clip(data, selection, clip_id, widths, config["audio_mean"])
    curve = gate_curve(models, clip, window_seconds)
    sound = None if media is None else read_envelope(*media, clip.seconds)
    told = curve_as_json(curve, clip, data.name, config["seeds"], sound is not None)
    with writable(out):
        make_folder(out)
    name = f"gate-{escape(clip.tensors.clip_id)}"
    write_json(out / f"{name}.json", told)
    write_csv(out / f"{name}.csv", curve_rows(told))
    write_figure(out / name, gate_figure(curve, clip, told, sound))
    return told


def curve_as_json(
    curve: GateCurve, clip: TimedClip, dataset: str, seeds: Sequence[int], has_sound: bool
) -> dict[str, Any]:
    """Give curve, words and frames; a value where no word is in the window is None."""
    words = clip.words
    at_words = (
        np.interp((words.start + words.end) / 2, curve.seconds, np.arange(len(curve.seconds))).round().astype(int)
    )
    norms = clip.tensors.audio.norm(dim=1).tolist()
    caption = [POOLED.format(curve.window_seconds)]
    if not has_sound:
        caption.append(
            "Bars, not a waveform: the L2 norm of each word's audio features, since the cache holds no samples."
        )
    interpolated = int((words.flag == 1).sum())
    if interpolated:
        caption.append(f"Times of {interpolated} of {len(words.text)} words are interpolated.")
    if clip.frame_seconds is None:
        caption.append("The cache holds no times of video frames.")
    return {
        "dataset": dataset,
        "clip_id": clip.tensors.clip_id,
        "seeds": list(seeds),
        "window_seconds": curve.window_seconds,
        "clip_gate": {"mean": curve.clip_gate, "low": curve.clip_low, "high": curve.clip_high},
        "caption": " ".join(caption),
        "curve": {
            name: [None if math.isnan(value) else value for value in getattr(curve, name).tolist()]
            for name in ("seconds", "mean", "low", "high", "lower_quartile", "upper_quartile")
        },
        "words": [
            {
                "word": str(text),
                "start": float(start),
                "end": float(end),
                "interpolated": bool(flag),
                "audio_norm": norm,
                "gate": None if math.isnan(curve.mean[place]) else float(curve.mean[place]),
            }
            for text, start, end, flag, norm, place in zip(
                words.text, words.start, words.end, words.flag, norms, at_words, strict=True
            )
        ],
        "frame_seconds": None if clip.frame_seconds is None else clip.frame_seconds.tolist(),
    }


def curve_rows(told: dict[str, Any]) -> list[dict[str, str | float]]:
    """One row for each time."""
    curve = told["curve"]
    return [
        {name: "" if value is None else value for name, value in zip(curve, values, strict=True)}
        for values in zip(*curve.values(), strict=True)
    ]


def words_table(told: dict[str, Any]) -> str:
    """Each word with the gate in the window around its middle, and the clip's own gate below."""
    rows = [["word", "start, s", "end, s", "gate"]]
    for one in told["words"]:
        gate = "no word" if one["gate"] is None else f"{one['gate']:.4f}"
        rows.append([one["word"], f"{one['start']:.2f}", f"{one['end']:.2f}", gate])
    return aligned([*rows, ["whole clip", "", "", f"{told['clip_gate']['mean']:.4f}"]])


def gate_figure(curve: GateCurve, clip: TimedClip, told: dict[str, Any], sound: Envelope | None) -> Figure:
    """Sound and words above, the gate over time and the frames' times below, on one axis of time."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    _draw_sound(above, clip, told, sound)
    seeds = len(told["seeds"])
    below.fill_between(
        curve.seconds, curve.lower_quartile, curve.upper_quartile, color="tab:blue", alpha=0.15, linewidth=0,
        label="quartiles over the gate's dimensions",
    )  # fmt: skip
    if seeds > 1:
        below.fill_between(
            curve.seconds,
            curve.low,
            curve.high,
            color="tab:orange",
            alpha=0.4,
            linewidth=0,
            label=f"range of {seeds} seeds",
        )
    below.plot(curve.seconds, curve.mean, color="tab:blue", label="gate, mean over its dimensions")
    below.axhline(
        curve.clip_gate, color="0.3", linestyle="--", linewidth=1, label=f"the clip's one gate, {curve.clip_gate:.3f}"
    )
    if clip.frame_seconds is not None:
        heights = np.full(len(clip.frame_seconds), 0.02)
        below.plot(clip.frame_seconds, heights, "|", color="tab:red", markersize=10, label="video frames")
    below.set(xlabel="seconds", ylabel="gate", ylim=(0, 1), xlim=(0, clip.seconds))
    below.legend(frameon=False, fontsize=8, ncols=3, loc="upper right")
    figure.suptitle(f"{told['dataset']}, clip {told['clip_id']}, seeds: {seeds}", parse_math=False)
    figure.supxlabel(textwrap.fill(told["caption"], 150), fontsize=8, parse_math=False)
    return figure


def _draw_sound(axes: Axes, clip: TimedClip, told: dict[str, Any], sound: Envelope | None) -> None:
    words = clip.words
    if sound is not None:
        axes.fill_between(sound.seconds, sound.low, sound.high, color="0.4", linewidth=0.3)
        axes.set_ylabel("waveform")
    else:
        norms = [one["audio_norm"] for one in told["words"]]
        axes.bar(words.start, norms, width=words.end - words.start, align="edge", color="0.8", edgecolor="0.5")
        axes.set_ylabel("norm of audio features")
    for one in told["words"]:
        if sound is not None:
            axes.axvspan(one["start"], one["end"], facecolor=("tab:green", 0.12), edgecolor="0.6", linewidth=0.5)
        middle = (one["start"] + one["end"]) / 2
        axes.text(
            middle, 1.02, one["word"], rotation=60, ha="left", va="bottom", fontsize=8, parse_math=False,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
