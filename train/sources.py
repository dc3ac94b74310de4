"""Which data set and feature sets of a cache a training reads, and whether two of them are of the same make."""

from collections.abc import Mapping
from typing import Any

from sadgr.cache import FeatureSet
from sadgr.cache.settings_diff import differences
from sadgr.train.errors import TrainError
from sadgr.train.logs import Log


def described(**feature_sets: FeatureSet | None) -> dict[str, dict[str, Any]]:
    """Name, fingerprints and settings of feature sets by modality, as JSON; those that are None are left out."""
    return {
        modality: {
            "name": feature_set.name,
            "fingerprint": feature_set.fingerprint,
            "encoder_fingerprint": feature_set.encoder_fingerprint,
            "settings": dict(feature_set.spec.settings),
        }
        for modality, feature_set in feature_sets.items()
        if feature_set is not None
    }


def about(**feature_sets: FeatureSet | None) -> dict[str, dict[str, Any]]:
    """Tell what people call the encoder of each modality, and what is known of it besides; no part of what it is."""
    return {
        modality: {"model": feature_set.spec.model, **feature_set.spec.about}
        for modality, feature_set in feature_sets.items()
        if feature_set is not None
    }


def report_other_sampling(trained: Mapping[str, Any], now: Mapping[str, Any], log: Log) -> None:
    """Say what differs where an encoder is the same, but not its word times, sampling or precision; it still fits.

    Args:
        trained: What `described` gave at training.
        now: What it gives for the cache at hand.
        log: Takes a line for each modality.
    """
    for modality, before in trained.items():
        other = now.get(modality, before)
        if other["fingerprint"] != before["fingerprint"]:
            listed = "; ".join(differences(before["settings"], other["settings"]))
            log(
                f"{modality} features are of the same encoder as in training, but of other word times or sampling: {listed}"
            )


def require_same_encoders(trained: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
    """Refuse features that another encoder made than the one that weights were trained on.

    Args:
        trained: What `described` gave at training.
        now: What it gives for the cache at hand; it may hold further modalities.
        what: Whose training, for the message.

    Raises:
        TrainError: A modality is missing or its encoder differs; the message says in which settings.
    """
    for modality, before in trained.items():
        if modality not in now:
            raise TrainError(f"{what} read {modality} features ({before['name']}), this cache selection has none")
        if before["encoder_fingerprint"] != now[modality]["encoder_fingerprint"]:
            settings = [side["settings"].get("encoder", side["settings"]) for side in (before, now[modality])]
            listed = "\n  ".join(differences(*settings)) or "settings are equal, fingerprints are not"
            raise TrainError(
                f"{what} read {modality} features of another encoder: {before['name']}, now {now[modality]['name']}; "
                f"choose --{modality} or extract with the same encoder. What differs:\n  {listed}"
            )


def is_synthetic(dataset: str, features: Mapping[str, Any]) -> bool:
    """Whether a data set says of itself, by its name or by what its features were made of, that nobody was recorded.

    Args:
        dataset: Its name.
        features: What `described` gives.
    """
    encoders = [one["settings"].get("encoder") for one in features.values()]
    return "synthetic" in dataset.lower() or any(isinstance(one, Mapping) and "synthetic" in one for one in encoders)
