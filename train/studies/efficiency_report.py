"""What `efficiency` measured, for people: tables, rows and a figure."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from matplotlib.figure import Figure

from sadgr.train.rundir import computing_device
from sadgr.train.studies import timing
from sadgr.train.studies.timing import ATTENTION, GATE, WITH_ATTENTION, WITH_GATE, Times, fit_exponent
from sadgr.train.tables import aligned

TIMES_NOTE = "synthetic: one clip of random features, random weights; as many frames as words"
FITS = ("all", "long")


def times_as_json(times: Times) -> dict[str, Any]:
    """Medians, exponents with the lengths that they were fitted over, ratios, and what they were measured on."""
    device = computing_device()
    return {
        "note": TIMES_NOTE,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "lengths": list(times.lengths),
        "rounds": next(iter(times.seconds.values())).shape[1],
        "median_seconds": {work: times.median(work).tolist() for work in times.seconds},
        "exponents": {work: _exponents(times, work) for work in times.seconds},
        "cross_attention_over_gate": times.ratio(ATTENTION, GATE).tolist(),
        "model_cross_attention_over_gate": times.ratio(WITH_ATTENTION, WITH_GATE).tolist(),
    }


def _exponents(times: Times, work: str) -> dict[str, Any]:
    fits = {
        name: fit_exponent(times.lengths, times.median(work), at_least)
        for name, at_least in (("all", 1), ("long", timing.LONG))
    }
    return {name: asdict(one) for name, one in fits.items()}


def time_rows(times: Times) -> list[dict[str, str | float]]:
    """One row for each work and length: median, shortest and longest of the rounds, in seconds."""
    return [
        {
            "work": work,
            "length": length,
            "median_seconds": float(median),
            "shortest_seconds": float(rounds.min()),
            "longest_seconds": float(rounds.max()),
        }
        for work, seconds in times.seconds.items()
        for length, median, rounds in zip(times.lengths, times.median(work), seconds, strict=True)
    ]


def table5(told: Mapping[str, Any]) -> str:
    """Table 5 as published, and our row."""
    rows = [["method", "source", "epochs (alignment)", "parameters (M)", "Corr gained"]]
    *published, ours = told["table"]
    for one in published:  # with as many digits as the paper gives
        gained = f"{one['corr_gained']:+g}"
        rows.append([one["method"], one["source"], str(one["epochs"]), f"{one['parameters_millions']:g}", gained])
    gained = "not measured" if told["corr_gained"] is None else gained_text(told["corr_gained"])
    rows.append([ours["method"], ours["source"], str(ours["epochs"]), f"{ours['parameters_millions']:.3f}", gained])
    return aligned(rows)


def gained_text(gained: Mapping[str, Any]) -> str:
    """Mean over seeds, with its interval where there are several, the split and N."""
    if gained["mean"] is None:
        return f"undefined ({gained['split']}, N = {gained['N']})"
    half = "" if gained["high"] is None else f" +-{gained['high'] - gained['mean']:.4f}"
    return f"{gained['mean']:+.4f}{half} ({gained['split']}, N = {gained['N']})"


def parameters_table(told: Mapping[str, Any]) -> str:
    """Parameters by part of the model."""
    parameters = told["parameters"]
    rows = [["part", "parameters"], *([name, f"{count:,}"] for name, count in parameters["by_part"].items())]
    return aligned([*rows, ["whole model", f"{parameters['model']:,}"]])


def times_table(told: Mapping[str, Any]) -> str:
    """Medians in milliseconds by length, and the exponents below."""
    times = told["times"]
    works = list(times["median_seconds"])
    rows = [["words = frames", *(f"{work}, ms" for work in works), f"{ATTENTION} / {GATE}"]]
    for place, length in enumerate(times["lengths"]):
        cells = [f"{1000 * times['median_seconds'][work][place]:.3f}" for work in works]
        rows.append([str(length), *cells, f"{times['cross_attention_over_gate'][place]:.2f}"])
    for name in FITS:
        fits = [times["exponents"][work][name] for work in works]
        lengths = fits[0]["lengths"]
        span = f"{lengths[0]} to {lengths[-1]}" if lengths else "no length"
        values = ["undefined" if fit["value"] is None else f"{fit['value']:.2f}" for fit in fits]
        rows.append([f"exponent, {span}", *values, ""])
    return aligned(rows)


def times_figure(times: Times) -> Figure:
    """Time against length, both on logarithmic axes: what stands in the gate's place, and the whole model."""
    figure = Figure(figsize=(9.5, 4.4), layout="constrained")
    for axes, works, title in zip(
        figure.subplots(1, 2),
        ((GATE, ATTENTION), (WITH_GATE, WITH_ATTENTION)),
        ("gate and cross-attention alone", "whole model, one clip"),
        strict=True,
    ):
        for work in works:
            fit = _exponents(times, work)["long"]["value"]
            grows = "" if fit is None else f": exponent {fit:.2f} from {timing.LONG} on"
            seconds = times.seconds[work]
            (line,) = axes.plot(times.lengths, 1000 * times.median(work), marker="o", label=f"{work}{grows}")
            axes.fill_between(
                times.lengths, 1000 * seconds.min(axis=1), 1000 * seconds.max(axis=1), color=line.get_color(), alpha=0.2
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(times.lengths, [f"{length:,}" for length in times.lengths])
        axes.set_yscale("log")
        axes.set(xlabel="words = video frames", ylabel="milliseconds (median and range of rounds)", title=title)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.supxlabel(TIMES_NOTE, fontsize=8)
    return figure


def efficiency_text(told: Mapping[str, Any]) -> str:
    """All that is printed."""
    epochs, clips = told["epochs"], told["clips"]
    fits = ", ".join(f"seed {seed}: {one['best']} of {one['trained']}" for seed, one in epochs["fit"].items())
    lengths = "; ".join(
        f"{name}: mean {one['mean']:.1f}, at most {one['largest']}"
        for name, one in clips.items()
        if isinstance(one, Mapping)
    )
    return "\n".join(
        [
            table5(told),
            f"epochs kept: pretraining {epochs['pretraining']['best']} of {epochs['pretraining']['trained']}; fit, {fits}",
            "",
            parameters_table(told),
            "",
            times_table(told),
            f"times: {TIMES_NOTE}; medians of {told['times']['rounds']} rounds on {told['times']['device']}, "
            f"{told['times']['threads']} threads",
            f"{clips['dataset']}'s clips: {lengths}",
        ]
    )
