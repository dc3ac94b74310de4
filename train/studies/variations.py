"""What a study compares: runs that differ from one another in one thing each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sadgr.train.config import Gate
from sadgr.train.errors import TrainError
from sadgr.train.pretrain import load_heads
from sadgr.train.request import FitRequest

LAMBDAS = (0.01, 0.03, 0.1, 0.3, 0.5, 1.0)
"""Of Fig. 6 (0.01 to 1.0, even steps of a logarithm), with the grid {0.1, 0.3, 0.5} that section IV-B searches."""
GATE_LAYERS = (1, 2, 3, 4)
"""Of Fig. 6."""
LAMBDA, LAYERS = "lambda", "gate layers"


@dataclass(frozen=True)
class Variation:
    """A run of a study.

    Attributes:
        name: Of its folder.
        title: What tables call it.
        request: What is fitted.
        published: The row of the paper's Table 4 that it repeats; "" where there is none.
    """

    name: str
    title: str
    request: FitRequest
    published: str = ""


@dataclass(frozen=True)
class Point:
    """A run on an axis of a sweep; one run may stand on both.

    Attributes:
        axis: `LAMBDA` or `LAYERS`.
        value: Where it stands.
        name: The run's.
    """

    axis: str
    value: float
    name: str


def ablations(full: FitRequest) -> list[Variation]:
    """Give the rows of Table 4, and the gate of frames that section III-D leaves aside.

    Each differs from the full model in one thing. Without pretraining, the heads keep their width and L_con the mean that it
    reads; they are learned even where the others' are frozen, for nobody would keep heads as chance made them.

    Args:
        full: The whole model, with pretrained heads.

    Raises:
        TrainError: Heads that cannot be read, or a request without one of the parts that are to be taken away.
    """
    if full.heads is None:
        raise TrainError(
            "without pretrained heads there is nothing to compare `without pretraining` with: run `sadgr-train pretrain "
            "CACHE OUT` first and give its OUT with --heads"
        )
    if full.config.contrastive_weight == 0:
        raise TrainError("--contrastive-weight 0 leaves no contrastive loss to take away: give a lambda above 0")
    if full.model.gate != "audio":
        raise TrainError(f"the full model has the audio gate, got {full.model.gate}: leave --gate out")
    pretrained = load_heads(full.heads).plan["settings"]
    at_random = replace(
        full,
        heads=None,
        audio_mean=pretrained["audio_mean"],
        config=replace(full.config, freeze_heads=False),
        model=replace(full.model, d_shared=pretrained["d_shared"]),
    )
    without_contrast = replace(full, config=replace(full.config, contrastive_weight=0.0))
    return [
        Variation("full", "full model", full, "SADGR (Ours)"),
        Variation("no-pretraining", "without pretraining", at_random, "w/o Pre-train"),
        Variation("no-contrastive", "without contrastive loss", without_contrast, "w/o T-A Contrastive"),
        Variation("no-gate", "without gate", _gated(full, "none"), "w/o A-V Gated"),
        Variation(
            "cross-attention",
            "gate replaced by cross-attention",
            _gated(full, "attention"),
            "w/o A-V Gated (use-Attention)",
        ),
        Variation("frame-gate", "gate of each frame", _gated(full, "frames")),
    ]


def sweep(
    base: FitRequest, lambdas: Sequence[float] = LAMBDAS, layers: Sequence[int] = GATE_LAYERS
) -> tuple[list[Variation], list[Point]]:
    """Give the runs of Fig. 6 and where they stand on its two axes.

    Args:
        base: What is kept along each axis: its lambda while layers vary, its layers while lambda varies.
        lambdas: Of L_con.
        layers: Linear maps of the gate.

    Raises:
        TrainError: The request's model has no gate with layers.
    """
    if base.model.gate not in ("audio", "frames"):
        raise TrainError(f"--gate {base.model.gate} has no layers to vary: leave it out")
    here = base.config.contrastive_weight, base.model.gate_layers
    wanted = [(LAMBDA, value, (value, here[1])) for value in lambdas]
    wanted += [(LAYERS, float(count), (here[0], count)) for count in layers]
    points = [Point(axis, value, _swept(*settings)) for axis, value, settings in wanted]
    runs = {_swept(*settings): settings for _, _, settings in wanted}
    variations = [
        Variation(
            name,
            f"lambda {weight:g}, {count} gate layer{'s' if count > 1 else ''}",
            replace(
                base,
                config=replace(base.config, contrastive_weight=weight),
                model=replace(base.model, gate_layers=count),
            ),
        )
        for name, (weight, count) in runs.items()
    ]
    return variations, points


@dataclass(frozen=True)
class Unit:
    """What one process does at a time: a variation with one seed. It can be sent to another process.

    Attributes:
        variation: Its name.
        seed: The seed.
        cache: Where the features are.
        run: The variation's folder.
        request: What is fitted.
    """

    variation: str
    seed: int
    cache: Path
    run: Path
    request: FitRequest

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.variation}, seed {self.seed}"


def units(cache: Path, study: Path, variations: Iterable[Variation]) -> list[Unit]:
    """Give all units, seed by seed, so that an early look at a study finds something of every variation."""
    found = [
        Unit(one.name, seed, cache, study / one.name, one.request) for one in variations for seed in one.request.seeds
    ]
    return sorted(found, key=lambda unit: unit.request.seeds.index(unit.seed))  # stable: variations keep their order


def _gated(full: FitRequest, gate: Gate) -> FitRequest:
    return replace(full, model=replace(full.model, gate=gate))


def _swept(weight: float, layers: int) -> str:
    return f"lambda-{weight:g}-layers-{layers}"
