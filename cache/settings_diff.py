"""Where two nested settings differ, in words."""

from collections.abc import Mapping
from typing import Any


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Say where two JSON objects differ, such as `settings.seed: 1111, now 1112`."""
    found: list[str] = []
    for key in [*before, *(key for key in now if key not in before)]:
        old, new, name = before.get(key), now.get(key), f"{prefix}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{name}.")
        elif old != new:
            found.append(f"{name}: {_shown(old)}, now {_shown(new)}")
    return found


def _shown(value: Any) -> str:
    """One short line for a value; a nested one is cut."""
    text = "absent" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
