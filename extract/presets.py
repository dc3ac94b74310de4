"""Named choices of encoders. The default is the paper's."""

from dataclasses import dataclass

from sadgr.extract.checkpoint import OFFLINE, ModelName


@dataclass(frozen=True)
class Preset:
    """Which frozen encoder serves each modality."""

    text: ModelName
    audio: ModelName
    video: ModelName


PRESETS = {
    "paper": Preset(
        text=ModelName("bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594"),
        # The paper writes "hubert-base-librivox", which no hub carries; this is the HuBERT-base of its reference.
        audio=ModelName("facebook/hubert-base-ls960", "dba3bb02fda4248b6e082697eee756de8fe8aa8a"),
        video=ModelName("google/vit-base-patch16-224", "3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3"),
    ),
    "offline": Preset(text=ModelName(OFFLINE), audio=ModelName(OFFLINE), video=ModelName(OFFLINE)),
}
DEFAULT_PRESET = "paper"
