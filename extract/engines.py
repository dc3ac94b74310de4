"""Where features are computed: on this machine, or on a cluster that Ray spans."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from sadgr.cache import FeatureSet
from sadgr.extract.checkpoint import Checkpoint, Kind
from sadgr.extract.clips import Clip
from sadgr.extract.decoding import Decoders
from sadgr.extract.outcome import Report
from sadgr.extract.pipeline import compute
from sadgr.extract.plan import Plan
from sadgr.extract.request import Request
from sadgr.extract.results import Result
from sadgr.extract.stages import make_stages

Compute = Callable[[Sequence[Clip], Plan, Report, Callable[[], bool]], Generator[Result]]
"""Gives the results of what a plan says is to be done of clips; tells the report what takes how long, and may be stopped."""


@contextmanager
def engine_of(
    request: Request,
    checkpoints: Mapping[Kind, Checkpoint],
    words: FeatureSet | None,
    decoders: Decoders,
    say: Callable[[str], None],
) -> Iterator[Compute]:
    """Make ready what computes a run's features.

    Args:
        request: names the engine, its device or cluster, and the recipe.
        checkpoints: encoder of each modality that is wanted.
        words: word times; None where no words are pooled.
        decoders: of this machine.
        say: told what goes on, a line at a time.

    Raises:
        ModelUnavailableError: no such device here.
        EngineUnavailableError: Ray is not installed, does not start, or no cluster answers.
        StopRequested: a signal came meanwhile.
    """
    assert request.recipe is not None  # noqa: S101  # what only aligns computes no features
    if request.engine == "local":
        stages = make_stages(request.recipe, checkpoints, request.device, words)
        yield lambda clips, plan, report, stop: compute(clips, plan, stages, decoders, report, stop)
        return
    from sadgr.extract.ray_engine import compute_with_ray
    from sadgr.extract.ray_session import ray_session

    # Its processes begin in folders of their own.
    anywhere = {kind: replace(one, folder=one.folder.absolute()) for kind, one in checkpoints.items()}
    of_words = None if words is None else FeatureSet(words.path.absolute())
    make = partial(make_stages, request.recipe, anywhere, words=of_words)
    paths = [request.source.absolute(), request.cache.absolute(), *(one.folder for one in anywhere.values())]
    with ray_session(request.address, paths, say):
        yield lambda clips, plan, report, stop: compute_with_ray(clips, plan, make, request.device, report, stop)
