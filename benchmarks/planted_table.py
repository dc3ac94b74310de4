"""The numbers of `planted_report.py` as the tables of docs/planted.md, and what they answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FULL = "full model"
RETRIEVAL, GATE, CONTROL = 0.9, 0.8, 0.2
"""What the method was asked for before anything was trained: R@1 above, correlation above, and, without a voice, below."""

World = Mapping[str, Any]


def told(numbers: Mapping[str, Any]) -> str:
    """Give Markdown: what was run, three tables, each with its answer."""
    worlds = numbers["worlds"]
    return "\n\n".join([_what(numbers), *_retrieval(worlds), *_gate(worlds), *_ablations(worlds)])


def beaten(world: World, name: str, by: str = FULL) -> bool:
    """Whether the mean error of `by` is lower than that of `name` by more than the larger of both spreads over seeds."""
    lower, higher = (world["variants"][one]["MAE"] for one in (by, name))
    return bool(np.mean(higher) - np.mean(lower) > max(_deviation(lower), _deviation(higher)))


def _what(numbers: Mapping[str, Any]) -> str:
    world, settings = numbers["worlds"][0], numbers["settings"]
    clips = ", ".join(f"{count} {split}" for split, count in world["n_clips"].items())
    kept = {
        "pretraining": ("learning_rate", "batch_size", "epochs", "d_shared"),
        "fine-tuning": ("learning_rate", "batch_size", "epochs", "patience", "contrastive_weight", "weight_decay"),
        "model": ("d_model", "d_key", "gate_layers", "gate_hidden", "fusion_hidden", "dropout"),
    }
    listed = "; ".join(
        f"{part}: " + ", ".join(f"{name} {one[name]:g}" for name in names)
        for (part, names), one in zip(
            kept.items(), (settings["pretrain"], settings["fit"], settings["model"]), strict=True
        )
    )
    return (
        f"**Synthetic data.** Generator seeds {_listed([one['seed'] for one in numbers['worlds']])}; training seeds "
        f"{_listed(numbers['training_seeds'])}, each with heads of its own. Each generator seed: {world['n_pairs'][0]:,} pairs to pretrain on and "
        f"{world['n_pairs'][1]} held out; {clips} clips. Settings: {listed}. "
        "All figures: mean ± standard deviation over training seeds."
    )


def _retrieval(worlds: Sequence[World]) -> list[str]:
    rows = [
        ("random heads", "before"),
        ("pretrained", "after"),
        ("CCA, closed form", "cca"),
        ("pretrained, test clips", "test"),
    ]
    lines = _header(["R@1, text to audio / audio to text", *_names(worlds)])
    for name, key in rows:
        cells = [
            " / ".join(_spread(one["retrieval"][f"{key}_{way}"], percent=True) for way in ("t2a", "a2t"))
            for one in worlds
        ]
        lines.append(_row([name, *cells]))
    reached = [np.mean(one["retrieval"][f"after_{way}"]) > RETRIEVAL for one in worlds for way in ("t2a", "a2t")]
    chance = 1 / worlds[0]["n_pairs"][1]
    answer = f"R@1 of held-out pairs (chance: {100 * chance:.2g} %) above {100 * RETRIEVAL:.0f} %, both ways, for every generator seed: {_yes(all(reached))}."
    return ["\n".join(lines), answer]


def _gate(worlds: Sequence[World]) -> list[str]:
    lines = _header(["correlation with the planted gate, test clips", *_names(worlds)])
    found = [one["variants"][FULL] for one in worlds]
    control = [one["control"] for one in worlds]
    for name, key, kinds in (
        ("mean of the gate", "gate", found),
        ("share of the video's norm that passes", "passed", found),
        ("control, shuffled audio: mean of the gate", "gate", control),
        ("control, shuffled audio: share that passes", "passed", control),
    ):
        lines.append(_row([name, *(_spread(one[key]) for one in kinds)]))
    closes = all(min(one["gate"]) > GATE for one in found)
    blind = all(max(np.abs(one["gate"])) < CONTROL for one in control)
    return [
        "\n".join(lines),
        f"Correlation above {GATE} with every seed: {_yes(closes)}. Control below {CONTROL}, up or down, with every seed: {_yes(blind)}.",
    ]


def _ablations(worlds: Sequence[World]) -> list[str]:
    lines = _header(["test MAE", *_names(worlds), "by more than the spread, the full model is better / worse", "leak"])
    for name in worlds[0]["variants"]:
        of = [one["variants"][name] for one in worlds]
        better, worse = (sum(beaten(one, *pair) for one in worlds) for pair in ((name, FULL), (FULL, name)))
        won = "" if name == FULL else f"{better} / {worse} of {len(worlds)}"
        leak = _spread([value for one in of for value in one["leak"]]) if "leak" in of[0] else ""
        lines.append(_row([name, *(_spread(one["MAE"]) for one in of), won, leak]))
    lines.append(_row(["who knows the generator", *(f"{one['knowing_MAE']:.3f}" for one in worlds), "", ""]))
    asked = [name for name in worlds[0]["variants"] if name != FULL]
    always = [name for name in asked if all(beaten(one, name) for one in worlds)]
    lost = [name for name in asked if name not in always]
    answer = f"Better than every one of them by more than the spread, for every generator seed: {_yes(not lost)}."
    if lost:
        answer += f" It holds for: {', '.join(always) or 'none'}. It does not for: {', '.join(lost)}."
    return ["\n".join(lines), answer]


def _spread(values: Sequence[float], percent: bool = False) -> str:
    scale, digits = (100, 1) if percent else (1, 3)
    return f"{scale * np.mean(values):.{digits}f} ± {scale * _deviation(values):.{digits}f}"


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))  # of a sample


def _names(worlds: Sequence[World]) -> list[str]:
    return [f"generator seed {one['seed']}" for one in worlds]


def _header(names: Sequence[str]) -> list[str]:
    return [_row(names), "|" + "---|" * len(names)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _yes(holds: bool) -> str:
    return "**yes**" if holds else "**no**"
