"""How fast a run goes, and what holds it up, in words."""

from collections.abc import Mapping
from typing import Any

from sadgr.extract.outcome import Report

_UNITS = {"audio": ("audio_seconds_per_second", "s of sound/s"), "video": ("frames_per_second", "frames/s")}
_HOLD_UPS = {
    "waiting": "decoding: encoders wait for it",
    "writing": "writing into the cache",
    "text": "the text encoder",
    "audio": "the audio encoder",
    "video": "the video encoder",
}


def pace(report: Report, seconds: float) -> tuple[str, Mapping[str, Any]]:
    """Say how much is encoded a second, and what is slowest: for people, and as fields.

    Args:
        report: of a run that is under way.
        seconds: since its encoding began.
    """
    rates = {
        stage: report.amounts[stage] / max(seconds - report.seconds["loading"], 1e-9)
        for stage in _UNITS
        if report.amounts[stage]
    }
    slowest = bottleneck(report.seconds)
    text = [f"{rate:.1f} {_UNITS[stage][1]}" for stage, rate in rates.items()]
    text += [f"slowest: {slowest}"] if slowest else []
    fields = {_UNITS[stage][0]: round(rate, 3) for stage, rate in rates.items()}
    return ", ".join(text), {**fields, "slowest": slowest}


def bottleneck(seconds: Mapping[str, float]) -> str:
    """Say which stage takes most of the time, and how much; empty where nothing has taken any.

    Encoders and their waiting for decoding follow one another; writing goes on meanwhile, so that it holds the others up only
    where it takes longer than all of them.

    Args:
        seconds: stage -> seconds, as a `Report` has them.
    """
    taken = {name: seconds[name] for name in _HOLD_UPS if seconds.get(name)}
    whole = sum(spent for name, spent in taken.items() if name != "writing")
    if not whole:
        return ""
    if taken.get("writing", 0.0) < whole:
        taken.pop("writing", None)
    name = max(taken, key=lambda name: taken[name])
    return f"{_HOLD_UPS[name]} ({min(taken[name] / whole, 1):.0%} of the time)"
