"""What a person asks to be fitted."""

from dataclasses import dataclass
from pathlib import Path

from sadgr.train.config import AudioMean, FitConfig, ModelConfig, ModelName, TaskName

FeatureSetNames = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class FitRequest:
    """What a person asked to be fitted.

    Attributes:
        config: Settings; its seed gives way to `seeds`.
        model: SADGR's widths and variants; what the data decides is filled in.
        seeds: A model each.
        heads: Folder of pretrained heads; None begins with random ones.
        dataset: Its name; None where the cache has one.
        feature_sets: Names of text, audio and video features; None where there is one.
        target: `sentiment`, `emotions` or a column.
        task: None for what suits the target.
        name: The model's; another than SADGR has settings of its own.
        tensorboard: Write event files for TensorBoard, too.
        audio_mean: Which mean of the audio L_con reads where heads do not say; None for the mean over all frames.
    """

    config: FitConfig
    model: ModelConfig
    seeds: tuple[int, ...] = (1111,)
    heads: Path | None = None
    dataset: str | None = None
    feature_sets: FeatureSetNames = (None, None, None)
    target: str = "sentiment"
    task: TaskName | None = None
    name: ModelName = "sadgr"
    tensorboard: bool = False
    audio_mean: AudioMean | None = None
