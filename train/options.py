"""Command-line options made from the settings' dataclasses, so that defaults stand in one place."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click

Command = TypeVar("Command", bound=Callable[..., Any])

HELP = {
    "seed": "Seed of all random numbers.",
    "epochs": "Epochs at most.",
    "patience": "Epochs without a better valid score before training stops.",
    "batch_size": "Clips in a batch.",
    "learning_rate": "Learning rate of AdamW.",
    "weight_decay": "Weight decay of AdamW, on weight matrices.",
    "contrastive_weight": "Lambda of the total loss, L_task + lambda * L_con.",
    "freeze_heads": "Keep the projection heads and the temperature as they are.",
    "warmup_fraction": "Part of all steps over which the learning rate rises.",
    "valid_fraction": "Part held out where the data set has no valid split.",
    "audio_mean": "Audio mean to read: over all frames, or over those inside words.",
    "mask_duplicates": "Clips of equal transcripts are not each other's negatives (case, spaces aside).",
    "d_shared": "Width of the shared space.",
    "d_model": "Width of words after the convolution.",
    "d_key": "Width of queries and keys in the video self-attention.",
    "gate": "What guides the video: the clip's audio, none, cross-attention to its words, or audio frame by frame.",
    "gate_layers": "Linear maps of the gate.",
    "gate_hidden": "Hidden width of the gate.",
    "attention_heads": "Heads of --gate attention.",
    "modality_dropout": "Chance that a clip loses one of its modalities in a batch.",
    "fusion_hidden": "Hidden width of the fusion.",
    "conv_kernel": "Words that the convolution sees at once; odd.",
    "dropout": "Dropout after the fusion's hidden layer.",
}


def settings_options(
    kind: type, defaults: Mapping[str, Any], leave_out: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Add one option for each field of a settings dataclass.

    Args:
        kind: The dataclass.
        defaults: Preset name -> instance; help shows the first one's values, and where another preset differs.
        leave_out: Fields without option.

    Returns:
        A decorator. Options that were not given arrive as None: `given` leaves them out.
    """
    hints = get_type_hints(kind)

    def decorate(command: Command) -> Command:
        for field in reversed(fields(kind)):
            if field.name not in leave_out:
                command = _option(field.name, hints[field.name], defaults)(command)
        return command

    return decorate


def given(options: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Those of the options that belong to a dataclass and were given."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in options.items() if name in names and value is not None}


def _option(name: str, hint: Any, presets: Mapping[str, Any]) -> Callable[[Command], Command]:
    flag = f"--{name.replace('_', '-')}"
    text = f"{HELP[name]}  [default: {_shown_default(name, presets)}]"
    if hint is bool:
        return click.option(flag, name, is_flag=True, default=None, help=text)
    kind = click.Choice(get_args(hint)) if get_origin(hint) is Literal else hint
    return click.option(flag, name, type=kind, default=None, help=text)


def _shown_default(name: str, presets: Mapping[str, Any]) -> str:
    (_, first), *others = presets.items()
    value = getattr(first, name)
    if isinstance(value, bool):
        return "on" if value else "off"
    differing = [f"{preset}: {getattr(one, name)}" for preset, one in others if getattr(one, name) != value]
    return "; ".join([str(value), *differing])
