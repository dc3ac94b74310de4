"""What identifies each feature set of a run: the settings that decide its numbers."""

from collections.abc import Mapping
from typing import Any

from sadgr.align import WORD_SPLITTING_VERSION, Aligner
from sadgr.cache import FeatureSetSpec
from sadgr.extract.audio import audio_settings
from sadgr.extract.checkpoint import Checkpoint, Kind
from sadgr.extract.encoder import encoder_settings
from sadgr.extract.media.audio import AUDIO_POLICY
from sadgr.extract.media.video import VIDEO_POLICY
from sadgr.extract.recipe import Recipe
from sadgr.extract.text import text_settings

_STORED = {"store_dtype": "float16"}
_SPLITTING = {"word_splitting": WORD_SPLITTING_VERSION}


def words_spec(aligner: Aligner) -> FeatureSetSpec:
    """Return the specification of the word times that an aligner gives."""
    settings = {"aligner": aligner.name, **aligner.settings, "decoder": AUDIO_POLICY, **_SPLITTING}
    return FeatureSetSpec("words", aligner.name, settings, {"aligner": aligner.name})


def encoder_specs(
    checkpoints: Mapping[Kind, Checkpoint], recipe: Recipe, words: FeatureSetSpec | None
) -> dict[str, FeatureSetSpec]:
    """Return the specification of each modality's features.

    Args:
        checkpoints: modality -> checkpoint.
        recipe: layers and sampling.
        words: the word times that audio is pooled by; a part of what identifies the audio features. None where audio is
            not pooled into words.
    """
    settings: dict[str, dict[str, Any]] = {}
    for modality, checkpoint in checkpoints.items():
        if modality == "text":
            settings[modality] = {"encoder": text_settings(checkpoint, recipe.text_layer, recipe.dtype), **_SPLITTING}
        elif modality == "audio":
            alignment = words.fingerprint if words else None
            encoder = audio_settings(checkpoint, recipe.audio_layer, recipe.dtype)
            settings[modality] = {"encoder": encoder, "alignment": alignment, **_SPLITTING}
        else:
            encoder = encoder_settings(checkpoint, dtype=recipe.dtype, token="cls", decoder=VIDEO_POLICY)  # noqa: S106
            settings[modality] = {"encoder": encoder, "sampling": recipe.sampling.settings}
    more = {"audio": {"word times": words.name}} if words else {}
    return {
        modality: FeatureSetSpec(
            modality,
            checkpoint.short_name,
            {**settings[modality], **_STORED},
            {**checkpoint.about, **more.get(modality, {})},
        )
        for modality, checkpoint in checkpoints.items()
    }
