"""What made the features of an export, for its reader."""

from typing import Any

from sadgr.cache.doors.pick import Chosen


def described(chosen: Chosen) -> dict[str, Any]:
    """Return, for each chosen modality, model, fingerprint, settings and information, as JSON can hold them."""
    return {
        modality: {
            "model": one.spec.model,
            "fingerprint": one.fingerprint,
            "settings": dict(one.spec.settings),
            "about": dict(one.spec.about),
        }
        for modality, one in chosen.feature_sets().items()
    }
