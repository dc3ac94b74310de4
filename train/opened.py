"""A finished run, and the data set of a cache that it is put to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from sadgr.cache import ClipFeatures, Dataset, FeatureCache, Selection
from sadgr.train.config import Widths
from sadgr.train.errors import TrainError
from sadgr.train.logs import Log
from sadgr.train.modalities import MODALITIES, only
from sadgr.train.predict import load_run
from sadgr.train.request import FeatureSetNames
from sadgr.train.rundir import computing_device
from sadgr.train.snapshot import snapshot
from sadgr.train.sources import described, report_other_sampling, require_same_encoders
from sadgr.train.tasks import Target


@dataclass(frozen=True)
class Source:
    """Whose clips are read, and how.

    Attributes:
        cache: Its folder.
        dataset: The data set's name; None where the cache has one.
        feature_sets: Names of text, audio and video features; None for those that the run was trained on where the data set
            has them, else for the only ones.
        modalities: Clips are taken as if they had these alone.
    """

    cache: Path
    dataset: str | None = None
    feature_sets: FeatureSetNames = (None, None, None)
    modalities: tuple[str, ...] = MODALITIES


@dataclass(frozen=True)
class Opened:
    """A run, and the data set that it is put to.

    Attributes:
        models: Of each seed.
        widths: What their data decided.
        config: The run's config.json.
        data: The data set.
        selection: Which feature sets.
        modalities: Those that are looked at.
    """

    models: Sequence[nn.Module]
    widths: Widths
    config: Mapping[str, Any]
    data: Dataset
    selection: Selection
    modalities: tuple[str, ...]

    @property
    def target(self) -> Target:
        """What the models learned."""
        told = self.config["target"]
        return Target(told["task"], tuple(told["columns"]), tuple(told["outputs"]))

    def clips(self, ids: Sequence[str], log: Log) -> list[ClipFeatures]:
        """Read clips, as if they had no other modality than those that are looked at."""
        return [only(clip, self.modalities) for clip in snapshot(self.data, ids, self.selection, log).clips()]


def open_run(run: Path, source: Source, log: Log) -> Opened:
    """Read a run, and hold it against what a cache has.

    Raises:
        TrainError: No finished run, or features that other encoders made than those it was trained on.
    """
    models, widths, config = load_run(run)
    data = FeatureCache(source.cache).dataset(source.dataset)
    trained, wanted = config["features"], source.modalities
    held = {one.name for one in data.feature_sets()}
    named = [
        name or (trained[modality]["name"] if modality in trained and trained[modality]["name"] in held else None)
        for modality, name in zip(MODALITIES, source.feature_sets, strict=True)
    ]
    selection = data.select(*named)
    features = described(text=selection.text, audio=selection.audio, video=selection.video)
    absent = [modality for modality in wanted if modality in trained and modality not in features]
    left = ",".join(modality for modality in wanted if modality not in absent)
    if absent and left:
        raise TrainError(
            f"the model in {run} read {absent[0]} features ({trained[absent[0]]['name']}), data set {data.name} has none: run "
            f"sadgr-extract on its source, or do without with --modalities {left}"
        )
    read = {modality: one for modality, one in trained.items() if modality in wanted}
    require_same_encoders(read, features, f"the model in {run}")
    report_other_sampling(read, features, log)
    device = computing_device()
    return Opened([model.to(device) for model in models], widths, config, data, selection, wanted)
