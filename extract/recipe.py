"""What is made of each clip: encoders, layers, video frames, and what of their output is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sadgr.extract.errors import ExtractError
from sadgr.extract.layers import LAST, Layer
from sadgr.extract.media.sampling import UNIFORM, Sampling
from sadgr.extract.presets import Preset

KEEPABLE: Mapping[str, tuple[str, ...]] = {
    "text": ("words", "mean", "tokens"),
    "audio": ("words", "mean", "frames"),
    "video": ("frames", "mean"),
}
"""What each modality can keep of what its encoder gives."""
KEPT: Mapping[str, frozenset[str]] = {
    "text": frozenset({"words", "mean"}),
    "audio": frozenset({"words", "mean"}),
    "video": frozenset({"frames"}),
}
"""What each keeps where nothing else was asked for: what training reads."""


@dataclass(frozen=True)
class Recipe:
    """What is made of each clip.

    Attributes:
        models: encoder of each modality.
        modalities: which are wanted; those that the source lacks are left out by themselves.
        store: what to keep (`words`, `mean`, `frames`, `tokens`), of every modality that gives it; None for `KEPT`.
        sampling: which video frames.
        text_layer: which layer of the text encoder.
        audio_layer: which layer of the audio encoder.
        dtype: what encoders compute in: `float32`, `bfloat16` or `float16`.
    """

    models: Preset
    modalities: tuple[str, ...] = tuple(KEEPABLE)
    store: frozenset[str] | None = None
    sampling: Sampling = UNIFORM
    text_layer: Layer = LAST
    audio_layer: Layer = LAST
    dtype: str = "float32"
    kept: Mapping[str, frozenset[str]] = field(init=False)
    """Modality -> what is kept of it."""

    def __post_init__(self) -> None:
        """Check that something is kept of every modality."""
        kept = {one: KEPT[one] if self.store is None else self.store & set(KEEPABLE[one]) for one in self.modalities}
        object.__setattr__(self, "kept", kept)
        known = set[str]().union(*KEEPABLE.values())
        if self.store is not None and (unknown := sorted(self.store - known)):
            raise ExtractError(f"--store {unknown[0]!r}: expected some of {', '.join(sorted(known))}")
        for modality, names in kept.items():
            if not names:
                raise ExtractError(
                    f"--store {','.join(sorted(self.store or ()))} keeps nothing of {modality}, which gives "
                    f"{', '.join(KEEPABLE[modality])}; add one of these, or leave {modality} out with --modality"
                )

    @property
    def needs_words(self) -> bool:
        """Whether word times are needed: sound is pooled into words."""
        return "words" in self.kept.get("audio", frozenset())
