"""What a person asked for, and the models, word times and feature sets that this comes to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sadgr.align import Aligner
from sadgr.cache import Dataset, FeatureSetSpec
from sadgr.extract.checkpoint import Checkpoint, Kind, ModelName, resolve
from sadgr.extract.choice import Choice
from sadgr.extract.clips import Clip
from sadgr.extract.errors import SourceError
from sadgr.extract.feature_sets import encoder_specs, words_spec
from sadgr.extract.recipe import Recipe


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes:
        source: where the data set lies.
        cache: where features go; made where nothing stands.
        dataset: name of the data set in the cache; None where the source names itself.
        recipe: what is made of each clip; None only aligns.
        device: `auto`, `cpu`, `cuda`, ...
        local_files_only: never ask the model hub.
        words: name of the word times to use, where the cache has several and no aligner is given.
        layout: of the source; None recognises it.
        choice: which of its clips.
        retry_failed: only those that failed when they were last worked on.
        engine: `local` computes on this machine, `ray` on those of a cluster.
        address: of the cluster; None for what `RAY_ADDRESS` names, or else a Ray of this machine.
    """

    source: Path
    cache: Path
    dataset: str | None
    recipe: Recipe | None
    device: str = "auto"
    local_files_only: bool = False
    words: str | None = None
    layout: str | None = None
    choice: Choice = field(default_factory=Choice)
    retry_failed: bool = False
    engine: str = "local"
    address: str | None = None


def checkpoints_of(request: Request, clips: Sequence[Clip], say: Callable[[str], None]) -> dict[Kind, Checkpoint]:
    """Find the encoder of each modality that the source has at all; LibriSpeech has no video, and nobody misses it."""
    if request.recipe is None:
        return {}
    has = {"text": True, "audio": has_sound(clips), "video": any(clip.video is not None for clip in clips)}
    models = request.recipe.models
    named: dict[Kind, ModelName] = {"text": models.text, "audio": models.audio, "video": models.video}
    wanted = {kind: name for kind, name in named.items() if kind in request.recipe.modalities and has[kind]}
    if not wanted:
        raise SourceError(f"the source has no {' or '.join(request.recipe.modalities)} at all")
    return {kind: resolve(name, kind, request.local_files_only, say) for kind, name in wanted.items()}


def has_sound(clips: Sequence[Clip]) -> bool:
    """Whether the source names sound for any clip."""
    return any(clip.audio is not None for clip in clips)


def words_of(request: Request, aligner: Aligner | None, data: Dataset, clips: Sequence[Clip]) -> FeatureSetSpec | None:
    """Specify the word times; None where none are needed."""
    if not has_sound(clips):
        if request.recipe is None:
            raise SourceError("the source names no sound for any clip, so there is nothing to align")
        return None
    if request.recipe is not None and not request.recipe.needs_words:
        return None
    if aligner:
        return words_spec(aligner)
    found = data.feature_set("words", request.words)
    if found is None:
        raise SourceError(
            f"{data.path} holds no word times; run `sadgr-align SOURCE CACHE` first, or choose an --aligner"
        )
    return found.spec


def specs_of(
    request: Request,
    words: FeatureSetSpec | None,
    checkpoints: Mapping[Kind, Checkpoint],
    data: Dataset,
    say: Callable[[str], None],
) -> dict[str, FeatureSetSpec]:
    """Specify the run's feature sets; word times come first, since audio is pooled by them.

    Sound that is not pooled into words goes where the same encoder's pooled sound stands already, if it does in one place:
    means are the same in both.
    """
    specs = {"words": words} if words else {}
    specs |= encoder_specs(checkpoints, request.recipe, words) if request.recipe else {}
    alike = [
        one.spec
        for one in data.feature_sets("audio")
        if "audio" in specs and one.encoder_fingerprint == specs["audio"].encoder_fingerprint
    ]
    if "audio" in specs and words is None and len(alike) == 1:
        specs["audio"] = alike[0]
    elif "audio" in specs:
        for other in alike:
            if other.fingerprint != specs["audio"].fingerprint:
                say(
                    f"audio: {other.name} in the cache is of the same encoder, with other word times or none; "
                    "sadgr-train takes one of them by --audio, and sadgr-cache rm removes one"
                )
    return specs
